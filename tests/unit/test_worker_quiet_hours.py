"""Quiet hours of a recipient, by number and time zone."""

import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.worker.gate.quiet_hours import Quiet, local_times, zones_of

BERLIN, CHATHAM = "+4930123456", "+6433050100"
SOME_US, SOME_RUSSIAN = "+15550100100", "+79161234567"  # of no area: all zones of the country


def asleep(recipient: str, start: time, end: time, moment: datetime) -> int:
    """In how many zones of a number it is quiet, counted the plain way."""
    clocks = [moment.astimezone(ZoneInfo(zone)).time() for zone in zones_of(recipient)]
    if start < end:
        return sum(start <= clock < end for clock in clocks)
    return sum(clock >= start or clock < end for clock in clocks)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    recipient=st.sampled_from([SOME_US, SOME_RUSSIAN, BERLIN, CHATHAM]),
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
@pytest.mark.parametrize("recipient", [SOME_US, SOME_RUSSIAN])
def test_a_country_without_a_common_day_is_texted_all_the_same(span: str, recipient: str) -> None:
    """Within a day, even the longest; and what was put off until then leaves then."""
    quiet = Quiet(span)
    for hour in range(24):
        now = datetime(2026, 3, 28, hour, 30, tzinfo=UTC)
        until = quiet.until(recipient, now) or now
        assert until - now <= timedelta(hours=25)
        assert quiet.until(recipient, until) is None


@pytest.mark.parametrize(
    ("recipient", "zones"),
    [
        ("+12125550100", ("America/New_York",)),
        ("whatsapp:+14155550100", ("America/Los_Angeles",)),
        ("+18085550100", ("Pacific/Honolulu",)),
        ("+12505550100", ("America/Vancouver",)),
        ("+74951234567", ("Europe/Moscow",)),
        ("+61291234567", ("Australia/Sydney",)),
        ("+5511987654321", ("America/Sao_Paulo",)),
        (CHATHAM, ("Pacific/Chatham",)),
    ],
)
def test_an_area_code_tells_the_zone(recipient: str, zones: tuple[str, ...]) -> None:
    assert zones_of(recipient) == zones


@pytest.mark.parametrize(
    ("recipient", "one", "other"),
    [
        (SOME_US, "America/New_York", "Pacific/Honolulu"),
        ("+18005550100", "America/New_York", "America/Los_Angeles"),
        ("+61412345678", "Australia/Perth", "Australia/Sydney"),
        (SOME_RUSSIAN, "Europe/Moscow", "Asia/Vladivostok"),
    ],
)
def test_a_number_of_no_area_may_be_in_any_zone_of_its_country(
    recipient: str, one: str, other: str
) -> None:
    """Unassigned, toll-free, mobile: day must have come everywhere."""
    assert {one, other} <= set(zones_of(recipient))


def test_new_york_is_texted_while_hawaii_sleeps() -> None:
    """At 9 in New York it is 3 or 4 in Honolulu."""
    morning = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
    quiet = Quiet("21:00-08:00")
    assert quiet.until("+12125550100", morning) is None
    assert quiet.until("+18085550100", morning) == datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
    assert quiet.until(SOME_US, morning) == datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


@pytest.mark.slow
def test_geography_is_loaded_only_where_hours_are_asked_for() -> None:
    """Two megabytes of area codes that most nodes never need."""
    code = (
        "import sys, ringback.worker.engine, ringback.worker.gate.gate as gate\n"
        "assert not [name for name in sys.modules if name.startswith('phonenumbers.t')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numbers_that_tell_no_zone_go_by_the_setting() -> None:
    night = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
    assert Quiet("21:00-08:00").until("72000", night) == night.replace(hour=8)
    assert Quiet("21:00-08:00", "Asia/Tokyo").until("72000", night) is None
    assert Quiet("").until("72000", night) is None


def test_the_time_where_somebody_is_may_be_several() -> None:
    """Of an area one; of a country with several zones the earliest and the latest; of a short code
    none."""
    now = datetime(2026, 1, 15, 18, 0, tzinfo=UTC)
    assert local_times("+442071838750", now) == ["18:00"]
    first, last = local_times("+18005550100", now)
    assert first < "12:00" < last
    assert local_times("12345", now) == []
