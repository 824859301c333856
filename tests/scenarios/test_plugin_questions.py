"""Functions and steps of plugins in the worker, which has none of their code and asks for it."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.errors import PluginBlocked
from ringback.plugins.manifest import manifest_of, read_manifest
from ringback.plugins.requests import FunctionCalls, Request, StepCall
from ringback.project import Project
from ringback.store.sqlite.sqlite_files import connect_reader
from scenarios.test_rules_timing import ANN, BOB, World
from simulation.calls import Here

PLUGIN = """
from ringback import hookimpl, notify

@hookimpl
def register_functions(register):
    def loud(text: str) -> bool:
        if "error" in text:
            raise ValueError("no ears")
        return text.isupper()
    def first(text: str) -> str:
        return text[:1]
    register("loud", loud)
    register("first", first)
    register("team", lambda: "blue", args=[], returns="string")

@hookimpl
def register_steps(register):
    def shout(event, text: str, times: int = 1):
        if text == "broken":
            raise ValueError("no voice")
        return notify(text.upper() * times)
    register("shout", shout, plain="text")
"""
RULES = """
version: 1
rules:
  - name: loud
    on: message.received
    if: [event.body.loud(), "team() == 'blue'"]
    key: "${{ first(event.body) }}"
    once_within: 1h
    do:
      - notify: "loud ${{ first(event.body) }}"
      - shout: "${{ event.body.lower() }}"
      - wait_for:
          on: message.received
          if: first(reply.body) == 'o'
          timeout: 5m
          do: [{shout: {text: "${{ reply.body }}", times: 2}}]
  - name: pending
    on: message.received
    if: event.body == 'pending'
    cancel_on: {on: message.received, if: loud(reply.body)}
    do: [{wait: 1h}, {notify: never}]
  - name: broken
    on: message.received
    if: event.body == 'broken'
    do: [{shout: "${{ event.body }}"}]
"""


class Asked(Here):
    """Carries requests out here and keeps them; functions block for some arguments."""

    requests: list[Request]
    blocking = ""

    async def call(self, request: Request, *, limit: float) -> Any:
        self.requests.append(request)
        if isinstance(request, FunctionCalls) and self.blocking:
            for name, args in request.calls:
                if self.blocking in str(args[:1]):
                    owner = f"{request.plugin}.{name}"
                    raise PluginBlocked(request.plugin, f"took longer than {limit:g} s", owner)
        return await super().call(request, limit=limit)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    for name, text in {"plugins/ears.py": PLUGIN, "rules/all.yaml": RULES}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    real = Project.load(Settings(project=tmp_path))
    assert real.problems == []
    data = manifest_of(real.plugins, real.ruleset.by_name, ())
    told = Project.described(real.settings, read_manifest(data))
    Asked.requests, Asked.blocking = [], ""
    world = World(tmp_path, told.ruleset, calls=Asked, hosts=real)
    world.loaded.plugins = told.plugins
    await world.boot()
    yield world
    await world.close()


def asked() -> list[tuple[tuple[str, tuple[Any, ...]], ...]]:
    return [each.calls for each in Asked.requests if isinstance(each, FunctionCalls)]


def verdicts(world: World, rule: str) -> list[str]:
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        rows = journal.execute(f"select json_extract(verdicts, '$.{rule}') from events order by id")
        return [row[0] for row in rows]


async def test_they_work_in_every_place_of_a_rule(world: World) -> None:
    """A condition, a key, a text, a step, the trigger of `wait_for` and of `cancel_on`."""
    await world.text(BOB, "pending")
    await world.text(ANN, "HELLO")
    await world.text(ANN, "HI")  # the same key
    await world.text(ANN, "no")
    await world.text(ANN, "ok")
    await world.text(BOB, "WELL")
    assert world.actions() == ["loud H", "HELLO", "OKOK", "loud W", "WELL"]
    assert verdicts(world, "loud")[2].startswith("once_within")
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        ((state, reason),) = journal.execute("select state, reason from runs where rule='pending'")
        texts = "select uid from events where type = 'message.received' order by id"
        (no,) = journal.execute(texts).fetchall()[-1]
    assert (state, reason) == ("cancelled", f"cancelled by message.received {no}")
    steps = [each for each in Asked.requests if isinstance(each, StepCall)]
    assert [(each.step, each.rule, dict(each.params)) for each in steps] == [
        ("shout", "loud", {"text": "hello"}), ("shout", "loud", {"text": "ok", "times": "2"}),
        ("shout", "loud", {"text": "well"}),
    ]  # fmt: skip


async def test_one_request_for_a_batch_of_events(world: World) -> None:
    """Twenty texts of as many people in one batch: one request for their first lines, one for the
    next, one for the keys; an equal question is asked once."""
    for index in range(20):
        await world.record(f"+1202555{1000 + index}", "AGAIN" if index % 2 else f"TEXT {index}")
    await world.engine._match()
    sizes = [len(calls) for calls in asked()]
    assert sizes == [11, 1, 11]
    assert asked()[0][0] == ("loud", ("TEXT 0",))
    await world.work()  # those of one key wait for what becomes of the first
    assert len(verdicts(world, "loud")) == 20


async def test_what_a_function_raises_is_the_verdict_and_what_a_step_raises_ends_the_run(
    world: World,
) -> None:
    await world.text(ANN, "error")
    assert verdicts(world, "loud") == ["error:1: ValueError: no ears (ears.py:8)"]
    await world.text(ANN, "broken")
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        ((state, reason),) = journal.execute("select state, reason from runs")
    assert state == "failed"
    assert reason.startswith("step `shout` (line 25): plugin ears: ValueError: no voice")


async def test_a_function_that_blocks_costs_its_own_questions_and_is_not_asked_for_ever(
    world: World,
) -> None:
    """The others of the batch have their answers; the third block is the last."""
    Asked.blocking = "STUCK"
    for body in ("STUCK", "FINE"):
        await world.record(ANN, body)
    await world.work()
    first, second = verdicts(world, "loud")
    assert "took longer than 1 s" in first
    assert second == "fired"
    for _ in range(2):
        await world.text(BOB, "STUCK")
    before = len(asked())
    await world.text(BOB, "STUCK")
    assert len(asked()) == before
    assert "loud is quarantined: plugin ears: took longer" in verdicts(world, "loud")[-1]
    quarantined = await world.journal.runs.quarantined()
    assert list(quarantined) == ["ears.loud"]
    assert await world.journal.runs.release("ears.loud")
