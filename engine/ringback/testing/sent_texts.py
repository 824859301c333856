"""Texts of a bench that left, and what became of each.

What leaves here has no SID. The first news of a text that is not known is taken for that of the
oldest one that left in its conversation: so a text has its rule, and is pending until its end. In a
backtest that is the recorded one, which a rule sends again as it did.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from ringback.events import Event, person
from ringback.rules.delivery_rates import (
    LATEST_PENDING,
    Counts,
    TextEnd,
    end_of,
    is_news,
    is_over,
)

_DAY = timedelta(seconds=LATEST_PENDING)
_FORGOTTEN = 2 * _DAY
"""An end so long ago is not corrected any more."""


@dataclass(eq=False, slots=True)
class SentText:
    """A text that is pending: since when, from whom, and the rule that asked for it."""

    began_at: datetime
    senders: tuple[str, ...]
    rule: str = ""


@dataclass(slots=True)
class SentTexts:
    """The texts of one bench."""

    counts: Counts = field(default_factory=Counts)
    _left: dict[str, deque[SentText]] = field(default_factory=lambda: defaultdict(deque))
    _told: dict[str, SentText] = field(default_factory=dict)
    _ends: dict[str, TextEnd] = field(default_factory=dict)

    def left(self, conversation: str, service: str, rule: str, now: datetime) -> None:
        """A text left."""
        ours = conversation.partition("/")[0]
        self._left[conversation].append(SentText(now, (person(ours), service), rule))

    def happened(self, event: Event) -> None:
        """An event, which may be news of a text."""
        if not is_news(event):
            return
        sid, now = event.subject_sid, event.received_at
        if sid not in self._told:
            waiting = self._left.get(event.conversation)
            service = event.fields.get("MessagingServiceSid", "")
            fresh = SentText(now, (person(event.sender), service))
            self._told[sid] = waiting.popleft() if waiting and sid not in self._ends else fresh
        text = self._told[sid]
        if not is_over(event):
            if sid in self._ends:
                del self._told[sid]
            return
        del self._told[sid]
        before = self._ends.get(sid)
        end = end_of(event, text.rule or (before.rule if before else ""))
        if end is not None:
            self.counts.add(end, before)
            if before is None or end.delivered:
                self._ends[sid] = end
        self._forget(now)

    def pending(self, now: datetime, seconds: float, sender: str) -> int:
        """How many have been pending for longer than this, of those of the last day."""
        since, until = now - _DAY, now - timedelta(seconds=seconds)
        texts = [*self._told.values(), *(each for left in self._left.values() for each in left)]
        return sum(
            since < each.began_at <= until and (not sender or sender in each.senders)
            for each in texts
        )

    def _forget(self, now: datetime) -> None:
        for sid in [*islice(self._ends, 2)]:  # the oldest stand first
            if self._ends[sid].at < now - _FORGOTTEN:
                del self._ends[sid]
        for sid in [*islice(self._told, 2)]:
            if self._told[sid].began_at < now - _FORGOTTEN:
                del self._told[sid]
