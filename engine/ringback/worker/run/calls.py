"""Answers of the rules to calls that wait for TwiML."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ringback.events import Event
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.twilio import twiml
from ringback.twilio.kinds import failed_document
from ringback.twilio.webhooks import events_from
from ringback.verbs import Pause
from ringback.worker.match.look import Found
from ringback.worker.run.call_answers import Answers, Waiting

log = logging.getLogger(__name__)

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
        on_due: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._runtime = runtime
        self._patience = patience
        self._match_now = match_now
        self._on_due = on_due
        self._answers = Answers(patience)

    async def answer(self, log_id: int) -> str:
        """The TwiML for the request in this row; empty when no rule answers a new call.

        The same request again gets the answer that is stored and causes nothing. So does the one
        that Twilio makes of its fallback address; when it could not use the answer that it had, the
        receiver's fallback speaks.
        """
        row = await self._journal.log.get(log_id)
        parsed = events_from(row, lambda: "") if row else []
        if not parsed:
            return ""
        event = parsed[0]
        known = await self._journal.events.uid_of(event)
        stored = await self._stored(event, known) if known else None
        if stored is not None:
            return stored
        if known is None or await self._is_row_of(log_id, known):
            waiting = self._answers.wait(log_id, event.call_sid)
        elif (found := self._answers.under_way(event.call_sid)) is not None:
            waiting = found
        else:  # it was asked before, and nobody has answered
            return _unanswered(event)
        if known is None:
            await self._match_now(log_id)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(waiting.future) or _unanswered(event, waiting)
        except (TimeoutError, asyncio.CancelledError):
            return _unanswered(event, waiting)

    async def _is_row_of(self, log_id: int, known: str) -> bool:
        """Whether an event was parsed from this very row, which matching has met first."""
        row = await self._journal.events.log_row(known)
        return row is not None and row.id == log_id

    async def _stored(self, event: Event, known: str) -> str | None:
        """The answer that a request on record was given; None when there is none yet. Of a fallback
        that Twilio asks for the step of a call, the answer to that step."""
        failed = failed_document(event.fields) if event.type == "call.received" else None
        if failed is not None and failed.unusable:
            log.warning(
                "call %s: Twilio could not use our answer (error %d); the caller hears the "
                "fallback", event.call_sid, event.error_code,
            )  # fmt: skip
            return ""
        runs = self._journal.runs
        to_step = await runs.answer_to_step(event.call_sid, failed.step) if failed else None
        return to_step if to_step is not None else await runs.answer(known)

    def is_followed(self, log_id: int) -> bool:
        """Whether something waits until the caller has got the answer to this row."""
        waiting = self._answers.get(log_id)
        return waiting is not None and bool(waiting.followed)

    async def heard(self, log_id: int) -> None:
        """The caller has got the answer to this row: what stands behind it may be done."""
        waiting = self._answers.get(log_id)
        if waiting is not None and waiting.followed:
            await self._journal.attempts.heard(waiting.followed)
            self._on_due(iso(self._runtime.now()))

    async def late(self, log_id: int) -> None:
        """The caller has heard the fallback: the receiver could not wait for the answer to this row
        any longer. One that was given since, here or by a worker that has died, is sent as an
        update."""
        if self._answers.late(log_id):
            return
        row = await self._journal.log.get(log_id)
        parsed = events_from(row, lambda: "") if row else []
        known = await self._journal.events.uid_of(parsed[0]) if parsed else None
        if known is not None and await self._journal.attempts.unanswered(known):
            self._on_due(iso(self._runtime.now()))

    def waiting_for(self, found: Found) -> Waiting | None:
        """The call that waits for what this event brings, unless it is too old to wait still: for
        the runs that it starts, each that it wakes, and of a mere claim for its proof."""
        if found.asked is None:
            return None
        age = (self._runtime.now() - found.event.received_at).total_seconds()
        if age >= self._patience:
            return None
        waiting = self._answers.wait(found.asked, found.event.call_sid, age)
        claimed = found.event.trust == "claimed"
        waiting.unproven = waiting.unproven or claimed
        # All at once: the first may be done before the last is asked.
        waiting.holders += len(found.wakes) + bool(found.runs) + claimed
        if not waiting.holders:
            waiting.give("")
        return waiting

    def looked_up(self, log_id: int) -> None:
        """Whether the request in this row is real is known, and what it starts has begun."""
        waiting = self._answers.get(log_id)
        if waiting is not None and waiting.unproven:
            waiting.unproven = False
            waiting.leave()


def _unanswered(event: Event, waiting: Waiting | None = None) -> str:
    """What a call hears when no rule answers: nothing of ours for a new call, or when a rule has
    failed, so that the receiver's fallback speaks; for a step of our own TwiML the shortest valid
    document."""
    if event.type == "call.queued":
        return twiml.document((HOLD,))
    if event.type == "call.received" or (waiting is not None and waiting.failed):
        return ""
    return twiml.EMPTY
