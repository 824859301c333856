"""Twilio's time, held against its records whatever our own clock says."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from ringback.actions import SendMessage, to_params
from ringback.config import Settings
from ringback.runtime import ClockFile, Runtime, from_iso, iso
from ringback.store.actions import StoredAction
from ringback.store.attempts import Departure
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.worker.gate.gate import Gatekeeper
from ringback.worker.send.server_clock import ServerClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class World:
    """Two clocks: the wall clock can be set."""

    def __init__(self) -> None:
        self.wall = NOON
        self.passed = 0.0
        self.runtime = Runtime(lambda: self.wall.timestamp(), lambda: self.passed)

    def wait(self, seconds: float) -> None:
        """Time passes on both."""
        self.wall += timedelta(seconds=seconds)
        self.passed += seconds


def date(moment: datetime) -> str:
    """A moment as the `Date` of an answer."""
    return format_datetime(moment, usegmt=True)


def test_a_clock_of_dev_that_is_moved_takes_what_twilio_said_along(tmp_path: Path) -> None:
    """`ringback simulate clock +1h` moves both: the first attempt behind it has the new time."""
    moved = ClockFile(tmp_path / "clock")
    clock = ServerClock(Runtime(time=moved.time, ahead=lambda: moved.ahead))
    clock.hear(date(clock.now()))
    before = clock.departure()
    for seconds in (3600.0, 86_400.0):
        moved.move(seconds)
        assert abs(clock.now() - datetime.now(UTC)) > timedelta(seconds=seconds - 60)
    (left,) = clock.starts(before)
    assert abs(left - from_iso(before.at)) < timedelta(seconds=30)


def test_our_clock_counts_until_another_was_heard_and_while_both_agree() -> None:
    world = World()
    clock = ServerClock(world.runtime)
    clock.hear("")
    clock.hear("no date at all")
    assert not clock.heard
    assert clock.now() == NOON
    clock.hear(date(NOON - timedelta(seconds=4)))
    assert clock.heard
    assert clock.now() == NOON


def test_a_clock_that_is_set_moves_nothing_at_twilio() -> None:
    world = World()
    clock = ServerClock(world.runtime)
    clock.hear(date(NOON))
    world.wait(30)
    world.wall += 24 * HOUR
    assert clock.now() == NOON + timedelta(seconds=30)


def test_what_left_before_twilio_was_heard_is_told_by_the_time_that_passed() -> None:
    world = World()
    world.wall += 3 * HOUR
    departure = ServerClock(world.runtime).departure()
    world.wait(60)
    world.wall -= 7 * HOUR
    another_process = ServerClock(world.runtime)
    another_process.hear(date(NOON + timedelta(seconds=60)))
    world.wall += HOUR
    assert another_process.starts(departure) == (NOON,)


def elsewhere(noted: datetime) -> Departure:
    """What another start of the machine noted."""
    return Departure(iso(noted), 0.0, "another")


@pytest.mark.parametrize("uptime", [None, 9e9])
def test_uptime_that_is_unknown_or_went_back_tells_nothing(uptime: float | None) -> None:
    world = World()
    clock = ServerClock(world.runtime)
    clock.hear(date(NOON))
    world.wait(60)
    departure = replace(clock.departure(), at=iso(NOON), uptime=uptime)
    assert clock.starts(departure) == (NOON,)


def test_what_another_start_noted_by_a_clock_that_is_wrong_still_is_told_by_both() -> None:
    world = World()
    world.wall -= 3 * HOUR
    clock = ServerClock(world.runtime)
    clock.hear(date(NOON))
    noted = world.wall - timedelta(seconds=90)
    assert clock.starts(elsewhere(noted)) == (noted, NOON - timedelta(seconds=90))


def test_nobody_knows_what_was_noted_for_a_moment_that_is_yet_to_come() -> None:
    world = World()
    clock = ServerClock(world.runtime)
    clock.hear(date(NOON))
    assert clock.starts(elsewhere(NOON + HOUR)) == ()


async def test_a_clock_that_was_a_day_ahead_uses_up_no_budget_of_today(tmp_path: Path) -> None:
    world = World()
    Log.open(tmp_path / "log.db").close()
    store = open_store(tmp_path)
    try:
        settings = replace(
            Settings(project=tmp_path, data=tmp_path, sender="+15550000001"), total_per_hour=1
        )
        gate = Gatekeeper(settings, world.runtime)
        await store.journal.read(lambda session: gate.begin(session.gate))

        async def look() -> str:
            return (await store.journal.read(lambda session: gate.look(action, session.gate)))[0]

        wanted = SendMessage(to="+15550000002", body="x")
        action = StoredAction(
            "act_1", "run_1", "evt_1", "r", wanted.kind, "message", json.dumps(to_params(wanted)),
            "checked", "planned", "", "", "", iso(NOON), None, None, 0, "", "", 1,
        )  # fmt: skip
        world.wall += 24 * HOUR
        assert await look() == "planned"
        world.wall -= 24 * HOUR
        assert await look() == "refused"
        world.wait(3601)
        assert await look() == "planned"
    finally:
        store.close()


def test_the_next_process_knows_what_was_heard_whatever_happened_to_our_clock() -> None:
    world = World()
    first = ServerClock(world.runtime)
    assert first.note() == ""
    first.hear(date(NOON))
    assert first.news.is_set()
    noted = first.note()
    assert not first.news.is_set()
    world.wait(600)
    world.wall += 3 * HOUR
    second = ServerClock(world.runtime)
    second.restore(noted)
    assert second.heard
    assert second.now() == NOON + timedelta(seconds=600)


def test_a_clock_that_was_set_is_news() -> None:
    world = World()
    clock = ServerClock(world.runtime)
    clock.hear(date(NOON))
    clock.note()
    world.wait(60)
    clock.hear(date(NOON + timedelta(seconds=60)))
    assert not clock.news.is_set()
    world.wait(60)
    world.wall -= HOUR
    clock.hear(date(NOON + timedelta(seconds=120)))
    assert clock.news.is_set()


@pytest.mark.parametrize("noted", ["", "{}", "no json", '{"said": "noon", "at": 1, "start": ""}'])
def test_what_cannot_be_read_is_as_if_nothing_was_heard(noted: str) -> None:
    clock = ServerClock(World().runtime)
    clock.restore(noted)
    assert not clock.heard


def test_another_start_of_the_machine_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    first = ServerClock(world.runtime)
    first.hear(date(NOON))
    noted = first.note()
    monkeypatch.setattr("ringback.worker.send.server_clock._machine_start", lambda: "another")
    second = ServerClock(world.runtime)
    second.restore(noted)
    assert not second.heard
