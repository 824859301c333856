"""Calendar of opening hours, in its own time zone, through every change of the clocks.

`open: "mon-fri 09:00-17:00"` says spans of weekdays and wall-clock times, several of them after
commas. A span that ends before it begins runs past midnight. Holidays are dates that are closed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT = 24 * 60
_TIMES = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Span:
    """On this weekday (Monday is 0), open from `start` to `end`, in minutes since midnight.

    `end` may be beyond 1440: the span then runs into the next day.
    """

    weekday: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hours:
    """The opening hours of one place."""

    zone: str
    spans: tuple[Span, ...]
    holidays: frozenset[date] = frozenset()

    def is_open(self, moment: datetime) -> bool:
        """Whether the place is open at this moment (aware; any zone)."""
        local = moment.astimezone(zone(self.zone))
        minute = local.hour * 60 + local.minute
        today, yesterday = local.date(), local.date() - timedelta(days=1)
        for span in self.spans:
            if span.weekday == today.weekday() and today not in self.holidays:
                inside = span.start <= minute < span.end
            elif span.weekday == yesterday.weekday() and yesterday not in self.holidays:
                inside = minute < span.end - _MIDNIGHT
            else:
                inside = False
            if inside:
                return True
        return False

    def next_open(self, moment: datetime) -> datetime | None:
        """The first moment from now on at which it is open, UTC; None if not within 400 days."""
        if self.is_open(moment):
            return moment
        start = moment.astimezone(zone(self.zone)).date()
        for offset in range(400):
            day = start + timedelta(days=offset)
            if day in self.holidays:
                continue
            for span in sorted(self.spans, key=lambda each: each.start):
                if span.weekday != day.weekday():
                    continue
                opens = wall(day, span.start, self.zone)
                if opens >= moment and self.is_open(opens):
                    return opens
        return None


def wall(day: date, minute: int, zone_name: str) -> datetime:
    """The moment when a wall clock there shows this minute of the day, UTC.

    A time that the clocks skip in spring is the moment of the skip; one that comes twice in
    autumn is the first of the two.
    """
    there = zone(zone_name)
    shown = datetime.combine(day, time(minute // 60, minute % 60))
    moment = shown.replace(tzinfo=there).astimezone(UTC)
    if moment.astimezone(there).replace(tzinfo=None) == shown:
        return moment
    skipped = moment - timedelta(hours=3)
    while skipped.astimezone(there).replace(tzinfo=None) < shown:
        skipped += timedelta(minutes=1)
    return skipped


@lru_cache(maxsize=600)
def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises ValueError for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"unknown time zone {name!r}") from None


def parse_open(text: str) -> tuple[Span, ...]:
    """Read `mon-fri 09:00-17:00, sat 10:00-14:00`. Raises ValueError that names the wrong part."""
    spans: list[Span] = []
    days: list[int] = []
    for part in (piece.strip() for piece in text.lower().split(",")):
        words = part.split()
        if not words:
            raise ValueError("a part between two commas is empty")
        times = [word for word in words if _TIMES.fullmatch(word)]
        named = [word for word in words if word not in times]
        if named:
            days = [day for word in named for day in _weekdays(word)]
        if not days:
            raise ValueError(f"{part!r} names no weekday; write it like mon-fri 09:00-17:00")
        if not times:
            raise ValueError(f"{part!r} has no times; write it like {part} 09:00-17:00")
        spans += [Span(day, *_minutes(word)) for word in times for day in days]
    return tuple(spans)


def _weekdays(word: str) -> list[int]:
    if word in ("daily", "mon-sun"):
        return list(range(7))
    first, dash, last = word.partition("-")
    ends = [name[:3] for name in ((first, last) if dash else (first,))]
    for name in ends:
        if name not in WEEKDAYS:
            raise ValueError(
                f"{word!r} is neither a weekday (mon … sun, daily) nor a time 09:00-17:00"
            )
    start, end = WEEKDAYS.index(ends[0]), WEEKDAYS.index(ends[-1])
    return [(start + offset) % 7 for offset in range((end - start) % 7 + 1)]


def _minutes(word: str) -> tuple[int, int]:
    numbers = [int(number) for number in _TIMES.fullmatch(word).groups()]  # type: ignore[union-attr]
    start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[1], numbers[3]) > 59 or max(start, end) > _MIDNIGHT or start == _MIDNIGHT:
        raise ValueError(f"{word!r} is not a time of day; 00:00-24:00 is the whole day")
    if start == end:
        raise ValueError(f"{word!r} is empty; 00:00-24:00 is the whole day")
    return start, end if end > start else end + _MIDNIGHT
