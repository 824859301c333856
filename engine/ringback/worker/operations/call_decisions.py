"""Decisions of people about a live call: hang up, or connect a caller who waits in a queue."""

import re
from dataclasses import replace
from typing import Any

from ringback.actions import Action, AnswerCall, EndCall
from ringback.errors import Conflict, Missing, UsageError
from ringback.events import Event
from ringback.ipc import Message
from ringback.rules.language import phones
from ringback.runtime import Runtime, iso
from ringback.store.matching import NewRun
from ringback.store.operations.doings import Doing
from ringback.store.operations.written import PERSON
from ringback.twilio.rest import is_sid
from ringback.verbs import Dial
from ringback.worker.engine import Engine
from ringback.worker.run.plan import Origin, plan

_NUMBER = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)


class CallDecisions:
    """Carries out what a person decides about a call, which is named by its SID."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def hang_up(self, message: Message, doing: Doing) -> dict[str, Any]:
        """End a call."""
        return await self._do(doing, EndCall(doing.subject))

    async def dequeue(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Take a caller out of the queue, and connect them with a number."""
        settings = self._engine.settings
        given = str(message.get("to") or "").strip()
        number = phones.plain(given, phones.home(settings.sender))
        if not _NUMBER.fullmatch(number):
            raise UsageError(f"to: {given!r} is no number to connect the caller with")
        return await self._do(doing, AnswerCall(doing.subject, (Dial(number),)), queued=True)

    async def _do(self, doing: Doing, action: Action, *, queued: bool = False) -> dict[str, Any]:
        event = await self._event(doing, queued=queued)
        now = iso(self._runtime.now())
        run = NewRun(
            uid=self._runtime.uid("run"), event_uid=event.uid, rule=PERSON, rule_rev="", key="",
            priority=0, started_at=now,
        )  # fmt: skip
        (planned,) = plan(
            Origin(run.uid, PERSON, "live"), event, [action], runtime=self._runtime,
            settings=self._engine.settings, waiting_call="",
        ).actions  # fmt: skip
        told = {"state": planned.state, "uid": planned.uid}
        done = replace(doing, wanted={"action": planned.uid}, answer=told)
        await self._engine.journal.written.write(run, [planned], now, done)
        if planned.state == "planned":
            self._engine.sender.offer([planned.stored()])
        return told

    async def _event(self, doing: Doing, *, queued: bool) -> Event:
        """The event that the call began with. Raises UsageError when it does not go on."""
        if not is_sid(doing.subject, "CA"):
            raise UsageError(f"{doing.subject!r} is no SID of a call")
        journal = self._engine.journal
        uid, last, over = await journal.written.call(doing.subject)
        event = await journal.events.get(uid) if uid else None
        if event is None:
            raise Missing(f"nothing is known of the call {doing.subject}")
        if over:
            raise Conflict("the call is over", {"state": "over"})
        if queued and last != "call.queued":
            raise Conflict("the caller waits in no queue any more", {"state": last})
        return replace(event, depth=0)
