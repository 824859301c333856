"""A node on real files and a stepped clock, driven stage by stage until nothing is left to do."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from admission.stories import OURS, Happens
from ringback.config import Settings
from ringback.errors import Problem
from ringback.events import Event
from ringback.gateway.channels import Channels
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.safe_http import Outbound
from ringback.gateway.transport import Reply
from ringback.gateway.web_credentials import WebCredentials
from ringback.hooks.reading import ROUTE, Facts
from ringback.ipc import Link
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.starts import start_event, text_of
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log, LogRow
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.testing import NOON
from ringback.twilio.rest import Request
from ringback.worker.engine import Engine
from ringback.worker.send.notices import Notices
from simulation.calls import Here

ACCOUNT = "AC" + "0" * 31 + "1"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Loaded:
    """What a project gives to its worker."""

    ruleset: RuleSet
    plugins: PluginSet = field(default_factory=PluginSet)
    problems: list[Problem] = field(default_factory=list)


class Twilio:
    """The other side of the gateway: it takes every request at once."""

    def __init__(self) -> None:
        self.access = Credentials.direct(ACCOUNT, "t" * 32)
        self.taken = 0

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        """A good answer with a SID of its own."""
        self.taken += 1
        prefix = "CA" if request.resource == "calls" else "SM"
        return Reply(201, {"sid": f"{prefix}{self.taken:032x}", "status": "queued"})


class Receiver:
    """The receiver's side of the socket: what is fetched back comes to the log."""

    def __init__(self, log: Log, now: Callable[[], datetime]) -> None:
        self._log, self._now = log, now

    async def ask(self, message: Mapping[str, Any], _seconds: float) -> Mapping[str, Any]:
        """Take one fetched event."""
        body = base64.b64decode(message["body"])
        row = Entry(
            iso(self._now()), message["route"], "confirmed", "repair", message["tag"], FORM, body
        )
        return {"id": await self._log.append(row)}

    async def close(self) -> None:
        """Nothing is open."""


def settings_of(folder: Path, given: Mapping[str, Any]) -> Settings:
    """The settings of a node in this folder, and of the bench beside it."""
    settings = Settings(
        project=folder, data=folder / "data", account_sid=ACCOUNT, auth_tokens=("t" * 32,),
        sender=OURS, gateway_rate=1000.0, public_url="https://hooks.example.org",
    )  # fmt: skip
    return replace(settings, **given)


class Node:
    """One worker, from its first event to the end of the story."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        twilio: Twilio | None = None,
        outbound: Outbound | None = None,
        credentials: WebCredentials | None = None,
    ) -> None:
        settings.data.mkdir(exist_ok=True)
        self.settings = settings
        self.time = NOON.timestamp()
        runtime = Runtime(time=lambda: self.time, monotonic=lambda: self.time)
        self.runtime = runtime
        self.log = Log.open(settings.data / "log.db")
        self.store = open_store(settings.data, threaded=False)
        self.journal = self.store.journal
        self.reader = connect_reader(settings.data / "journal.db")
        self.outbound = outbound or Outbound()
        channels = Channels({}, self.outbound, environ={})
        self.engine = Engine(
            settings=settings, loaded=loaded, journal=self.journal,
            gateway=cast(Gateway, twilio or Twilio()), runtime=runtime,
            calls=Here(loaded, self.journal.facts(runtime), runtime),
            notices=Notices(
                self.outbound, channels, runtime, going_out=outbound is not None,
                credentials=credentials,
            ),
            receiver=cast(Link, Receiver(self.log, lambda: self.now)),
        )  # fmt: skip
        self.rows = 0

    @property
    def now(self) -> datetime:
        """Where its clock stands."""
        return datetime.fromtimestamp(self.time, UTC)

    async def start(self, quarantined: Mapping[str, str]) -> None:
        """Begin, with these rules in quarantine."""
        await self.engine.recover()
        self.engine.matcher.quarantined.update(quarantined)

    async def happen(self, *webhooks: Happens) -> list[LogRow]:
        """Let webhooks come, and all that follows from them now; their rows in the log."""
        before = self.store.log.last_id()
        for what in webhooks:
            await self.record(what)
        await self._work()
        return list(self.store.log.after(before, len(webhooks)))

    async def record(self, what: Happens, tag: str = "") -> None:
        """Let a webhook come to the log, and the worker not hear of it yet."""
        self.rows += 1
        if what.route.startswith(ROUTE):
            phone = what.fields["phone"]
            facts = Facts(str(what.fields["id"]), phone, OURS if phone else "")
            sent = (facts.written(), "application/json", json.dumps(what.fields).encode())
            await self.log.append(Entry(iso(self.now), what.route, "signed", "webhook", *sent))
            return
        fields = {"AccountSid": ACCOUNT}
        if "CallSid" not in what.fields:
            fields["MessageSid"] = f"SM{0xFFFF0000 + self.rows:032x}"
        body = urlencode({**fields, **what.fields}).encode()
        entry = Entry(iso(self.now), what.route, what.trust, what.source, tag, FORM, body)
        await self.log.append(entry)

    async def begin(self, what: Happens) -> Event:
        """Let somebody start a rule, and all that follows from it now; the event."""
        said = {name: value for name, value in what.fields.items() if name not in ("rule", "to")}
        event = start_event(
            what.fields["rule"], to=what.fields["to"], ours=OURS, given=text_of(said), at=self.now,
            mint=self.runtime.uid,
        )  # fmt: skip
        await self.engine.start(event)
        await self._work()
        return event

    async def hears(self, route: str = "", tag: str = "", **fields: str) -> str:
        """The TwiML that a caller gets in answer to a call, or to a step of it; empty when the
        receiver's fallback speaks."""
        route = route or ("call" if fields.get("CallStatus") == "ringing" else "call/step")
        body = urlencode({"AccountSid": ACCOUNT, **fields}).encode()
        row = Entry(iso(self.now), route, "signed", "webhook", tag, FORM, body)
        twiml = await self.engine.calls.answer(await self.log.append(row))
        await self.engine.queue.idle()
        return twiml

    async def wait(self, seconds: float) -> None:
        """Let time pass, stopping at each moment at which something is due."""
        await asyncio.sleep(0)  # what another connection wrote is seen in the next turn
        end = self.time + seconds
        while (moment := await self._next_due()) is not None and moment <= end:
            self.time = max(self.time, moment)
            await self._work()
        self.time = end
        await self._work()

    async def close(self) -> None:
        """End the worker."""
        await self.engine.queue.idle()
        await self.engine.sender.idle()
        await self.outbound.aclose()
        self.reader.close()
        self.store.close()
        self.log.close()

    async def _next_due(self) -> float | None:
        dues = (
            await self.journal.runs.next_due(),
            await self.journal.actions.next_due(iso(self.now)),
        )
        return min((from_iso(due).timestamp() for due in dues if due), default=None)

    async def _work(self) -> None:
        await asyncio.sleep(0)  # as in `wait`
        while True:
            await self.engine.resumer.due()
            while await self.engine._match():
                pass
            if not len(self.engine.queue):
                break
            await self.engine.queue.idle()
        await self.engine.sender.idle()
        await self.engine.sender.refill()
        while self.engine.sender.busy:  # what was taken may let others go that wait behind it
            await self.engine.sender.idle()
            await self.engine.sender.refill()
        if await self.journal.events.unmatched(1):  # what was answered to a request of a rule
            await self._work()
