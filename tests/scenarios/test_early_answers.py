"""Answers that are on record before the run that has asked waits for them, as after a downtime.

Each counts as if it had come afterwards. On a bench texts come one by one, and both make the same
of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from admission.compare import difference
from admission.node import Loaded
from admission.stories import PEOPLE, Step, Story, status, text
from ringback.plugins.loader import load_plugins
from ringback.testing.assembly import ruleset_of
from scenarios.test_rules_timing import ANN, World

AMY, BOB = PEOPLE[:2]
BOOK = """
- name: book
  on: message.received
  if: event.body == 'book'
  do:
    - reply: Which day?
    - wait_for: {if: "reply.body != 'hm'", timeout: 1h, as: day, else: [{reply: no answer}]}
    - reply: At what time?
    - wait_for: {timeout: 1h, as: time, else: [{reply: no time}]}
    - reply: "Noted ${{ vars.day }} ${{ vars.time }}."
"""
NIGHT = "- {name: night, on: message.received, if: event.body != 'book', do: [{reply: Closed.}]}\n"
REST = "- {name: rest, on: message.received, backstop: true, do: [{reply: Thanks.}]}\n"
LOG = (
    "- {name: log, on: message.received, also_answers: true, do: [{notify: '${{ event.body }}'}]}\n"
)
ANY = "- {name: any, on: message.received, do: [{reply: Which?}, {wait_for: {timeout: 1h}}]}\n"
SEEN = """
- {name: seen, on: message.received, do: [{reply: Hi}, {wait_for: {on: message.delivered,
   timeout: 1h, do: [{notify: arrived}], else: [{notify: lost}]}}]}
"""
BURST = """- {name: burst, on: message.received, if: event.body != 'book', once_after: 5s,
   do: [{notify: "${{ burst.texts.join('+') }}"}]}
"""
ENOUGH = """
- {name: asks, on: message.received, accumulate_within: 1m, threshold: 2, do: [{reply: Which?},
   {wait_for: {timeout: 1m, do: [{notify: "heard ${{ reply.body }}"}], else: [{notify: none}]}}]}
"""
QUIET = ENOUGH.replace("accumulate_within: 1m, threshold: 2", "once_after: 5s")
UNLESS = """
- {name: late, on: message.received, if: "event.body.begins_with('invoice')", within: 1h,
   unless: {on: message.received, if: "reply.body.begins_with('paid')"}, do: [{notify: late}]}
"""
BY_NUMBER = UNLESS.replace("within: 1h", "within: 1h, key: '${{ event.body.word(1) }}'")
ENDED = """
- {name: due, on: message.received, if: "event.body.begins_with('invoice')",
   cancel_on: {on: message.received, if: "reply.body.begins_with('paid')"},
   do: [{wait: 1h}, {notify: due}]}
"""
ENDED_BY_NUMBER = ENDED.replace("do:", "key: '${{ event.body.word(1) }}', do:")
NEXT = """
- {name: next, on: message.received, mode: queued, if: event.body != 'enough',
   cancel_on: {on: message.received, if: "reply.body == 'enough'"},
   do: [{wait: 1m}, {notify: "${{ event.body }}"}]}
