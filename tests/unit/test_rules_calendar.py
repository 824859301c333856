"""Opening hours, spans and schedules, through every change of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.rules.timing.calendar import Hours, parse_open, wall
from ringback.rules.timing.cron import bad_cron, next_time
from ringback.rules.timing.durations import format_duration, parse_duration

NEW_YORK = "America/New_York"
OFFICE = Hours(NEW_YORK, parse_open("mon-fri 09:00-12:00, 13:00-17:00, sat 10:00-14:00"))


def at(text: str, zone: str = NEW_YORK) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-20 08:59:59", False),
        ("2026-11-20 09:00:00", True),
        ("2026-11-20 11:59:59", True),
        ("2026-11-20 12:30:00", False),
        ("2026-11-20 16:59:59", True),
        ("2026-11-20 17:00:00", False),
        ("2026-11-21 10:00:00", True),
        ("2026-11-21 15:00:00", False),
        ("2026-11-22 11:00:00", False),
    ],
)
def test_open_and_closed_by_the_clock_on_the_wall(moment: str, is_open: bool) -> None:
    assert OFFICE.is_open(at(moment)) is is_open


@pytest.mark.parametrize("day", ["2026-03-06", "2026-03-09", "2026-10-30", "2026-11-02"])
def test_the_same_wall_clock_before_and_after_the_clocks_change(day: str) -> None:
    assert not OFFICE.is_open(at(f"{day} 08:59"))
    assert OFFICE.is_open(at(f"{day} 09:00"))
    assert not OFFICE.is_open(at(f"{day} 17:00"))


def test_a_holiday_is_closed_and_so_is_the_night_that_begins_on_it() -> None:
    bar = Hours(NEW_YORK, parse_open("daily 20:00-02:00"), frozenset({date(2026, 12, 25)}))
    assert bar.is_open(at("2026-12-25 01:00"))
    assert not bar.is_open(at("2026-12-25 21:00"))
    assert not bar.is_open(at("2026-12-26 01:00"))
    assert bar.is_open(at("2026-12-26 20:00"))


def test_a_span_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    club = Hours("Europe/Berlin", parse_open("fri-sat 22:00-05:00"))
    assert club.is_open(at("2026-11-21 04:59", "Europe/Berlin"))
    assert not club.is_open(at("2026-11-21 05:00", "Europe/Berlin"))
    assert not club.is_open(at("2026-11-20 04:00", "Europe/Berlin"))
    assert club.is_open(at("2026-11-22 00:00", "Europe/Berlin"))


def test_the_whole_day_is_open_at_every_minute_even_when_an_hour_is_skipped_or_comes_twice() -> (
    None
):
    always = Hours(NEW_YORK, parse_open("daily 00:00-24:00"))
    for start in ("2026-03-08 00:00", "2026-11-01 00:00"):
        first = at(start)
        assert all(always.is_open(first + timedelta(minutes=n)) for n in range(0, 1600, 7))


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        ("2026-11-20 10:00", "2026-11-20 10:00"),
        ("2026-11-20 12:30", "2026-11-20 13:00"),
        ("2026-11-20 18:00", "2026-11-21 10:00"),
        ("2026-11-21 14:00", "2026-11-23 09:00"),
        ("2026-03-07 20:00", "2026-03-09 09:00"),
    ],
)
def test_the_next_opening(moment: str, opens: str) -> None:
    assert OFFICE.next_open(at(moment)) == at(opens)


def test_a_place_that_opens_in_the_skipped_hour_opens_when_the_clocks_jump() -> None:
    early = Hours(NEW_YORK, parse_open("sun 02:30-04:00"))
    jump = datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    assert wall(date(2026, 3, 8), 150, NEW_YORK) == jump
    assert early.next_open(jump - timedelta(hours=5)) == jump


def test_a_place_that_never_opens_has_no_next_opening() -> None:
    assert Hours("UTC", ()).next_open(datetime(2026, 1, 1, tzinfo=UTC)) is None


@settings(deadline=None)
@given(
    st.integers(1_577_836_800, 2_051_222_400).map(lambda n: datetime.fromtimestamp(n, UTC)),
    st.sampled_from([NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(moment: datetime, zone: str) -> None:
    hours = Hours(zone, parse_open("mon-fri 08:30-12:00, sun 02:15-03:15"))
    opens = hours.next_open(moment)
    assert opens is not None
    assert opens >= moment
    assert hours.is_open(opens)
    gap = (opens - moment) / 40
    assert opens == moment or not any(hours.is_open(moment + gap * step) for step in range(40))


@pytest.mark.parametrize(
    "text",
    ["", "mon", "09:00-17:00", "mon-fri 9-17", "mon 24:00-25:00", "mon 09:60-10:00", "mon,", "x 1"],
)
def test_hours_that_cannot_be_read_say_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w{3,}"):
        parse_open(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("15m", 900), ("12h", 43200), ("1h30m", 5400), ("2d", 172800), ("1w", 604800),
        ("500ms", 0.5), ("1.5h", 5400), ("1h 30m", 5400), ("15M", 900),
    ],
)  # fmt: skip
def test_spans_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "12", "h", "1x", "-5m", "1h-", "500d", "1e9s", "٣m", "1 0 0 0 0"]
)
def test_spans_that_cannot_be_read_say_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"span of time|400 days"):
        parse_duration(text)


@settings(deadline=None)
@given(st.integers(1, 34_000_000_000))
def test_a_span_that_is_written_out_reads_back_the_same(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) * 1000 == pytest.approx(
        milliseconds
    )


def test_a_schedule_keeps_to_the_wall_clock_of_its_zone() -> None:
    before = datetime(2026, 3, 6, 12, 0, tzinfo=UTC)
    friday = next_time("0 9 * * mon-fri", NEW_YORK, before)
    assert friday == at("2026-03-06 09:00")
    assert next_time("0 9 * * mon-fri", NEW_YORK, friday) == at("2026-03-09 09:00")


@pytest.mark.parametrize(
    "line", ["", "* * * *", "0 25 * * *", "0 9 * * someday", "0 0 31 2 *", "@daily"]
)
def test_a_schedule_that_cannot_be_read_says_so(line: str) -> None:
    assert bad_cron(line)
