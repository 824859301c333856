"""Decisions of people about waits and consent: go on now, leave later, may be texted or not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.action_kinds import lifetime
from ringback.errors import Conflict, Missing, UsageError
from ringback.ipc import Message
from ringback.runtime import Runtime, iso
from ringback.store.actions import Decision
from ringback.store.operations.consent_words import BY_PERSON, ConsentWord
from ringback.store.operations.doings import Doing
from ringback.worker.engine import Engine
from ringback.worker.operations.envelope import time_of

FARTHEST = timedelta(days=2)
"""What is put off for longer is taken for the work of a clock that was wrong."""
LONGEST_WAIT = timedelta(days=60)
"""A run waits no longer for a person who has put it off."""
LONGEST_REASON = 200


class WaitDecisions:
    """Carries out what a person decides about what waits, and about consent."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def wake_run(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Let a run that waits for a time go on now; a question gets no answer then."""
        now = iso(self._runtime.now())
        if not await self._engine.journal.runs.hurry(doing.subject, now, doing):
            known = await self._engine.journal.doings.now(doing)
            if not known:
                raise Missing(f"there is no run {doing.subject!r}; `ringback runs list` names them")
            raise Conflict(f"run {doing.subject!r} does not wait for a time to come", known)
        self._engine.look_again()
        return {"state": "waiting"}

    async def postpone(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Put off an action that is deferred, or a run that waits for a time, to a time."""
        if doing.kind == "run":
            return await self._postpone_run(message, doing)
        until = time_of(message.get("until"), self._runtime.now(), FARTHEST)
        action = await self._engine.journal.actions.get(doing.subject)
        if action is None:
            raise Missing(f"there is no action {doing.subject!r}")
        wanted = getattr(action.action, "send_by", "")
        send_by = None if wanted else iso(until + timedelta(seconds=lifetime(action.action)))
        why = f"put off by {doing.by.who or 'a person'} until {iso(until)}"
        decision = Decision(("deferred",), "deferred", why, iso(until), send_by)
        now = iso(self._runtime.now())
        if not await self._engine.journal.actions.decide(doing.subject, decision, now, doing):
            known = await self._engine.journal.doings.now(doing)
            raise Conflict(
                f"action {doing.subject!r} is {known.get('state')}; this wants deferred", known
            )
        self._engine.look_again()
        return {"state": "deferred"}

    async def _postpone_run(self, message: Message, doing: Doing) -> dict[str, Any]:
        now = iso(self._runtime.now())
        until = iso(time_of(message.get("until"), self._runtime.now(), LONGEST_WAIT))
        if not await self._engine.journal.runs.hurry(doing.subject, now, doing, until=until):
            known = await self._engine.journal.doings.now(doing)
            if not known:
                raise Missing(f"there is no run {doing.subject!r}; `ringback runs list` names them")
            raise Conflict(f"run {doing.subject!r} does not wait for a time to come", known)
        self._engine.look_again()
        return {"state": "waiting"}

    async def consent(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Say that somebody may be texted from a sender of ours, or may not. Who has left by a word
        of their own comes back by one."""
        sender, recipient, state, reason = (
            str(message.get(name) or "").strip()
            for name in ("sender", "recipient", "state", "reason")
        )
        if state not in ("in", "out") or not sender or not recipient:
            raise UsageError("consent wants a sender, a recipient, and `in` or `out`")
        if not reason:
            raise UsageError("say why, for whoever looks at it next: the reason is empty")
        words = self._engine.journal.consent_words
        source = f"{BY_PERSON}{doing.by.who or 'somebody'}: {reason}"[:LONGEST_REASON]
        word = ConsentWord(sender, recipient, state, source, iso(self._runtime.now()))
        said = replace(doing, reason=reason[:LONGEST_REASON], answer={"state": state})
        await words.say(word, said)
        return {"state": state}
