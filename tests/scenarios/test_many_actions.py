"""Answers of very many actions: they are planned in portions that others do not wait for, written
once however often the worker dies, and decided about together. A real worker on real files."""

import asyncio
import contextlib
import gc
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ringback.runtime import from_iso
from ringback.worker.engine import Engine
from ringback.worker.run.portions import PORTION
from scenarios.test_runs_end import project, runs, text_waits, work, worker
from simulation.story import Story

MANY = 6000
HOLD_SECONDS = 0.15
"""Nobody waits longer for the loop; planned in one go, this many actions held it for 0.4 s."""


async def longest_hold(until: "asyncio.Task[None]") -> float:
    """The longest time for which nothing else of this loop could go on. What the tests before have
    left in this process is not looked through meanwhile."""
    gc.collect()
    gc.freeze()
    longest, before = 0.0, time.thread_time()
    while not until.done():
        await asyncio.sleep(0.001)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    gc.unfreeze()
    return longest


def ask(folder: Path, question: str, *values: object) -> list[tuple[Any, ...]]:
    """What the journal says."""
    with closing(sqlite3.connect(folder / "journal.db")) as reader:
        return reader.execute(question, values).fetchall()


async def crash(engine: Engine, living: "asyncio.Task[None]") -> None:
    """Let nothing of it go on."""
    del engine
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await living


MADE = {
    "a rule": (f"return [notify(str(n)) for n in range({MANY})]", ""),
    "a hook": ("return None", "@hookimpl\ndef on_event(event):\n"
               f"    return [notify(str(n)) for n in range({MANY})]\n"),
    "a step": ("return None", "@hookimpl\ndef register_steps(register):\n"
               "    def many(event):\n        return "
               f"[notify(str(n)) for n in range({MANY})]\n"
               "    register('many', many)\n"),
}  # fmt: skip


@pytest.mark.parametrize("who", MADE)
@pytest.mark.slow
async def test_thousands_of_actions_are_planned_in_turns_with_others(
    tmp_path: Path, who: str
) -> None:
    """The loop is never held for long, and another person's run ends long before the last of
    them."""
    body, more = MADE[who]
    many = "@rule('message.received', if_=\"event.body == 'many'\")"
    head = f"from ringback import hookimpl\n{more}{many}"
    project(tmp_path, body, head)
    if who == "a step":
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "r.yaml").write_text(
            "rules: [{name: steps, on: message.received, if: \"event.body == 'many'\","
            " do: [many: {}]}]"
        )
    text_waits(tmp_path, 1, Body="many")
    text_waits(tmp_path, 2, From="+14155550124")
    async with worker(tmp_path) as engine:
        stop, engine.sender.stopping = asyncio.Event(), True
        living = asyncio.ensure_future(engine.run(stop))

        async def all_planned() -> None:
            counted = "select count(*) from actions where rule <> 'own.good'"
            wanted = MANY * (2 if who == "a hook" else 1)
            while ask(tmp_path, counted) != [(wanted,)]:
                await asyncio.sleep(0.01)

        async with asyncio.timeout(30):
            held = await longest_hold(asyncio.ensure_future(all_planned()))
        stop.set()
        await living
    assert held < HOLD_SECONDS
    order = "select count(*) from actions where id < (select max(id) from actions where rule = ?)"
    assert ask(tmp_path, order, "own.good")[0][0] <= 5 * PORTION
    assert ask(tmp_path, "select * from portions") == []
    assert {state for state, _ in runs(tmp_path).values()} == {"done"}


