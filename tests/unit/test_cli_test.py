"""Cases in the shell: what a failing one shows, which are picked, and how they are repeated."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ringback.cli.main import run
from ringback.plugins.loader import PluginSet
from ringback.testing import Bench, sms
from ringback.testing.assembly import ruleset_of

RULES = """rules:
  - name: hello
    on: message.received
    if: ["event.body != 'bad'", "event.body != 'worse'"]
    do: [{reply: "Hi ${{ event.body }}"}, {wait: 12h}, {notify: Half a day later.}]
  - {name: ask, on: message.received, if: event.body == 'ask', do: [{reply: Which?}, wait_for]}
cases:
"""
SPRING = "2026-03-08 00:30 America/New_York"
AUTUMN = "2026-11-01 00:30 America/New_York"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test; the working folder is the project."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ringback.toml").write_text("")
    (tmp_path / "rules").mkdir()


def cases(text: str, name: str = "all.yaml") -> None:
    """The cases of the project."""
    (Path("rules") / name).write_text(RULES + text)


def shell(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code of `test`, and what it prints."""
    capsys.readouterr()
    code = run(["test", *words])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("at", [SPRING, AUTUMN])
def test_a_wait_is_as_long_as_it_says_when_the_clocks_change(
    capsys: pytest.CaptureFixture[str], at: str
) -> None:
    """Twelve hours are neither eleven nor thirteen."""
    cases(
        f"  - {{name: due, at: {at}, given: [text: a, wait: 12h], expect: [reply, notify]}}\n"
        f"  - {{name: early, at: {at}, given: [text: a, wait: 11h59m], expect: [reply]}}\n"
    )
    assert shell(capsys)[0] == 0


@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01"])
def test_a_bench_in_a_zone_counts_true_hours(tmp_path: Path, day: str) -> None:
    """Both its clock and the moments of events."""
    cases("  []")
    ruleset, problems = ruleset_of(PluginSet(), tmp_path / "rules")
    assert problems == []
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("America/New_York"))
    bench = Bench(ruleset, now=midnight)
    began = bench.clock.now()
    bench.react(sms("a", at=midnight))
    assert len(bench.wait("12h").sent) == 1
    assert bench.clock.now() - began == timedelta(hours=12)
    bench.react(sms("b", at=midnight + timedelta(hours=20)))
    assert bench.clock.now() == began + ((midnight + timedelta(hours=20)).astimezone(
        ZoneInfo("UTC")) - midnight.astimezone(ZoneInfo("UTC")))  # fmt: skip


def test_a_case_that_fails_shows_what_rules_did_and_why_others_did_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases("  - {name: c, given: [text: a, wait: 1h, text: worse], expect: [reply: Hello]}\n")
    code, shown = shell(capsys)
    assert code == 1
    lines = [line.strip() for line in shown.splitlines()]
    story = lines[lines.index("text: a") :]
    assert story == [
        "text: a",
        "✓ hello: reply: Hi a",
        "✗ ask: if:1  event.body == 'ask'",
        "wait: 1h",
        "text: worse",
        "✗ hello: if:2  event.body != 'worse'",
        "✗ ask: if:1  event.body == 'ask'",
        "0 passed, 1 failed",
    ]


def test_the_story_of_a_case_names_answers_and_what_was_held_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A text that a question took, and an action that the gate kept."""
    cases("  - {name: c, given: [text: ask, text: bad], expect: []}\n")
    assert "✓ ask took it as the answer to “Which?”" in shell(capsys)[1]
    cases("  - {name: c, given: [text: STOP, text: a], expect: [reply]}\n")
    assert "✓ hello: reply: Hi a  (refused: " in shell(capsys)[1]


def test_the_story_of_a_case_says_what_happened_as_the_file_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And which event of ours a failure has caused."""
    given = "text: {from: +14155550200, body: a}, fails: {to: +14155550200, error: 30003}"
    cases(f"  - {{name: x, given: [{given}], expect: []}}\n")
    _, out = shell(capsys)
    happened = [line.strip() for line in out.splitlines() if line.startswith("    ")]
    assert "text: {from: +14155550200, body: a}" in happened
    failed = "fails: {to: +14155550200, error: 30003}"
    assert [line for line in happened if line.startswith("fails")] == [
        failed, f"{failed}, then action.failed"
    ]  # fmt: skip


def test_a_good_case_tells_no_story(capsys: pytest.CaptureFixture[str]) -> None:
    cases("  - {name: good, given: [text: a], expect: [reply]}\n")
    code, shown = shell(capsys)
    assert (code, "✓ hello" in shown) == (0, False)


def test_programs_get_the_story_too(capsys: pytest.CaptureFixture[str]) -> None:
    cases("  - {name: c, given: [text: bad], expect: [reply]}\n")
    row = json.loads(shell(capsys, "--json")[1])
    assert row["story"][1] == "  ✗ hello: if:1  event.body != 'bad'"


PICKED = {
    ("-k", "night"): ["at night", "Night and day"],
    ("-k", "NIGHT AND"): ["Night and day"],
    ("-k", "other.yaml"): ["Night and day"],
    ("-k", "noon", "-k", "and day"): ["at noon", "Night and day"],
    (): ["at noon", "at night", "Night and day"],
}


@pytest.mark.parametrize("words", PICKED)
def test_cases_are_picked_by_name_or_file(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    cases("  - {name: at noon, given: [text: a]}\n  - {name: at night, given: [text: a]}\n")
    Path("rules/other.yaml").write_text("cases: [{name: Night and day, given: [text: a]}]\n")
    code, shown = shell(capsys, *words, "--json")
    assert code == 0
    assert [json.loads(line)["name"] for line in shown.splitlines()] == PICKED[words]


def test_a_pick_that_fits_nothing_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the pen must not look like success."""
    cases("  - {name: at noon, given: [text: a]}\n")
    assert run(["test", "-k", "midnight"]) != 0
    assert "no case has 'midnight'" in capsys.readouterr().err


@pytest.mark.slow
def test_cases_run_again_when_a_file_changes(tmp_path: Path) -> None:
    """Until somebody ends it."""
    cases("  - {name: c, given: [text: a], expect: [reply: Hi b]}\n")
    command = [sys.executable, "-m", "ringback.cli.main", "test", "--watch"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            ends = (line.strip() for line in watching.stdout if "passed" in line)
            assert next(ends) == "0 passed, 1 failed"
            cases("  - {name: c, given: [text: a], expect: [reply: Hi a]}\n")
            assert next(ends) == "1 passed, 0 failed"
        finally:
            watching.terminate()
