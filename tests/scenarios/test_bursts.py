"""Texts that come when a burst is over: while its rule is at work, behind the last one that it
wanted, or when it was stopped before it began. Each of them begins a burst of its own."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from admission.compare import difference
from admission.stories import PEOPLE, Step, Story, text
from ringback.plugins.loader import load_plugins
from ringback.plugins.requests import Request
from ringback.testing import OURS, Bench, sms
from ringback.testing.assembly import ruleset_of
from ringback.worker.match import matcher
from scenarios.test_rules_timing import ANN, Loaded, World
from simulation.calls import Here

BOB = PEOPLE[1]
PLUGIN = """
from ringback import notify, rule

def told(texts):
    return notify("+".join(texts))

@rule("message.received", once_after="5s", mode="{mode}", to="{to}")
def quiet(event, texts):
    return told(texts)

@rule("message.received", accumulate_within="1m", threshold=2, mode="{mode}", to="{to2}")
def enough(event, texts):
    return told(texts)
"""


class Held(Here):
    """Calls wait until they may go on."""

    gate: asyncio.Event
    entered: asyncio.Event

    async def call(self, request: Request, *, limit: float) -> Any:
        self.entered.set()
        await self.gate.wait()
        return await super().call(request, limit=limit)


async def world_of(folder: Path, which: str, mode: str) -> World:
    """A worker with one rule that collects: it waits for quiet, or for two texts."""
    Held.gate, Held.entered = asyncio.Event(), asyncio.Event()
    other = "+14155550199"
    (folder / "plugins").mkdir()
    plugin = PLUGIN.format(
        mode=mode, to=OURS if which == "quiet" else other, to2=OURS if which == "enough" else other
    )
    (folder / "plugins" / "own.py").write_text(plugin)
    plugins = load_plugins(folder / "plugins")
    ruleset, problems = ruleset_of(plugins, folder / "rules")
    assert problems == []
    world = World(folder, ruleset, calls=Held, hosts=Loaded(ruleset, plugins))
    world.loaded = Loaded(ruleset, plugins)
    await world.boot()
    return world


@pytest.mark.parametrize("dies", [False, True], ids=["", "the worker dies meanwhile"])
@pytest.mark.parametrize("mode", ["parallel", "queued"])
@pytest.mark.parametrize("which", ["quiet", "enough"])
async def test_texts_that_come_while_the_rule_of_a_burst_is_at_work(
    tmp_path: Path, which: str, mode: str, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are the next burst, however long it takes: what waits for it is judged after a while."""
    monkeypatch.setattr(matcher, "TURN_SECONDS", 0.0)
    world = await world_of(tmp_path, which, mode)
    await world.text(ANN, "one")
    await world.record(ANN, "two")
    await world.engine._match()
    if which != "enough":
        await world.engine.queue.idle()
        world.time += 5.0
    working = asyncio.ensure_future(world.work())
    async with asyncio.timeout(5):
        await Held.entered.wait()
    for body in ("three", "four"):
        await world.record(ANN, body)
        while await world.engine._match():
            pass
    if dies:
        working.cancel()
        await world.end()
        Held.gate.set()
        await world.boot()
    Held.gate.set()
    if not dies:
        await working
    for _ in range(6):
        await world.wait(60.0)
    assert world.actions() == ["one+two", "three+four"]
    await world.close()


STORIES: dict[str, tuple[str, tuple[Step, ...]]] = {
    "more than enough in one batch": (
        """- {name: o, on: message.received, accumulate_within: 1h, threshold: 2,
              do: [{reply: "${{ burst.texts.join('+') }}"}]}""",
        ((text("a"), text("b"), text("c"), text("d"), text("e")), 5.0, text("f")),
    ),
    "more than enough, and others between them": (
        """- {name: o, on: message.received, accumulate_within: 1h, threshold: 2, key: all,
              do: [{reply: "${{ burst.texts.join('+') }}"}]}""",
        (text("a"), text("b", BOB), text("c"), text("d", BOB), text("e")),
    ),
    "enough once within an hour": (
        """- {name: o, on: message.received, accumulate_within: 1h, threshold: 2, once_within: 1h,
              do: [{reply: "${{ burst.texts.join('+') }}"}]}""",
        ((text("a"), text("b"), text("c"), text("d")), 5.0, text("f"), 3600.0, text("g")),
    ),
    "enough for one that waits afterwards": (
        """- {name: o, on: message.received, accumulate_within: 1h, threshold: 2, mode: single,
              do: [{wait: 1m}, {reply: "${{ burst.texts.join('+') }}"}]}""",
        ((text("a"), text("b"), text("c"), text("d")), 61.0, text("f"), text("g"), 61.0),
    ),
    "more than enough, of many people in one batch": (
        """- {name: o, on: message.received, accumulate_within: 1h, threshold: 2, key: all,
              do: [{reply: "${{ burst.texts.join('+') }}"}]}""",
        ((text("a"), text("b", BOB), text("c", PEOPLE[2])), 5.0, text("d")),
    ),
    "stopped before it began": (
        """- {name: s, on: message.received, priority: 5, if: event.body == 'a', do: [{stop: no}]}
- {name: o, on: message.received, once_after: 5s, do: [{reply: "${{ burst.texts.join('+') }}"}]}""",
        ((text("a"), text("b"), text("c")), 6.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_texts_for_which_a_burst_has_no_place_begin_another(
    tmp_path: Path, name: str
) -> None:
    """In one batch, as after a downtime, it goes as when they come one by one."""
    rules, steps = STORIES[name]
    found = await difference(Story(f"rules:\n{rules}\n", steps), tmp_path)
    assert found.why == ""
    assert "send_message" in str(found.node.told)


async def test_a_burst_in_a_queue_leaves_what_it_does_not_need_to_the_next(tmp_path: Path) -> None:
    """The second burst stands behind the first, and three texts join it: it takes two of them. The
    verdict of the third is written anew on a node, and all else is the same on a bench."""
    rules = """- {name: q, on: message.received, mode: queued, accumulate_within: 1m, threshold: 2,
        do: [{wait: 20s}, {reply: "${{ burst.texts.join('+') }}"}]}"""
    texts = [text(body) for body in "abcde"]
    node = (await difference(Story(f"rules:\n{rules}\n", (*texts, text("f"), 90.0)), tmp_path)).node
    bench = Bench.load(tmp_path / "rules.yaml")
    for body in "abcdef":
        bench.react(sms(body))
    told = ["a+b", "c+d", "e+f"]
    assert [line.split()[2] for line in next(iter(node.told.values()))] == told
    assert bench.wait("90s").texts == told
