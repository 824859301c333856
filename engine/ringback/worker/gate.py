"""The gate: what stands before every action, and what no rule or plugin can pass.

It allows, defers or refuses, always with the reason in words. It is asked at the last moment
before an attempt, so a STOP that came in between still counts.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.actions import PlaceCall, SendMessage
from ringback.config import Settings
from ringback.events import Event
from ringback.seams import Seams, from_iso, iso
from ringback.store import consenting
from ringback.store.journal import Journal
from ringback.store.sending import StoredAction
from ringback.worker.quiet import Quiet

HOUR = timedelta(hours=1)
LOOP_WINDOW = timedelta(minutes=10)
LOOP_TURNS = 5
FAST = timedelta(seconds=3)
"""A text that comes so soon after ours was written by a machine, or our reply went to one."""
DEEPEST = 5
"""So many of our own actions may cause each other in a row."""

Look = tuple[str, str, str | None]
ALLOWED: Look = ("planned", "", None)


@dataclass(frozen=True, slots=True)
class Addressed:
    """Who would hear from whom."""

    sender: str
    recipient: str
    replies: bool


class Gatekeeper:
    """Looks at each action just before it would be sent."""

    def __init__(self, journal: Journal, settings: Settings, seams: Seams) -> None:
        self._journal = journal
        self._settings = settings
        self._seams = seams
        self._quiet = Quiet(settings.quiet_hours, settings.quiet_zone)
        now, passed = seams.now(), seams.monotonic()
        self._sent = deque(
            passed - max(0.0, (now - from_iso(moment)).total_seconds())
            for moment in consenting.sent_in_all(journal.reader, iso(now - HOUR))
        )
        self._ours = consenting.our_numbers(journal.reader)
        if settings.sender:
            self._ours.add(settings.sender)

    def look(self, action: StoredAction) -> Look:
        """The state, the reason, and for `deferred` the time until which it waits."""
        addressed = self._addressed(action)
        if addressed is None:
            return ALLOWED
        now = self._seams.now()
        sent = consenting.sent_since(self._journal.reader, action.conversation, iso(now - HOUR))
        refused = self._consent(addressed) or self._loop(action, addressed, sent, now)
        if refused:
            return "refused", refused, None
        until = None if addressed.replies else self._quiet.until(addressed.recipient, now)
        if until is not None:
            return (
                "deferred",
                f"quiet hours until {iso(until)} for {addressed.recipient}",
                iso(until),
            )
        refused = self._budget(action, sent)
        if refused:
            return "refused", refused, None
        return ALLOWED

    def opened(self, action: StoredAction) -> None:
        """An attempt is about to leave: it counts, and what was only looked at does not."""
        if self._addressed(action) is not None:
            self._sent.append(self._seams.monotonic())

    def learn(self, event: Event) -> None:
        """Take note of our own numbers. Consent is written where the event is recorded."""
        if event.type == "message.received" and event.recipient:
            self._ours.add(event.recipient)

    def _addressed(self, action: StoredAction) -> Addressed | None:
        wish = action.action
        if isinstance(wish, SendMessage):
            sender = wish.messaging_service_sid or wish.sender or self._settings.sender
            return Addressed(sender, wish.to, bool(wish.in_reply_to))
        if isinstance(wish, PlaceCall):
            return Addressed(wish.sender or self._settings.sender, wish.to, False)
        return None

    def _consent(self, addressed: Addressed) -> str:
        out = consenting.opted_out(self._journal.reader, addressed.sender, addressed.recipient)
        return f"{addressed.recipient} opted out of {addressed.sender} ({out})" if out else ""

    def _loop(
        self, action: StoredAction, addressed: Addressed, sent: list[str], now: datetime
    ) -> str:
        if action.depth > DEEPEST:
            return f"loop: {action.depth} of our own actions caused each other"
        if addressed.recipient in self._ours:
            return f"loop: {addressed.recipient} is our own number"
        since = iso(now - LOOP_WINDOW)
        sent = [moment for moment in sent if moment >= since]
        if len(sent) < LOOP_TURNS:
            return ""
        heard = consenting.heard_since(self._journal.reader, action.conversation, since)
        turns = fast_turns(
            [from_iso(moment) for moment in sent], [from_iso(moment) for moment in heard]
        )
        if turns >= LOOP_TURNS:
            return f"loop: {turns} turns at machine speed with {addressed.recipient} in 10 minutes"
        return ""

    def _budget(self, action: StoredAction, sent: list[str]) -> str:
        hour_ago = self._seams.monotonic() - HOUR.total_seconds()
        while self._sent and self._sent[0] < hour_ago:
            self._sent.popleft()
        total = self._settings.total_per_hour
        if total and len(self._sent) >= total:
            return f"budget: {total} an hour in all (RINGBACK_TOTAL_PER_HOUR) are used up"
        each = self._settings.recipient_per_hour
        if each and action.conversation and len(sent) >= each:
            return f"budget: {each} an hour to one recipient (RINGBACK_RECIPIENT_PER_HOUR)"
        return ""


def fast_turns(sent: list[datetime], heard: list[datetime]) -> int:
    """How many of the texts that we heard came at machine speed after one that we sent."""
    turns, index = 0, 0
    for moment in sorted(heard):
        while index + 1 < len(sent) and sent[index + 1] <= moment:
            index += 1
        if sent and sent[index] <= moment and moment - sent[index] < FAST:
            turns += 1
    return turns