"""
STORIES: dict[str, tuple[str, tuple[Step, ...], str]] = {
    "one answer": (BOOK, ((text("book"), text("monday")), 3600.0), "no time"),
    "both answers": (BOOK, ((text("book"), text("monday"), text("at 9")),), "Noted monday at 9."),
    "what is no answer, and one": (
        BOOK, ((text("book"), text("hm"), text("monday")), 5.0, text("9")), "Noted monday 9.",
    ),
    "somebody else's text": (
        BOOK, ((text("book"), text("monday", BOB)), 3600.0), "no answer",
    ),
    "other rules are not offered it": (
        BOOK + NIGHT + REST, ((text("book"), text("monday"), text("at 9")), 5.0, text("x")),
        "answer: book has asked for it, run_1",
    ),
    "but those that ask for it": (
        BOOK + LOG, ((text("book"), text("monday")), 5.0), "notify monday",
    ),
    "the rule does not begin anew with its own answer": (
        ANY, ((text("a"), text("b")), 5.0, text("c")), "answer: any has asked for it, run_1",
    ),
    "what has joined a burst that began with an answer": (
        BOOK + BURST, ((text("book"), text("monday"), text("at 9"), text("c"), text("d")), 6.0),
        "notify c+d",
    ),
    "the text that makes a burst full is none": (
        ENOUGH + NIGHT, (text("a"), text("b"), 61.0), "notify none",
    ),
    "nor is it in one batch, but what comes behind it": (
        ENOUGH, ((text("a"), text("b"), text("c")), 61.0), "heard c",
    ),
    "a text of a burst that ends when it is quiet is none": (
        QUIET + NIGHT, (text("a"), text("b"), 5.0, 61.0), "notify none",
    ),
    "an unless": (UNLESS, ((text("invoice 7"), text("paid 7")), 3600.0), "came in time"),
    "an unless that its condition does not take": (
        UNLESS, ((text("invoice 7"), text("pay 7")), 3600.0), "notify late",
    ),
    "an unless of the same key": (
        BY_NUMBER, ((text("invoice 7"), text("x"), text("paid 7", BOB)), 3600.0), "came in time",
    ),
    "an unless of another key": (
        BY_NUMBER, ((text("invoice 7"), text("paid 8")), 3600.0), "notify late",
    ),
    "what ends a run": (
        ENDED, ((text("invoice 7"), text("x"), text("paid 7")), 3600.0),
        "cancelled by message.received",
    ),
    "what its condition does not take ends none": (
        ENDED, ((text("invoice 7"), text("pay 7")), 3600.0), "notify due",
    ),
    "what ends a run of the same key": (
        ENDED_BY_NUMBER, ((text("invoice 7"), text("paid 7", BOB)), 3600.0),
        "cancelled by message.received",
    ),
    "and none of another": (
        ENDED_BY_NUMBER, ((text("invoice 7"), text("paid 8")), 3600.0), "notify due",
    ),
    "the next of a queue goes on with what came behind the end of the first": (
        NEXT, ((text("a"), text("enough"), text("b")), 130.0), "notify b",
    ),
    "a delivery": (SEEN, ((text("a"), status("delivered")), 5.0), "notify arrived"),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
async def test_an_answer_that_comes_before_the_question_is_noted(tmp_path: Path, name: str) -> None:
    rules, steps, piece = STORIES[name]
    found = await difference(Story(f"rules:\n{rules}", steps), tmp_path)
    assert found.why == ""
    assert piece in str(found.node)


async def test_a_stop_before_the_question_is_noted_ends_it(tmp_path: Path) -> None:
    """And the question itself is not sent any more; what they say then is no answer."""
    steps = ((text("book"), text("STOP"), text("monday")),)
    found = await difference(Story(f"rules:\n{BOOK}", steps), tmp_path)
    assert list(found.node.ends.values()) == ["done: stopped: they sent STOP"]
    assert "refused: +442071838750 opted out" in str(found.node.told)


PLUGIN = """
from ringback import Conversation, reply, rule

@rule("message.received", if_="event.body == 'book'")
async def book(convo: Conversation):
    day = await convo.ask("Which day?", timeout="1h")
    time = await convo.ask("When?", timeout="1h")
    convo.tell(f"Noted {day} {time}.")

@rule("message.received", if_="event.body != 'book'")
def night(event):
    return reply(event, "Closed.")
"""


async def test_a_conversation_in_python_takes_them_from_other_rules_too(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shop.py").write_text(PLUGIN)
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, _ = ruleset_of(plugins, tmp_path / "rules")
    story = Story("", ((text("book"), text("monday"), text("9")), 5.0, text("x")))
    found = await difference(story, tmp_path, Loaded(ruleset, plugins))
    assert found.why == ""
    assert "Noted monday 9." in str(found.node.told)


BURSTS = {"full": "accumulate_within='1m', threshold=2", "quiet": "once_after='5s'"}
ASKING = """
from ringback import Conversation, notify, rule

@rule("message.received", {timing}, mode="single")
async def asks(convo: Conversation):
    day = await convo.ask("Which?", timeout="1m")
    convo.tell(f"heard {{day}}.")
"""


@pytest.mark.parametrize("timing", BURSTS)
async def test_a_text_of_a_burst_answers_no_conversation_in_python(
    tmp_path: Path, timing: str
) -> None:
    """It came before the question, and the function has it in `texts`."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shop.py").write_text(ASKING.format(timing=BURSTS[timing]))
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, _ = ruleset_of(plugins, tmp_path / "rules")
    story = Story("", (text("a"), text("b"), 6.0, text("c"), 5.0))
    found = await difference(story, tmp_path, Loaded(ruleset, plugins))
    assert found.why == ""
    assert "heard c." in str(found.node.told)


LATE = {
    "queued": (
        "if_=\"event.body.startsWith('book')\", key='desk', mode='queued'",
        (text("book", BOB), 1.0, text("book"), 1.0, text("hello?"), 1.0, text("Friday", BOB), 5.0),
    ),
    "unless": (
        "if_=\"event.body == 'book'\", unless='message.sent', within='5m'",
        (text("book"), 60.0, text("hello?"), 60.0, text("anybody?"), 240.0),
    ),
}  # fmt: skip
TALK = """
from ringback import Conversation, rule

@rule("message.received", {words})
async def asks(convo: Conversation):
    day = await convo.ask("Which day?", timeout="1h")
    convo.tell(f"heard {{day}}.")
"""


@pytest.mark.parametrize("how", LATE)
async def test_a_conversation_in_python_takes_no_text_that_came_before_its_time(
    tmp_path: Path, how: str
) -> None:
    """What they wrote while it stood in a queue, or behind an `unless`, answers nothing."""
    words, steps = LATE[how]
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shop.py").write_text(TALK.format(words=words))
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, _ = ruleset_of(plugins, tmp_path / "rules")
    story = Story("", (*steps, text("Monday"), 5.0))
    found = await difference(story, tmp_path, Loaded(ruleset, plugins))
    assert found.why == ""
    told = found.node.told
    assert "heard Monday." in str(told)
    assert "hello" not in str(told)
    assert "anybody" not in str(told)


