"""Escalation policies in `ringback.toml`: mistakes, and the example of the manual."""

import re
import tomllib
from pathlib import Path

import pytest

from ringback.gateway.channel_tables import person
from ringback.gateway.escalation_tables import policies, problems

PAGE = Path(__file__).parents[2] / "docs" / "channels.md"
STEP = {"tell": "chat"}


@pytest.mark.parametrize(("table", "says"), [
    ({"steps": []}, "steps: must have 1 or more entries"),
    ({}, "steps: is missing"),
    ({"steps": [{"tell": []}]}, "steps.0.tell: must have 1 or more entries"),
    ({"steps": [STEP, {"tell": ["chat", "caht"]}]},
     "steps.1.tell: no channel is called 'caht'; did you mean 'chat'?; there are: log, chat"),
    ({"steps": [{"tell": "again"}]}, "steps.0.tell: 'again' is an escalation; a step tells "
     "channels, so that none goes in a circle"),
    ({"steps": [{"tell": "webhook"}]}, "steps.0.tell: the channel webhook has no address"),
    ({"steps": [{"tell": "chat", "wait": "10"}]}, "steps.0.wait: a span of time needs a unit"),
    ({"steps": [{"tell": "chat", "wait": "5s"}]}, "steps.0.wait: '5s' is shorter than a minute"),
    ({"steps": [{"tell": "chat", "wiat": "5m"}]}, "steps.0.wiat: "),
    ({"steps": [STEP], "hours": {"tz": "Mars/Olympus", "open": "daily 08:00-22:00"}},
     "hours.tz: unknown time zone 'Mars/Olympus'"),
    ({"steps": [STEP], "hours": {"tz": "UTC", "open": "08:00-22:00"}},
     "hours.open: '08:00-22:00' names no weekday"),
    ({"steps": [STEP], "acknowledge": "stop"}, "acknowledge.0: 'stop' must be one word"),
    ({"steps": [STEP], "rounds": 0}, "rounds: must be 1 or more"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(table: dict[str, object], says: str) -> None:
    """One sentence, which begins with the table and the word."""
    (found,) = problems({"again": table}, ["chat"])
    assert found.startswith(f"[escalations.again] {says}")


def test_the_example_of_the_manual_is_right() -> None:
    """It has no problems, its people are found, and its second round begins with the first step."""
    (text,) = (
        each
        for each in re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
        if "[escalations" in each
    )
    tables = tomllib.loads(text)
    channels = tables["channels"]
    assert list(problems(tables["escalations"], channels)) == []
    (policy,) = policies(tables["escalations"]).values()
    assert [policy.step(number) for number in (3, 6)] == [policy.step(0), None]
    anna = person(channels, "anna", {})
    assert anna is not None
    assert anna.to == "+12025550101"
    assert person(channels, "chat", {}) is None
