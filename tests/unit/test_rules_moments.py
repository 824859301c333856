"""Moments that people write: dates and times with figures, strictly, in zones and languages."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringback.actions import SendMessage
from ringback.rules.files.load import load_rules
from ringback.rules.functions.moments import is_moment, moment
from ringback.rules.interpreter.machine import begin
from ringback.rules.language.scope import NoFacts, Scope
from ringback.testing import sms

NOW = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)
"""Three in the afternoon in New York, nine in the evening in Berlin."""


@pytest.fixture(autouse=True)
def now() -> None:
    Scope(sms("x"), NoFacts(), now=NOW).enter()


def read(text: str, zone: str, language: str = "") -> str:
    return moment(text, zone, language).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "language", "utc"),
    [
        ("2026-12-24 18:00", "", "2026-12-24 23:00"),
        (" 2026-12-24T18:00 ", "", "2026-12-24 23:00"),
        ("2026-12-24", "", "2026-12-24 05:00"),
        ("2026-12-24 18:00+01:00", "", "2026-12-24 17:00"),
        ("2026-12-24T18:00:00Z", "", "2026-12-24 18:00"),
        ("2026-07-01 18:00", "", "2026-07-01 22:00"),
        ("16:30", "", "2026-11-30 21:30"),
        ("14:30", "", "2026-12-01 19:30"),
        ("9am", "", "2026-12-01 14:00"),
        ("9 P.M.", "", "2026-12-01 02:00"),
        ("12 am", "", "2026-12-01 05:00"),
        ("12:05pm", "", "2026-12-01 17:05"),
        ("12/24 6pm", "en", "2026-12-24 23:00"),
        ("12/24 at 6:15 pm", "en-US", "2026-12-24 23:15"),
        ("1/2", "en", "2027-01-02 05:00"),
        ("11/30", "en", "2026-11-30 05:00"),
        ("24/12 18:00", "en-GB", "2026-12-24 23:00"),
        ("24/12/27, 18h", "fr", "2027-12-24 23:00"),
        ("24/12/2026 à 18h30", "fr", "2026-12-24 23:30"),
        ("24.12. um 18 Uhr", "de", "2026-12-24 23:00"),
        ("24.12.2026, 18.30 Uhr", "de", "2026-12-24 23:30"),
        ("18.30 Uhr", "de", "2026-11-30 23:30"),
        ("24-12 a las 9:00", "es", "2026-12-24 14:00"),
    ],
)  # fmt: skip
def test_a_text_names_a_moment(text: str, language: str, utc: str) -> None:
    """In New York."""
    assert read(text, "America/New_York", language) == utc
    assert is_moment(text, "America/New_York", language)


def test_the_next_such_time_is_that_of_the_zone() -> None:
    assert read("20:30", "Europe/Berlin") == "2026-12-01 19:30"
    assert read("21:30", "Europe/Berlin") == "2026-11-30 20:30"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("tomorrow", "en"), ("tomorrow at 9", "en"), ("yes", "en"), ("", "en"), ("9", "en"),
        ("12", ""), ("12/24", ""), ("24.12.", ""), ("13/13", "en"), ("24/12", "en"),
        ("31.2.", "de"),
        ("2026-02-30", ""), ("2026-13-01 10:00", ""), ("25:00", ""), ("13 pm", ""), ("0am", ""),
        ("9:60", ""), ("12/24 6", "en"), ("12/24 6pm please", "en"), ("12/246pm", "en"),
        ("0000-01-01", ""), ("0001-01-01 00:00+14:00", ""), ("2026-12-24 18:00 (?:", ""),
        ("9:30 am " * 20, ""), ("9.10", "de"), ("9.10", ""), ("24.12. 9.10", "de"),
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str, language: str) -> None:
    """Rather than guessed: a wrong hour is worse than none."""
    assert not is_moment(text, "America/New_York", language)
    with pytest.raises(ValueError, match=r"\w"):
        moment(text, "America/New_York", language)


def test_a_rule_waits_until_the_moment_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "rules:\n  - name: r\n    on: message.received\n"
        "    if: is_moment(event.body, 'America/New_York', 'en')\n    do:\n"
        "      - wait: {until: \"${{ moment(event.body, 'America/New_York', 'en') }}\"}\n"
        "      - reply: Now.\n"
    )
    loaded = load_rules(path)
    assert loaded.problems == []
    progress = begin(loaded.rules[0], sms("12/24 6pm"), NoFacts(), NOW)
    assert progress.wait is not None
    assert progress.wait.due_at == datetime(2026, 12, 24, 23, 0, tzinfo=UTC)
    assert not any(isinstance(each, SendMessage) for each in progress.actions)
    path.write_text(path.read_text().replace("America/New_York", "America/New_Yrok"))
    assert "unknown time zone" in str(load_rules(path).problems[0])
