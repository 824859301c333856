"""Answers of the rules to calls that wait for TwiML."""

import asyncio
from collections.abc import Awaitable, Callable

from ringback.events import Event
from ringback.runtime import Runtime
from ringback.store.interface import Journal
from ringback.twilio import twiml
from ringback.twilio.webhooks import events_from
from ringback.verbs import Pause
from ringback.worker.match.matcher import Found
from ringback.worker.run.call_answers import Answers, Waiting

HOLD = Pause(20)
"""What a queued caller hears when rules listen to the queue but have nothing to say."""


class Calls:
    """Answers the receiver. `match_now` matches one row of the log ahead of the others."""

    def __init__(
        self,
        journal: Journal,
        runtime: Runtime,
        patience: float,
        match_now: Callable[[int], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._runtime = runtime
        self._patience = patience
        self._match_now = match_now
        self._answers = Answers(patience)

    async def answer(self, log_id: int) -> str:
        """The TwiML for the request in this row; empty when no rule answers a new call.

        The same request again gets the answer that is stored and causes nothing.
        """
        row = await self._journal.log.get(log_id)
        parsed = events_from(row, lambda: "") if row else []
        if not parsed:
            return ""
        event = parsed[0]
        known = await self._journal.events.uid_of(event)
        stored = await self._journal.runs.answer(known) if known else None
        if stored is not None:
            return stored
        waiting = self._answers.wait(log_id, event.call_sid)
        if known is None:
            await self._match_now(log_id)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(waiting.future) or _unanswered(event, waiting)
        except (TimeoutError, asyncio.CancelledError):
            return _unanswered(event, waiting)

    def late(self, log_id: int) -> None:
        """The receiver could not wait for the answer to this row any longer."""
        self._answers.late(log_id)

    def waiting_for(self, found: Found) -> Waiting | None:
        """The call that waits for what this event brings, unless it is too old to wait still."""
        if found.asked is None:
            return None
        age = (self._runtime.now() - found.event.received_at).total_seconds()
        if age >= self._patience:
            return None
        return self._answers.wait(found.asked, found.event.call_sid, age)


def _unanswered(event: Event, waiting: Waiting) -> str:
    """What a call hears when no rule answers: nothing of ours for a new call, or when a rule has
    failed, so that the receiver's fallback speaks; for a step of our own TwiML the shortest valid
    document."""
    if event.type == "call.queued":
        return twiml.document((HOLD,))
    if event.type == "call.received" or waiting.failed:
        return ""
    return twiml.EMPTY
