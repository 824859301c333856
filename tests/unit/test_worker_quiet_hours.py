"""Quiet hours of a recipient, by number and time zone."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.worker.gate.quiet_hours import Quiet, zones_of

NEW_YORK, MOSCOW, BERLIN, CHATHAM = "+12125550100", "+74951234567", "+4930123456", "+6433050100"


def asleep(recipient: str, start: time, end: time, moment: datetime) -> int:
    """In how many zones of a number it is quiet, counted the plain way."""
    clocks = [moment.astimezone(ZoneInfo(zone)).time() for zone in zones_of(recipient)]
    if start < end:
        return sum(start <= clock < end for clock in clocks)
    return sum(clock >= start or clock < end for clock in clocks)


@settings(max_examples=25, deadline=None)
@given(
    recipient=st.sampled_from([NEW_YORK, MOSCOW, BERLIN, CHATHAM]),
    hours=st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda pair: pair[0] != pair[1]),
    minutes=st.integers(0, 366 * 24 * 4).map(lambda quarters: quarters * 15),
)
def test_it_leaves_at_the_first_quarter_in_which_the_fewest_are_asleep(
    recipient: str, hours: tuple[int, int], minutes: int
) -> None:
    """Nobody is asleep in it where there is such an hour; clocks may change in between."""
    start, end = time(hours[0]), time(hours[1])
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    until = Quiet(f"{start:%H:%M}-{end:%H:%M}").until(recipient, now)
    days = [now + timedelta(minutes=15 * step) for step in range(25 * 4 + 1)]
    counts = [asleep(recipient, start, end, moment) for moment in days]
    if until is None:
        assert counts[0] == min(counts)
    else:
        assert counts[0] > asleep(recipient, start, end, until) == min(counts)
        assert until == days[counts.index(min(counts))]


@pytest.mark.parametrize("span", ["00:01-23:59", "20:00-10:00", "12:00-11:00"])
@pytest.mark.parametrize("recipient", [NEW_YORK, MOSCOW])
def test_a_country_without_a_common_day_is_texted_all_the_same(span: str, recipient: str) -> None:
    """Within a day, even the longest; and what was put off until then leaves then."""
    quiet = Quiet(span)
    for hour in range(24):
        now = datetime(2026, 3, 28, hour, 30, tzinfo=UTC)
        until = quiet.until(recipient, now) or now
        assert until - now <= timedelta(hours=25)
        assert quiet.until(recipient, until) is None


def test_numbers_that_tell_no_zone_go_by_the_setting() -> None:
    night = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
    assert Quiet("21:00-08:00").until("72000", night) == night.replace(hour=8)
    assert Quiet("21:00-08:00", "Asia/Tokyo").until("72000", night) is None
    assert Quiet("").until("72000", night) is None
