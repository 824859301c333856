"""The demo: its project is a good one, and its week is the same each time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ringback.cli.demo
from ringback.cli.demo.week import CUSTOMERS, first_moment, week
from ringback.rules.files.load import load_rules
from ringback.rules.language.phones import impossible

NOW = datetime(2026, 11, 30, 15, 30, tzinfo=UTC)


def test_the_rules_of_the_demo_are_good() -> None:
    loaded = load_rules(Path(ringback.cli.demo.__file__).parent / "shop.yaml")
    assert not loaded.problems
    assert {"live", "shadow", "draft"} == {rule.state for rule in loaded.rules}


@pytest.mark.parametrize("days", [1, 7])
def test_a_week_lies_between_its_first_morning_and_now(days: int) -> None:
    acts = week(NOW, days)
    assert acts == week(NOW, days)
    assert acts == sorted(acts, key=lambda act: act.at)
    assert first_moment(NOW, days) <= acts[0].at
    assert NOW - timedelta(hours=6) < acts[-1].at < NOW


def test_a_week_has_its_troubles() -> None:
    acts = week(NOW, 7)
    faults = {act.body["do"] for act in acts if act.path == "/_sim/faults"}
    assert faults == {"duplicate", "error", "reset", "hang"}
    bodies = [act.body.get("body") for act in acts]
    assert {"STOP", "START"} <= set(bodies)


def test_the_customers_have_numbers_that_can_be_texted() -> None:
    assert [number for number in CUSTOMERS if impossible(number)] == []
