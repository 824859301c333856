"""Silence of a number: whether so few texts and calls come that something must be wrong. Pure.

The span since the last one is held against the same hours of earlier days, so that no night and no
day off is an alarm. All of these days end with the last arrival: silence does not become usual by
going on.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from statistics import median

DAYS = 7
"""So many earlier days are looked at."""
BUSY = 24
"""So many texts and calls in one of its last days make a number whose silence means something."""
MISSED = 6.0
"""So many must have come in the same hours, on the average of the days that are known."""
LEAST_SILENCE = timedelta(hours=2)
GIVEN_UP = timedelta(days=30)
"""A number to which nothing has come for so long is taken for one that is not used any more."""
HOUR = timedelta(hours=1)
ALWAYS, STEADY = 60, 6
"""So many in the last hour, and in so many of its tens of minutes, make a number to which something
comes all the time."""
SURE = 15.0
"""So many must be missed in silence of minutes: by chance that comes about once in some years."""
LEAST_SUDDEN = timedelta(minutes=3)
_SET = timedelta(hours=1)  # a clock may have been set meanwhile
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


def look_back(last: datetime, now: datetime) -> datetime:
    """Since when arrivals must be known, to judge the silence since the `last` one."""
    return last - _whole_days(now - last) - (DAYS - 1) * _DAY - _SET


def missed(
    arrivals: Mapping[datetime, int], last: datetime, now: datetime, zone: tzinfo = UTC
) -> float:
    """How many texts and calls should have come since the last one; 0 when that is nothing unusual.

    `arrivals` are counts by the moment at which their span begins. Some people go by the clock of
    the `zone` and others do not: when it is set, it must be unusual for both.
    """
    return min(_missed(arrivals, last, now, each) for each in {UTC, zone})


def _missed(arrivals: Mapping[datetime, int], last: datetime, now: datetime, zone: tzinfo) -> float:
    silence = now - last
    days = Counter[int]()
    for at, count in arrivals.items():
        days[(last - at) // _DAY] += count
    if silence < LEAST_SILENCE or max(days.values(), default=0) < BUSY:
        return 0.0

    here, then = now.astimezone(zone), last.astimezone(zone)

    def came(back: timedelta) -> int:
        begin, end = then - back, here - back  # by the hands of that clock
        return sum(count for at, count in arrivals.items() if begin <= at < end)

    known, back = min(arrivals), _whole_days(silence)
    shifts = [back + number * _DAY for number in range(DAYS)]
    counts = {shift: came(shift) for shift in shifts if now - shift - known >= silence / 2}
    if not counts:
        return 0.0
    usual = sum(counts.values()) / len(counts)
    same_day = next((count for shift, count in counts.items() if not shift % _WEEK), usual)
    # One day with very many does not make them usual, unless it was the same day of the week.
    often = min(usual, max(same_day, median(counts.values())))
    return usual if often >= MISSED and same_day >= MISSED / 2 else 0.0


def missed_soon(hour: Sequence[int], earlier: Sequence[int], silence: timedelta) -> float:
    """How many should have come since the last one to a number that something comes to all the
    time; 0 when that is nothing unusual.

    `hour` are the counts of the ten minutes of the hour before the last one in which any came,
    `earlier` those of the hour that follows the same moment on earlier days, the day before first.
    What comes evenly through an hour does not end by chance; and where it ends at this time on most
    days, or on this day of the week, it is no silence.
    """
    if len(hour) < STEADY or not earlier or silence < LEAST_SUDDEN:
        return 0.0
    often = min(sum(hour), sum(earlier) / len(earlier), median(earlier))
    if len(earlier) >= DAYS:  # the same day of the week
        often = min(often, 2 * earlier[DAYS - 1])
    expected = often * (silence / HOUR)
    return expected if expected >= SURE else 0.0


def _whole_days(span: timedelta) -> timedelta:
    return -(-span // _DAY) * _DAY
