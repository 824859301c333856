"""Fresh texts: the ends of texts of ours in a batch of events that is not written yet."""

from datetime import datetime
from typing import Protocol

from ringback.events import Event
from ringback.rules.delivery_rates import (
    Counts,
    Ended,
    TextEnd,
    end_of,
    first_minute,
    is_news,
    is_over,
)


class Past(Protocol):
    """What is on record of texts."""

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        """How many came to an end."""

    def end_before(self, sid: str) -> TextEnd | None:
        """The end that is counted for a text."""

    def rule_of(self, sid: str, tag: str) -> str:
        """The rule that asked for a text."""


class FreshTexts:
    """Counts what a batch adds to the past. Nothing is looked up before somebody asks."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._new: list[Event] = []
        self._counts = Counts()
        self._ends: dict[str, TextEnd] = {}
        self._asked: dict[tuple[str, str, str], Ended] = {}
        self.over: set[str] = set()
        """The texts (SIDs) of which nothing more is to be expected."""

    def add(self, event: Event) -> None:
        """One more event of the batch."""
        if is_news(event) and is_over(event):
            self._new.append(event)
            self.over.add(event.subject_sid)

    def ended(self, by: str, of: str, seconds: float, now: datetime) -> Ended:
        """How many texts came to an end: on record, which is asked once for all events of the
        batch, and in what has been added."""
        for event in self._new:
            self._count(event)
        self._new.clear()
        minute = first_minute(now, seconds)
        asked = (by, of, minute)
        if asked not in self._asked:
            self._asked[asked] = self._past.ended_texts(by, of, seconds)
        return self._asked[asked] + self._counts.ended(by, of, minute)

    def _count(self, event: Event) -> None:
        sid = event.subject_sid
        end = end_of(event, self._past.rule_of(sid, event.tag))
        if end is None:
            return
        before = self._ends.get(sid) or self._past.end_before(sid)
        self._counts.add(end, before)
        if before is None or end.delivered:
            self._ends[sid] = end
