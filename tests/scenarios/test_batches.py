"""Events of one batch: each meets what those before it have caused, as if it had come later.

A batch is what came while the worker was busy or away. What an event starts begins behind the
commit of the whole batch; a rule's mode, `max` and `once_within`, and what is remembered, are asked
for the next one when that has had its turn.
"""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from admission.compare import difference
from admission.stories import PEOPLE, Step, Story, crowded, in_bursts, story, text
from ringback.plugins.loader import load_plugins
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.testing.assembly import ruleset_of
from ringback.worker.match import matcher
from scenarios.test_bursts import Held
from scenarios.test_rules_timing import ANN, Loaded, World

BOB, CARL = PEOPLE[1], PEOPLE[2]
THREE: tuple[Step, ...] = ((text("one"), text("two"), text("three")), 120.0)
FROM_THREE: tuple[Step, ...] = ((text("one"), text("two", BOB), text("three", CARL)), 120.0)
SAY = "{notify: '${{ event.body }}'}"
STORIES: dict[str, tuple[str, tuple[Step, ...]]] = {
    "single, and no run ever waits": (f"- {{name: it, mode: single, do: [{SAY}]}}", THREE),
    "single, and the first fails": (
        f"- {{name: it, mode: single, do: [{SAY}, {{reply: '${{{{ event.body.number() }}}}'}}, "
        "{wait: 5s}]}", THREE,
    ),
    "single, and only the second waits": (
        f"- {{name: it, mode: single, do: [{SAY}, "
        "{choose: [{if: event.body == 'two', do: [{wait: 5s}]}]}]}", THREE,
    ),
    "single, of a key that all share": (
        f"- {{name: it, mode: single, key: all, do: [{SAY}, "
        "{choose: [{if: event.body == 'two', do: [{wait: 5s}]}]}]}", FROM_THREE,
    ),
    "queued with room for one": (f"- {{name: it, mode: queued, max: 1, do: [{SAY}]}}", THREE),
    "queued, and the first waits": (
        f"- {{name: it, mode: queued, max: 2, do: [{SAY}, {{wait: 5s}}]}}", THREE,
    ),
    "side by side, at most one that waits": (
        f"- {{name: it, max: 1, do: [{SAY}, "
        "{choose: [{if: event.body == 'two', do: [{wait: 5s}]}]}]}", THREE,
    ),
    "restart, and each has said its first word": (
        f"- {{name: it, mode: restart, do: [{SAY}, {{wait: 5s}}, {{notify: later}}]}}", THREE,
    ),
    "restart, of a key that all share": (
        f"- {{name: it, mode: restart, key: all, do: [{SAY}, {{wait: 5s}}, {{notify: later}}]}}",
        FROM_THREE,
    ),
    "once within an hour, and the first is stopped": (
        "- {name: boss, priority: 10, if: event.body == 'one', do: [stop]}\n"
        f"- {{name: it, once_within: 1h, do: [{SAY}]}}", THREE,
    ),
    "once within an hour for all, and the first is stopped": (
        "- {name: boss, priority: 10, if: event.body == 'one', do: [stop]}\n"
        f"- {{name: it, once_within: 1h, key: all, do: [{SAY}]}}", FROM_THREE,
    ),
    "joined what takes no more, and a rule for the rest": (
        "- {name: two, accumulate_within: 1h, threshold: 2, mode: single, key: all, "
        f"do: [{SAY}, {{wait: 1m}}]}}\n- {{name: rest, backstop: true, do: [{SAY}]}}",
        FROM_THREE,
    ),
    "joined what the text itself ends": (
        "- {name: two, accumulate_within: 1h, threshold: 5, key: all, cancel_on: message.received, "
        f"do: [{SAY}]}}", FROM_THREE,
    ),
    "an answer, and another person's text that ends the rest": (
        f"- {{name: it, mode: single, key: all, cancel_on: {{on: message.received, if: "
        f"reply.body == 'three'}}, do: [{SAY}, {{wait_for: {{timeout: 1m, "
        "do: [{notify: 'heard ${{ reply.body }}'}]}}]}",
        (text("one"), (text("two"), text("three", CARL)), 120.0),
    ),
    "remembered of the text before": (
        "- {name: keep, if: event.body == 'one', do: [{remember: {w: x}}]}\n"
        f"- {{name: it, if: \"remembered('w') == 'x'\", do: [{SAY}]}}", THREE,
    ),
    "replied to the text before": (
        "- {name: hello, if: \"!replied_within('1m')\", do: [{reply: hello}]}", THREE,
    ),
    "an answer, and a text that is none any more": (
        "- {name: asks, if: event.body == 'one', do: [{wait_for: {timeout: 1m, "
        "do: [{notify: 'heard ${{ reply.body }}'}]}}]}\n"
        f"- {{name: it, do: [{SAY}]}}", THREE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_a_batch_is_judged_as_one_text_after_the_other(tmp_path: Path, name: str) -> None:
    """As the bench does it, which knows no batches."""
    rules, steps = STORIES[name]
    rules = rules.replace("{name: ", "{on: message.received, name: ")
    found = await difference(Story(f"version: 1\nrules:\n{rules}\n", steps), tmp_path)
    assert found.why == ""


MORE = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 12)]


