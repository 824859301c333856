"""A rule that is missing for a moment, as while somebody writes its file: its runs wait for it."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.store.sqlite.sqlite_files import connect_reader
from scenarios.test_rules_timing import ANN, BOB, World

RULES = """
version: 1
rules:
  - name: ask
    on: message.received
    if: event.body == 'ask'
    do:
      - notify: asked
      - wait_for: {on: message.received, timeout: 5m, do: [{notify: "heard ${{ reply.body }}"}]}
  - name: line
    on: message.received
    if: event.body == 'line'
    mode: queued
    do: [{wait: 1m}, {notify: served}]
  - name: later
    on: message.received
    if: event.body == 'later'
    do: [{wait: 10m}, {notify: later}]
"""
NOBODY = RuleSet(())


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    loaded = load_rules(path)
    assert loaded.problems == []
    world = World(tmp_path, RuleSet(loaded.rules, loaded.language))
    await world.boot()
    yield world
    await world.close()


def rows(world: World) -> list[tuple[str, str, str, str | None]]:
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        found = journal.execute("select rule, state, reason, due_at from runs order by id")
        return [(str(row[0]), str(row[1]), str(row[2]), row[3]) for row in found]


async def reload(world: World, ruleset: RuleSet) -> None:
    world.loaded.ruleset = ruleset
    world.engine.reload(world.loaded)
    await world.work()


@pytest.mark.parametrize("restarted", [False, True])
async def test_runs_wait_for_their_rule_and_say_so(world: World, restarted: bool) -> None:
    """One that waits for an answer, one for a moment, one for its turn: the answer that comes
    meanwhile and the moment that passes are taken when the rule is back."""
    rules = world.loaded.ruleset
    for who, body in [(ANN, "ask"), (BOB, "line"), (BOB, "line"), (BOB, "later")]:
        await world.text(who, body)
    before = rows(world)
    await reload(world, NOBODY)
    for rule, state, reason, due in rows(world):
        assert (state, due) == ("waiting", None)
        assert reason.startswith(f"waits for its rule {rule} to come back until ")
    await world.text(ANN, "blue")
    await world.wait(70)
    if restarted:
        await world.restart()
    assert world.actions() == ["asked"]
    await reload(world, rules)
    assert world.actions() == ["asked", "heard blue", "served"]
    assert rows(world)[-1] == before[-1]
    await world.wait(600)
    assert world.actions() == ["asked", "heard blue", "served", "served", "later"]
    assert {state for _, state, _, _ in rows(world)} == {"done"}
    assert await world.journal.timers.next_due() is None


async def test_after_a_day_they_end_with_that_reason(world: World) -> None:
    await world.text(ANN, "ask")
    await reload(world, NOBODY)
    await world.wait(23 * 3600)
    assert rows(world)[0][1] == "waiting"
    assert await world.journal.timers.next_due() is not None
    await world.wait(3600)
    assert rows(world) == [
        ("ask", "cancelled", "its rule ask did not come back within a day", None)
    ]
    assert await world.journal.timers.next_due() is None


async def test_what_had_not_begun_waits_too(world: World) -> None:
    """Matched, and the worker died; the rule is missing when the next one starts."""
    rules = world.loaded.ruleset
    world.loaded.ruleset = NOBODY  # the worker that runs has the rule still
    await world.text(ANN, "ask", crash=True)
    assert rows(world)[0][1] == "pending"
    assert "to come back" in rows(world)[0][2]
    await reload(world, rules)
    assert world.actions() == ["asked"]
