"""Counts in a storm: the journal is asked once for all events that are matched together."""

import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from scenarios.test_rules_timing import ANN, World

RULES = """
rules:
  - name: many
    on: message.received
    if: count('message.received', '15m') > 3
    do: [{notify: "many"}]
  - name: share
    on: message.received
    if: rate('message.received', 'message.*', '1h') > 0.5
    once_within: 1m
    do: [{notify: "share"}]
  - name: theirs
    on: message.received
    if: count('message.received', '15m', event.conversation) == 7
    do: [{notify: "theirs"}]
"""


class Counting(sqlite3.Connection):
    """A connection that counts the questions that count events."""

    asked: ClassVar[list[str]] = []

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if "group by error_code" in sql:
            self.asked.append(sql)
        return super().execute(sql, *values)


async def test_a_storm_asks_once_for_each_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each event is counted as if it had come alone."""
    (tmp_path / "rules.yaml").write_text(RULES)
    loaded = load_rules(tmp_path / "rules.yaml")
    assert loaded.problems == []
    real = sqlite3.connect
    monkeypatch.setattr(Counting, "asked", [])
    monkeypatch.setattr(
        sqlite3, "connect", lambda *given, **more: real(*given, **{**more, "factory": Counting})
    )
    world = World(tmp_path, RuleSet(loaded.rules, loaded.language))
    await world.boot()
    for number in range(5):
        await world.text(ANN, f"before {number}")
    assert world.actions() == ["share", "many", "many"]
    Counting.asked.clear()
    for number in range(100):
        await world.record(ANN if number < 3 else f"+1415555{number:04d}", "storm")
    while await world.engine._match():
        pass
    assert len(Counting.asked) < 110  # one of each conversation, and one of each other question
    await world.work()
    assert world.actions().count("many") == 2 + 100
    assert world.actions().count("theirs") == 1
    await world.close()