OPEN = "select 1 from runs where state = 'pending'"
DICE = """nonce = random.random()
    return [notify(f'{nonce}-{n}') for n in range(950)]"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["it goes on", "it is quarantined meanwhile", "it is cancelled"])
async def test_a_worker_that_dies_between_portions_goes_on_with_the_same_answer(
    tmp_path: Path, end: str
) -> None:
    """The handler would say something else when it is asked again: nothing is lost, doubled or
    mixed. A run that somebody ends plans no more of it."""
    project(tmp_path, DICE, "import random\n@rule('message.received')")
    text_waits(tmp_path)
    lives, planned = 0, "select count(*) from actions"
    while not lives or ask(tmp_path, OPEN):
        async with worker(tmp_path) as engine:
            engine.sender.stopping = True
            before = ask(tmp_path, planned)[0][0]
            living = asyncio.ensure_future(engine.run(asyncio.Event()))
            async with asyncio.timeout(20):
                while engine.matcher.cursor < 1 or (
                    ask(tmp_path, OPEN) and ask(tmp_path, planned)[0][0] < before + 2 * PORTION
                ):
                    await asyncio.sleep(0)
            if lives == 1 and end == "it is quarantined meanwhile":
                await engine.journal.runs.strike("own.odd", "own", "slow", "2026", 1)
            if lives == 1 and end == "it is cancelled":
                (uid,) = ask(tmp_path, "select uid from runs where rule = 'own.odd'")[0]
                await engine.journal.runs.cancel([uid], "by a person", "2026")
            await crash(engine, living)
        lives += 1
    assert lives >= 2
    names = [
        name
        for (name,) in ask(
            tmp_path,
            "select json_extract(params, '$.text') from actions where rule = 'own.odd' order by id",
        )
    ]
    nonce = names[0].rpartition("-")[0]
    assert names == [f"{nonce}-{n}" for n in range(len(names))]
    assert ask(tmp_path, "select * from portions") == []
    if end == "it is cancelled":
        assert 2 * PORTION <= len(names) < 950
        assert runs(tmp_path)["own.odd"] == ("cancelled", "by a person")
    else:
        assert len(names) == 950
        assert runs(tmp_path)["own.odd"] == ("done", "")


async def test_a_stop_behind_many_actions_holds(tmp_path: Path) -> None:
    """A rule of lower priority does not run, whatever portion the stop stood in."""
    body = "return [notify(str(n)) for n in range(350)] + [Stop('enough')]"
    head = "from ringback import Stop\n@rule('message.received', priority=5)"
    project(tmp_path, body, head)
    text_waits(tmp_path)
    async with worker(tmp_path) as engine:
        engine.sender.stopping = True
        await work(engine)
    found = runs(tmp_path)
    assert found["own.odd"] == ("done", "")
    assert found["own.good"][0] == "cancelled"
    assert "enough" in found["own.good"][1]
    assert ask(tmp_path, "select count(*) from actions") == [(350,)]


async def test_one_that_cannot_be_written_keeps_all_from_being_planned(tmp_path: Path) -> None:
    """As with few actions: it is all of them or none."""
    body = "return [notify(str(n)) for n in range(350)] + [reply(event, 'a' + chr(0xD800))]"
    project(tmp_path, body)
    text_waits(tmp_path)
    async with worker(tmp_path) as engine:
        await work(engine)
    assert runs(tmp_path)["own.odd"][0] == "failed"
    assert ask(tmp_path, "select count(*) from actions where rule = 'own.odd'") == [(0,)]
    assert ask(tmp_path, "select * from portions") == []


TEXTS = 300
SENDS = ", ".join(f'{{send: {{to: "${{{{event.from}}}}", body: text {n}}}}}' for n in range(TEXTS))
FEW = f"""
rules:
  - name: many
    on: message.received
    if: event.body == 'many'
    priority: 5
    budget: {{per_day: 2}}
    do: [{SENDS}]
  - name: answer
    on: message.received
    do: [{{reply: "You said ${{{{ event.body }}}}"}}]
"""


@pytest.mark.parametrize(
    ("state", "settings"),
    [("refused", {}), ("deferred", {"quiet_hours": "00:00-23:59"}), ("failed", {})],
)
def test_what_is_not_sent_is_decided_about_together(
    begin: Callable[..., Story], state: str, settings: dict[str, Any]
) -> None:
    """300 texts to one person, of which the budget, the night or the clock leaves two at most: the
    reply of another rule, which stands behind them all, leaves within half a second. When each of
    them took a commit, it left after two seconds and more."""
    story = begin(rules=FEW, **settings)
    assert story.life is not None
    if state == "failed":
        story.life.ask("pause")
    story.receive(story.text("many", "+14155550123"))
    if state == "failed":
        story.run(story.clock.now + 5.0)
        with closing(sqlite3.connect(story.folder / "journal.db")) as journal, journal:
            journal.execute("update actions set send_by = '2025' where rule = 'many'")
        story.kill()
        story.start()
        story.run(story.clock.now + 1.0)
        assert story.life is not None
        story.life.ask("resume")
        story.receive(story.text("ask", "+14155550123"))
    began = story.clock.wall()
    story.run(story.clock.now + 30.0)
    counted = "select state, count(*) from actions where rule = 'many' group by state"
    assert dict(ask(story.folder, counted))[state] >= TEXTS - 2
    ((left,),) = ask(
        story.folder,
        "select max(started_at) from attempts where action_uid in "
        "(select uid from actions where rule = 'answer')",
    )
    assert from_iso(left).timestamp() - began < 1.5
