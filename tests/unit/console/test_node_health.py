"""Health of a node on its page: its parts, its log lines, the commands that are run for it."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.console import incident_strip
from ringback.console.children import Children
from ringback.console.node_lines import lines_of
from ringback.console.node_parts import parts_of
from ringback.console.problems import Refusal
from ringback.console.surroundings import Surroundings
from ringback.log_lines import KeptLines
from unit.console.conftest import away

GOOD_WORKER = {"cursor": 5, "last_row": 9, "jobs": 1, "sending": 0, "rules": 3, "waiting": 2}
GOOD_RECEIVER = {"problems": {}, "in_flight": 0, "commit_seconds": 0.004, "version": "1"}


def tones(
    receiver: Mapping[str, Any], worker: Mapping[str, Any], tmp_path: Path, why: str = ""
) -> dict[str, str]:
    parts = parts_of(receiver, why, worker, why, tmp_path, "1")
    return {each.name: f"{each.tone} {each.word}" for each in parts}


def test_a_node_that_works_has_good_parts(tmp_path: Path) -> None:
    found = tones(GOOD_RECEIVER, GOOD_WORKER, tmp_path)
    assert set(found) == {"Receiver", "Worker", "Sending", "Rules", "Disk"}
    assert {each.partition(" ")[0] for each in found.values()} == {"good"}
    worker = parts_of(GOOD_RECEIVER, "", GOOD_WORKER, "", tmp_path, "1")[1]
    assert worker.says.startswith("4 webhooks that no rule has seen")


def test_what_does_not_answer_is_bad_and_nothing_is_said_in_its_name(tmp_path: Path) -> None:
    found = tones({}, {}, tmp_path, "nobody listens")
    assert found == {"Receiver": "bad away", "Worker": "bad away", "Disk": "good has room"}
    assert tones(GOOD_RECEIVER, GOOD_WORKER, tmp_path / "lost")["Disk"] == "bad lost"


@pytest.mark.parametrize(
    ("worker", "receiver", "name", "tone"),
    [
        ({"stopped": [{"says": "x", "mend": "y"}]}, {}, "Sending", "bad stopped"),
        ({"held": "a copy"}, {}, "Sending", "held held"),
        ({"paused": True}, {}, "Sending", "held paused"),
        ({"breakers": ["messages"]}, {}, "Twilio", "bad not asked"),
        ({"failing": {"prices": ["12:00", "no"]}}, {}, "Look", "bad fails"),
        ({"missed": {"p.on_event": 3}}, {}, "Plugins", "bad too slow"),
        ({}, {"problems": {"log": "full"}}, "Receiver", "bad records nothing"),
        ({}, {"degraded": {"worker": "has ended 3 times"}}, "Worker", "bad restarts"),
        ({}, {"notes": {"console": "has ended"}}, "Console", "held restarts"),
        ({}, {"version": "2"}, "Version", "held differs"),
    ],
)
def test_each_trouble_is_a_part(
    worker: dict[str, Any], receiver: dict[str, Any], name: str, tone: str, tmp_path: Path
) -> None:
    found = tones({**GOOD_RECEIVER, **receiver}, {**GOOD_WORKER, **worker}, tmp_path)
    assert found[name] == tone


@pytest.mark.parametrize(("counted", "tone"), [(None, None), (True, "good"), (False, "way")])
def test_counts_are_a_part_where_somebody_makes_them(
    counted: bool | None, tone: str | None, tmp_path: Path
) -> None:
    parts = parts_of(GOOD_RECEIVER, "", GOOD_WORKER, "", tmp_path, "1", counted=counted)
    assert {each.name: each.tone for each in parts}.get("Counts") == tone


def test_a_rule_in_quarantine_leads_to_its_page(tmp_path: Path) -> None:
    worker = {**GOOD_WORKER, "quarantined": {"a": "x"}}
    part = parts_of(GOOD_RECEIVER, "", worker, "", tmp_path, "1")[3]
    assert (part.tone, part.link) == ("person", "/console/rules?only=quarantined")


def noted(lines: KeptLines, level: int, message: str, **more: Any) -> None:
    record = logging.LogRecord("ringback.test", level, "x.py", 1, message, (), None)
    for name, value in more.items():
        setattr(record, name, value)
    lines.handle(record)


def test_lines_are_kept_up_to_a_limit_and_filtered() -> None:
    lines = KeptLines(3)
    for number in range(5):
        noted(lines, logging.INFO, f"line {number}")
    assert [row["message"] for row in lines.lines()] == ["line 4", "line 3", "line 2"]
    noted(lines, logging.ERROR, "act_1 failed", rule="hours", action="act_1")
    assert [row["message"] for row in lines.lines(level="warning")] == ["act_1 failed"]
    for found in (lines.lines(rule="hours"), lines.lines(event="act_1"), lines.lines(text="FAIL")):
        assert [row["message"] for row in found] == ["act_1 failed"]
    assert lines.lines(rule="hour") == []


def test_no_secret_is_kept(tmp_path: Path) -> None:
    """Of no setting, however it is held, and in no exception."""
    settings = Settings(
        tmp_path, auth_tokens=("token-4711-abc",), shared_keys={"k": "shared-4711-abc"},
        accounts={"AC1": ("other-4711-abc",)}, hook_secret="path-4711-abc",
    )  # fmt: skip
    lines = KeptLines()
    lines.hide(settings.secrets())
    for secret in ("token", "shared", "other", "path"):
        error = ValueError(f"wrong: {secret}-4711-abc")
        record = logging.LogRecord(
            "x", logging.ERROR, "x.py", 1, "sent %s-4711-abc", (secret,), (ValueError, error, None)
        )
        lines.handle(record)
    assert "4711" not in json.dumps(lines.lines())
    assert lines.lines()[0]["error"] == "ValueError: wrong: •••"


async def test_a_process_that_does_not_answer_is_named() -> None:
    async def answers(message: Mapping[str, Any]) -> Mapping[str, Any]:
        row = {"at": "2026-01-01T00:00:00.000Z", "level": "info", "logger": "x", "message": "hi"}
        return {"lines": [row]} if message["op"] == "logs" else {}

    found, silent = await lines_of(Surroundings(away, answers), {"process": None, "limit": 9})
    assert [row["process"] for row in found if row["message"] == "hi"] == ["receiver"]
    assert silent == ["worker"]


async def test_a_command_is_run_once_for_all_who_want_it() -> None:
    asked: list[Sequence[str]] = []
    turn = asyncio.Event()

    async def run(words: Sequence[str]) -> tuple[int, str]:
        asked.append(words)
        await turn.wait()
        return 1, '{"check": "node"}\nhalf a line\n{"cut": "of'

    children = Children(Surroundings(away, run_child=run))
    waiting = [asyncio.create_task(children.rows(["doctor"])) for _ in range(5)]
    await asyncio.sleep(0)
    turn.set()
    answers = await asyncio.gather(*waiting)
    assert asked == [["doctor", "--json"]]
    assert [each.rows for each in answers] == [[{"check": "node"}]] * 5
    assert (answers[0].code, answers[0].said) == (1, "half a line")


async def test_a_command_that_takes_too_long_is_said_to() -> None:
    async def late(_: Sequence[str]) -> tuple[int, str]:
        raise TimeoutError

    for run, slug in ((late, "slow"), (None, "missing")):
        with pytest.raises(Refusal) as refused:
            await Children(Surroundings(away, run_child=run)).rows(["doctor"])
        assert refused.value.problem.slug == slug


def test_the_strip_has_a_bar_for_each_incident() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    rows = [
        {"uid": f"inc_{n}", "kind": kind, "state": "open" if n else "resolved", "text": "<b>",
         "opened_at": "2026-04-01T00:00:00.000Z",
         "resolved_at": None if n else "2026-04-02T00:00:00.000Z"}
        for n, kind in enumerate(("disk", "disk", "sending"))
    ]  # fmt: skip
    drawn = str(incident_strip.drawn(rows, now, 90))
    assert drawn.count("<rect") == 3
    assert drawn.count('class="tone-bad"') == 2
    assert "&lt;b&gt;" in drawn
    assert "<b>" not in drawn
    assert incident_strip.drawn([], now, 90) == ""
