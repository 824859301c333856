"""Order after a restart: what one person has caused is done one by one and in the order in which it
came, as by a worker that lives on."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ringback.plugins.loader import load_plugins
from ringback.plugins.requests import HandlerCall, Request
from ringback.testing.assembly import ruleset_of
from scenarios.test_rules_timing import ANN, BOB, Loaded, World
from simulation.calls import Here

PLUGIN = """
from ringback import Conversation, notify, rule

@rule("message.received", if_="event.body.startsWith('book')")
async def book(convo: Conversation):
    convo.do(notify("asks " + convo.event.body))
    day = await convo.ask("Which day?", timeout="1h")
    convo.do(notify(f"{convo.event.body} heard {day}"))

@rule("message.received", also_answers=True)
def log(event):
    return notify("log " + event.body)

@rule("message.received", if_="event.body.startsWith('quiet')", once_after="5s", also_answers=True)
def quiet(event, texts):
    return notify("+".join(texts))
"""
RULES = """
rules:
- {name: late, on: message.received, if: event.body.startsWith('wait'),
   do: [{wait: 5s}, {notify: "late ${{ event.body }}"}]}
- {name: queue, on: message.received, if: event.body.startsWith('q'), also_answers: true,
   mode: queued, do: [{notify: "begins ${{ event.body }}"},
   {wait: 5s}, {notify: "ends ${{ event.body }}"}]}
- {name: dark, on: message.received, state: shadow, do: [{wait: 5s}, {notify: "dark"}]}
"""

Seconds = float
SCRIPTS: dict[str, tuple[list[str | Seconds], list[str], list[str | Seconds]]] = {
    "an answer, and texts behind it": (["book"], ["monday", "x1", "x2"], []),
    "an answer between texts": (["book"], ["quiet 1", "quiet 2", "monday"], [5.0]),
    "an answer to two": (["book 1", "book 2"], ["monday", "x"], []),
    "two texts for one that has asked": (["book"], ["monday", "tuesday"], []),
    "a question and its answer": ([], ["book", "monday", "x"], []),
    "texts before a wait is over": (["wait", 4.0], ["x1", "x2"], [-2.0]),
    "a text and the end of a burst": (["quiet 1", 4.0], ["x1", "quiet 2"], [-6.0]),
    "a queue": (["q1", 2.0], ["q2", "x1", "q3"], [-4.0, 5.0, 5.0, 5.0]),
}
"""What is done before, what one batch has decided when the worker ends, and how it goes on. A span
below nothing passes while there is no worker."""


class Noted(Here):
    """Calls take their time, and note of how many events some are under way."""

    busy: ClassVar[Counter[str]] = Counter()
    most: ClassVar[int] = 0

    async def call(self, request: Request, *, limit: float) -> Any:
        assert isinstance(request, HandlerCall)
        woken_by = request.wake.event if request.wake else None
        uid = (woken_by or request.event).uid
        Noted.busy[uid] += 1
        Noted.most = max(Noted.most, sum(1 for each in Noted.busy.values() if each))
        try:
            for _ in range(5):
                await asyncio.sleep(0)
            return await super().call(request, limit=limit)
        finally:
            Noted.busy[uid] -= 1


async def told(folder: Path, name: str, *, dies: bool) -> list[str]:
    """What comes of a script, in its order."""
    plugins = load_plugins(folder / "plugins")
    ruleset, problems = ruleset_of(plugins, folder / "rules.yaml")
    assert problems == []
    (folder / str(dies)).mkdir()
    world = World(folder / str(dies), ruleset, calls=Noted, hosts=Loaded(ruleset, plugins))
    world.loaded = Loaded(ruleset, plugins)
    await world.boot()
    Noted.most = 0
    before, batch, after = SCRIPTS[name]
    for step in before:
        await (world.text(ANN, step) if isinstance(step, str) else world.wait(step))
    for body in batch:
        await world.record(ANN, body)
    await world.engine._match()
    if dies:
        await world.end()
        world.time += sum(-step for step in after if isinstance(step, float) and step < 0)
        await world.boot()
    await world.work()
    for step in after:
        if isinstance(step, float) and (step > 0 or not dies):
            await world.wait(abs(step))
    await world.wait(60.0)
    assert Noted.most <= 1
    made = world.actions()
    await world.close()
    return [each for each in made if each != "dark"]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_after_a_restart_it_goes_as_before(tmp_path: Path, name: str) -> None:
    """The worker ends when it has decided about the texts of a batch and has done nothing yet."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "own.py").write_text(PLUGIN)
    (tmp_path / "rules.yaml").write_text(RULES)
    alive = await told(tmp_path, name, dies=False)
    assert alive
    assert await told(tmp_path, name, dies=True) == alive


async def test_two_people_still_go_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "own.py").write_text(PLUGIN)
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, _ = ruleset_of(plugins, tmp_path / "rules")
    world = World(tmp_path, ruleset, calls=Noted, hosts=Loaded(ruleset, plugins))
    world.loaded = Loaded(ruleset, plugins)
    await world.boot()
    for who in (ANN, BOB):
        await world.record(who, "x")
    await world.engine._match()
    await world.end()
    Noted.most = 0
    await world.boot()
    assert Noted.most == 2
    await world.close()