@pytest.mark.parametrize("dies", [False, True])
async def test_the_worker_dies_between_a_full_burst_and_its_question(
    tmp_path: Path, dies: bool
) -> None:
    """The next one knows which texts are of the burst."""
    rules = TELLING.replace("if: event.body == 'book'", "accumulate_within: 1m, threshold: 2")
    (tmp_path / "rules.yaml").write_text(rules)
    ruleset, problems = ruleset_of(load_plugins(tmp_path / "none"), tmp_path / "rules.yaml")
    assert problems == []
    world = World(tmp_path, ruleset)
    await world.boot()
    await world.text(ANN, "a")
    await world.record(ANN, "b")
    if dies:
        gone = asyncio.Event()

        async def die(*_: Any) -> None:
            gone.set()
            await asyncio.sleep(3600)

        object.__setattr__(world.engine.runner._signals, "again", die)
        await world.engine._match()
        async with asyncio.timeout(5):
            await gone.wait()
        await world.end()
        await world.boot()
    await world.work()
    assert world.actions() == []
    await world.text(ANN, "c")
    assert world.actions() == ["heard c"]
    await world.close()


TELLING = """
rules:
- {name: book, on: message.received, if: event.body == 'book', do: [{wait_for: {timeout: 1h,
   as: day, else: [{notify: none}]}}, {notify: "heard ${{ vars.day }}"}]}
"""


def dying_at_its_look(world: World) -> asyncio.Event:
    """The worker goes no further than to the look at what came before a run waited. Set there."""
    gone = asyncio.Event()

    async def die(*_: Any) -> bool:
        gone.set()
        await asyncio.sleep(3600)
        return False

    object.__setattr__(world.engine.runner._signals, "early", die)
    return gone


@pytest.mark.parametrize("dies", ["before it asks", "when it has asked", "never"])
async def test_the_worker_dies_between_question_and_answer(tmp_path: Path, dies: str) -> None:
    """Both texts are on record. The next worker finds the answer, whether or not the question has
    been written down."""
    (tmp_path / "rules.yaml").write_text(TELLING)
    ruleset, problems = ruleset_of(load_plugins(tmp_path / "none"), tmp_path / "rules.yaml")
    assert problems == []
    world = World(tmp_path, ruleset)
    await world.boot()
    await world.record(ANN, "book")
    if dies == "when it has asked":
        await world.engine._match()
        gone = dying_at_its_look(world)
        async with asyncio.timeout(5):
            await gone.wait()
        await world.record(ANN, "monday")
        await world.engine._match()
    else:
        await world.record(ANN, "monday")
        await world.engine._match()
    if dies != "never":
        await world.end()
        await world.boot()
    await world.work()
    await world.wait(3600.0)
    assert world.actions() == ["heard monday"]
    await world.close()


@pytest.mark.parametrize("rules", [UNLESS, BY_NUMBER, ENDED, ENDED_BY_NUMBER])
async def test_the_worker_dies_before_it_looks_for_what_ends_a_run(
    tmp_path: Path, rules: str
) -> None:
    """The run waits, and the text that ends it came in the same batch, of the same person or, where
    the rule has a key, of another. The next worker looks for it."""
    (tmp_path / "rules.yaml").write_text("rules:" + rules)
    ruleset, problems = ruleset_of(load_plugins(tmp_path / "none"), tmp_path / "rules.yaml")
    assert problems == []
    world = World(tmp_path, ruleset)
    await world.boot()
    gone = dying_at_its_look(world)
    await world.record(ANN, "invoice 7")
    await world.record(BOB if "key:" in rules else ANN, "paid 7")
    await world.engine._match()
    async with asyncio.timeout(5):
        await gone.wait()
    await world.end()
    await world.boot()
    await world.work()
    await world.wait(3600.0)
    assert world.actions() == []
    await world.close()


@pytest.mark.parametrize(("minutes", "heard"), [(30, "heard monday"), (90, "none")])
async def test_an_answer_that_came_in_time_while_the_worker_was_down(
    tmp_path: Path, minutes: int, heard: str
) -> None:
    """The hour is over when the worker begins again, and hundreds of texts stand before the answer:
    it counts when it was sent within the hour."""
    (tmp_path / "rules.yaml").write_text(TELLING)
    ruleset, _ = ruleset_of(load_plugins(tmp_path / "none"), tmp_path / "rules.yaml")
    world = World(tmp_path, ruleset)
    await world.boot()
    await world.text(ANN, "book")
    await world.end()
    world.time += 60 * minutes
    for number in range(450):
        await world.record(f"+1415556{number:04d}", "hello")
    await world.record(ANN, "monday")
    world.time += 3600
    await world.boot()
    await world.work()
    assert world.actions()[0] == heard
    await world.close()