@pytest.mark.parametrize("seed", [*range(5), 151, *MORE])
async def test_a_story_of_batches(tmp_path: Path, seed: int) -> None:
    assert (await difference(in_bursts(story(seed)), tmp_path)).why == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
async def test_two_hundred_stories_of_batches_more(tmp_path: Path, seed: int) -> None:
    assert (await difference(in_bursts(story(seed)), tmp_path)).why == ""


@pytest.mark.parametrize("seed", [5, 7, 17, 20])
async def test_a_key_that_people_share_is_counted_in_the_order_of_their_texts(
    tmp_path: Path, seed: int
) -> None:
    """Who has written twice waits for the first text to be answered, and then the others do."""
    assert (await difference(crowded(seed), tmp_path)).why == ""


PLUGIN = """
from ringback import notify, rule

@rule("message.received", once_within="1h")
def slow(event):
    return notify(event.body)

@rule("message.received")
def plain(event):
    return notify("plain " + event.body)
"""


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    """A worker whose plugin answers when it may."""
    Held.gate, Held.entered = asyncio.Event(), asyncio.Event()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "own.py").write_text(PLUGIN)
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, problems = ruleset_of(plugins, tmp_path / "rules")
    assert problems == []
    world = World(tmp_path, ruleset, calls=Held, hosts=Loaded(ruleset, plugins))
    await world.boot()
    yield world
    Held.gate.set()
    await world.close()


def judged(world: World) -> list[int]:
    """The texts that have been judged, in that order, each by its number in the log."""
    rows = ask(world, "select subject_sid from events order by id")
    return [int(sid.removeprefix("SM"), 16) for (sid,) in rows]


def ask(world: World, statement: str) -> list[Any]:
    """What the journal says."""
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        return journal.execute(statement).fetchall()


async def test_a_text_does_not_wait_for_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a plugin is at the one before: after a while that is under way."""
    monkeypatch.setattr(matcher, "TURN_SECONDS", 0.0)
    for body in ("one", "two"):
        await world.record(ANN, body)
    await world.engine._match()
    await Held.entered.wait()
    assert judged(world) == [1]
    await world.engine._match()
    assert judged(world) == [1, 2]


async def test_an_opt_out_waits_for_nothing(world: World) -> None:
    """Neither behind what is being done in its conversation nor behind a text that waits."""
    for body in ("one", "two", "STOP"):
        await world.record(ANN, body)
    await world.engine._match()
    assert judged(world) == [1, 3]
    assert [tuple(row) for row in ask(world, "select state from consents")] == [("out",)]


@pytest.mark.parametrize("words", [("START", "STOP"), ("STOP", "START"), ("one", "STOP", "START")])
async def test_the_last_word_counts(world: World, words: tuple[str, ...]) -> None:
    for body in ("zero", *words):
        await world.record(ANN, body)
    await world.engine._match()
    Held.gate.set()
    await world.work()
    states = {state for (state,) in ask(world, "select state from consents")}
    assert states == {"out" if words[-1] == "STOP" else "in"}


async def test_others_do_not_wait(world: World) -> None:
    for who, body in ((ANN, "one"), (ANN, "two"), (BOB, "three")):
        await world.record(who, body)
    await world.engine._match()
    assert judged(world) == [1, 3]


async def test_no_more_wait_than_there_is_room_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes behind those that wait does; a conversation that has none waiting goes on."""
    monkeypatch.setattr(matcher, "MOST_IN_TURN", 1)
    for who, body in ((ANN, "a"), (BOB, "b"), (ANN, "a2"), (BOB, "b2"), (ANN, "a3")):
        await world.record(who, body)
    await world.engine._match()
    assert judged(world) == [1, 2, 4]


async def test_what_waits_is_read_again_after_a_kill(world: World) -> None:
    for body in ("one", "two"):
        await world.record(ANN, body)
    await world.engine._match()
    Held.gate.set()
    await world.restart()
    await world.work()
    assert sorted(world.actions()) == ["one", "plain one", "plain two"]
