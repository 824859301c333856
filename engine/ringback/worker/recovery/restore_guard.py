"""Restore guard: holds sends after a backup was restored.

A journal that was put back from a copy does not know what was sent since, so nothing is sent until
Twilio's lists have said it.
Everything else goes on: webhooks are recorded, what the copy has missed is fetched back, rules run.
What they ask for, and what the copy still had to send, is looked for at Twilio three times. What is
found is claimed, what is not may be sent, what cannot be decided is parked for a person.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.config import Settings
from ringback.errors import GatewayError, RingbackError, StorageError
from ringback.rules.engine.admission import FRESH
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import Decision, StoredAction
from ringback.store.interface import Journal
from ringback.store.upkeep import restore
from ringback.store.upkeep.restore import Held, Mark
from ringback.twilio.rest import Request, path
from ringback.worker.match.matcher import Matcher
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.recovery.repair import DONE
from ringback.worker.send.gateway_reader import GatewayReader
from ringback.worker.send.sender import Sender
from ringback.worker.send.settle import (
    CHANGED,
    EARLIER,
    LATER,
    NEXT_LOOK,
    POLLS,
    UNLIKE,
    Settler,
    created_at,
)
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

BEAT_SECONDS = 60.0
"""How often the marks move on; an idle node writes nothing else."""
LONG = timedelta(minutes=15)
AT_ONCE = 1000
SIDE_BY_SIDE = 8
EVER = "1970-01-01T00:00:00.000Z"
KIND = "held"
_PLANNED = ("planned", "deferred")
_RESOURCES = {"SM": "Messages", "MM": "Messages", "CA": "Calls"}


class RestoreGuard:
    """Judges the journal when the worker starts, and keeps its sends back while that is needed."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        reader: GatewayReader,
        settler: Settler,
        sender: Sender,
        incidents: Incidents,
        matcher: Matcher,
        signals: Signals,
    ) -> None:
        self.held: Held | None = None
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway_reader = reader
        self._settler = settler
        self._sender = sender
        self._incidents = incidents
        self._matcher = matcher
        self._signals = signals
        self._on_server = bool(settings.database_url)
        self._name = restore.SERVER_FILE if self._on_server else restore.FILE
        self._mark = Mark("", 0, "")
        self._attempt = ""
        self._old: set[str] = set()
        self._started = 0.0
        self._target: int | None = None
        self._caught_up = ""

    async def why(self) -> str:
        """Why nothing is sent, and what that waits for; empty when sending is not held."""
        if self.held is None:
            return ""
        waits = await self._not_yet(self.held) or "what it may not know of is looked for at Twilio"
        return f"the journal {self.held.why}; {waits}"

    async def begin(self) -> None:
        """Take the journal into use. Before anything is offered to the sender."""
        known, now = self._journal.restore, iso(self._runtime.now())
        self._gateway_reader.clock.restore(await known.heard())
        noted, beside = await known.mark(), self._beside()
        file = await known.identity()
        held, past = await known.held(), ""
        why = await self._doubt(noted, beside, file, now)
        if why:
            if noted is None and await known.is_new():  # all that was done is forgotten
                past = iso(self._runtime.now() - FRESH)
            since = held.since if held else noted.at if noted else past or EVER
            held = Held(why, since, now)
        number = max(mark.number if mark else 0 for mark in (noted, beside)) + 1
        mark = Mark(noted.journal if noted else self._runtime.uid("jrn"), number, now, file)
        await known.begin(mark, held, past)
        self._matcher.forget(past or await known.past())
        self._attempt = beside.attempt if beside and not why else ""
        self._write(mark)
        self._mark, self.held = mark, held
        if self._on_server:
            self._sender.committed = self.note_attempt
        self._started = self._runtime.monotonic()
        self._sender.held = held is not None
        if held is not None:
            await self._incidents.open(
                KIND, KIND, f"nothing is sent yet: the journal {held.why}. What it may not know of "
                "is looked for at Twilio first; then sending goes on by itself",
            )  # fmt: skip

    def _beside(self) -> Mark | None:
        return restore.read_beside(self._settings.data, self._name)

    def note_attempt(self, uid: str) -> None:
        """Note beside a journal on a server that this attempt was committed, before its request
        leaves: a server that lost it, by a failover or a backup, is known by that.

        It is not synced: what is to outlive here is the loss of the server, and not of both.
        """
        self._attempt = uid
        try:
            self._write(self._mark)
        except StorageError as error:
            log.warning("%s", error)

    def _write(self, mark: Mark) -> None:
        restore.write_beside(self._settings.data, replace(mark, attempt=self._attempt), self._name)

    async def _doubt(self, noted: Mark | None, beside: Mark | None, file: str, now: str) -> str:
        """Why this journal may not know what was sent; empty when there is no reason to think so.

        A journal that has just begun when the worker died has perhaps no mark beside it yet.
        """
        copied = await self._journal.restore.copied_at()
        if copied:
            return f"is a copy that was made at {copied}"
        if noted is None:
            replaced = beside is not None or await self._journal.log.had_journal()
            return "is not the one that was here before" if replaced else ""
        if beside is None and noted.number > 1 and not self._on_server:
            return f"was put here from elsewhere: it comes without its {restore.FILE}"
        if beside is not None and beside.journal != noted.journal:
            return "is not the one that was here before"
        if beside is not None and beside.number > noted.number:
            return f"was put back: it ends at {noted.at}, and was worked on until {beside.at}"
        if noted.file and noted.file != file:
            its = "database" if self._on_server else "file"
            return f"is a copy, or lies on another disk: its {its} is not the one of {noted.at}"
        if beside is not None and beside.attempt and not await self._has(beside):
            return f"was put back: it does not have all that was sent until {beside.at}"
        idle = from_iso(now) - from_iso(noted.at)
        if idle > LONG and await self._journal.restore.send_due(now):
            return f"was left at {noted.at} with something to send"
        return ""

    async def _has(self, beside: Mark) -> bool:
        """Whether the newest attempt that was noted is there, or was deleted for its age."""
        days = self._settings.keep_rows_days
        if days and from_iso(beside.at) < self._runtime.now() - timedelta(days=days):
            return True
        return await self._journal.restore.has_attempt(beside.attempt)

    async def run(self) -> None:
        """Move the marks on, and look for what is held, until cancelled."""
        while True:
            scale = self._settings.settle_seconds / 60.0
            if self.held:
                await asyncio.sleep(self._runtime.rng.uniform(*NEXT_LOOK) * scale)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._gateway_reader.clock.news.wait()
            try:
                await self.mark()
                await self.step()
            except RingbackError as error:
                log.warning("%s", error)

    async def mark(self) -> None:
        """Note that the journal has come this far: first in it, then beside it, so that only a
        journal that was put back can be behind."""
        mark = replace(self._mark, number=self._mark.number + 1, at=iso(self._runtime.now()))
        try:
            heard = self._gateway_reader.clock.note()
            await self._journal.restore.move_mark(mark, heard)
            self._mark = mark
            self._write(mark)
        except StorageError as error:
            log.warning("%s", error)

    async def step(self) -> None:
        """Look once for everything that is held, when the time for it has come. The hold is over
        when there is nothing left to look for."""
        if self.held is None or await self._not_yet(self.held):
            return
        suspects, began = self._journal.restore.suspects, self.held.began
        found = await suspects(began, POLLS, AT_ONCE)
        fresh = await suspects(began, POLLS, AT_ONCE, fresh=True)
        found += [action for action in fresh if not await self._young(action)]
        if not found:
            await self.end("no record of it was found at Twilio: it may be sent")
            return
        lots: dict[tuple[str, str, str], list[StoredAction]] = {}
        for action in found:
            key = (action.account_sid, action.kind, action.conversation)
            lots.setdefault(key, []).append(action)
        limit = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(lot: list[StoredAction], held: Held) -> None:
            async with limit:
                await self._look(lot, held)

        await asyncio.gather(*(one(lot, self.held) for lot in lots.values()))

    async def end(self, reason: str) -> bool:
        """Sending goes on; False when it was not held. `reason` is noted with what was held."""
        if self.held is None:
            return False
        await self._journal.restore.release(reason)
        self.held = None
        await self._incidents.resolve(KIND, KIND, reason)
        self._sender.held = False
        await self._sender.refill()
        return True

    async def _not_yet(self, held: Held) -> str:
        """What has to come before a look can be trusted; empty when nothing has."""
        passed = self._runtime.monotonic() - self._started
        if passed < self._settings.settle_seconds:
            return "requests of before may still be under way"
        if self._target is None:
            start = self._gateway_reader.clock.now() - timedelta(seconds=passed)
            reads = self._gateway_reader.gateway is not None
            if reads and await self._journal.meta.get(DONE) < iso(start):
                return "what came in meanwhile has not been fetched back yet"
            self._target = await self._journal.log.last_id()
        left = self._target - self._matcher.cursor
        if left > 0:
            return f"{left} recorded requests are not matched yet"
        now = iso(self._runtime.now())
        self._caught_up = self._caught_up or now
        hurried = await self._journal.restore.catch_up(held.began, now)
        if hurried:
            self._signals.due(now)
        if hurried or await self._journal.runs.at_work(self._caught_up, now):
            return "rules are still at work on what was recorded before"
        if await self._journal.restore.is_unsettled():
            return "the fate of some sends is still unknown"
        return ""

    async def _young(self, action: StoredAction) -> bool:
        """Whether what a fresh webhook is about came about after the journal was put back. The
        webhook of an older text may be repeated; it was answered before, perhaps."""
        sid = await self._journal.events.subject_sid(action.event_uid)
        if action.event_uid in self._old or sid[:2] not in _RESOURCES:
            return False
        resource = _RESOURCES[sid[:2]]
        where = path(self._settings.account_for(action.account_sid), resource, sid)
        try:
            reply = await self._gateway_reader.ask(Request("GET", where, (), resource.lower()))
        except GatewayError as error:
            log.warning("what is held cannot be looked for now: %s", error)
            return False
        created = created_at(reply.data)
        passed = timedelta(seconds=self._runtime.monotonic() - self._started)
        if created is None or created < self._gateway_reader.clock.now() - passed:
            self._old.add(action.event_uid)
            return False
        await self._looked(action, POLLS, "held; what it answers is new")
        return True

    async def _look(self, lot: Sequence[StoredAction], held: Held) -> None:
        """Look for actions of one kind to one recipient: one list tells about all of them."""
        records: list[Mapping[str, Any]] = []
        if lot[0].effect:
            try:
                records = await self._settler.listed(lot[0], from_iso(held.since) - EARLIER)
            except GatewayError as error:
                if error.http_status != 400:
                    log.warning("what is held cannot be looked for now: %s", error)
                    return
                for action in lot:
                    await self._park(action, f"Twilio does not list it: {error}")
                return
        for action in lot:
            await self._judge(action, records, held)

    async def _judge(
        self, action: StoredAction, records: list[Mapping[str, Any]], held: Held
    ) -> None:
        if not action.effect:
            if action.policy != "natural":
                await self._park(action, "it leaves no record that could tell")
            else:
                await self._looked(action, POLLS, "held; to repeat it does no harm")
            return
        span = (from_iso(held.since) - EARLIER, from_iso(held.began) + LATER)
        found = await self._settler.matching(action, records, [span])
        if found.hidden:
            await self._park(action, UNLIKE)
            return
        looks = await self._journal.restore.looks_at(action.uid) + 1
        if found.fits:
            await self._settler.claim(action, found.fits[:1], states=_PLANNED)
        elif looks >= POLLS and found.alike:
            await self._park(action, CHANGED, found.alike)
        elif looks >= POLLS and action.policy == "at_most_once":
            await self._park(action, "no record of it was found; at_most_once does not risk it")
        else:
            await self._looked(action, 1, f"held; not in Twilio's list, look {looks}")

    async def _looked(self, action: StoredAction, times: int, reason: str) -> None:
        await self._journal.restore.looked(action.uid, times, reason)

    async def _park(self, action: StoredAction, why: str, texts: str = "") -> None:
        assert self.held is not None
        reason = f"it may have been done since {self.held.since}, which this journal forgot: {why}"
        decision = Decision(_PLANNED, "parked", reason + texts)
        if await self._journal.actions.decide(action.uid, decision, iso(self._runtime.now())):
            log.error("action %s is parked: %s", action.uid, reason)
            self._signals.ended(action.uid, "unknown")
