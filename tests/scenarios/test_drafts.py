"""Rules in `draft`: the wait for an answer begins with a person's yes; a yes to a note notes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from admission import stories
from admission.compare import difference
from admission.node import Loaded
from ringback.errors import UsageError
from ringback.plugins.loader import load_plugins
from ringback.testing.assembly import ruleset_of
from simulation.story import Story

Begin = Callable[..., Story]
ANN = "+15550100044"
MINUTE, DAY = 60.0, 86400.0
RULES = """
version: 1
rules:
  - name: booking
    on: message.received
    if: event.body == 'book'
    state: draft
    cancel_on: {on: message.received, if: "reply.body == 'never mind'"}
    do:
      - reply: For which day?
      - wait_for:
          on: message.received
          timeout: 10m
          do: [{notify: "for ${{ reply.body }}"}]
          else: [{notify: no answer}]
  - name: name
    on: message.received
    if: event.body == 'I am Ann'
    state: draft
    do: [{remember: {who: Ann}}]
  - name: other
    on: message.received
    if: event.body == 'who'
    do: [{notify: "it is ${{ remembered('who') }}"}]
"""


def ask(story: Story, op: str, kind: str = "send_message", **more: Any) -> dict[str, Any]:
    """A person decides about the only action of a kind, and some seconds pass."""
    assert story.life is not None
    ((uid,),) = story.ask(f"select uid from actions where kind = '{kind}' and state = 'parked'")
    task = story.life.loop.create_task(story.life.control.handle({"op": op, "uid": uid, **more}))
    story.run(story.clock.now + 5.0)
    return task.result() or {}


def say(story: Story, body: str, seconds: float = 30.0) -> None:
    """Ann writes, and a while passes."""
    story.receive(story.text(body, ANN))
    story.run(story.clock.now + seconds)


def run(story: Story) -> tuple[str, str]:
    """What became of the run that asks."""
    ((state, reason),) = story.ask("select state, reason from runs where rule = 'booking'")
    return state, reason.partition(" until ")[0]


def drafted(story: Story) -> list[str]:
    """What the notices of the draft say: they wait for a yes too."""
    rows = story.ask("select json_extract(params, '$.text') from actions where kind = 'notify'")
    return [text for (text,) in rows]


@pytest.mark.slow
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "decision", [("retry", {}), ("approve", {}), ("resolve", {"outcome": "sent"})]
)
def test_the_wait_for_an_answer_begins_when_its_question_was_approved(
    begin: Begin, restarted: bool, decision: tuple[str, dict[str, str]]
) -> None:
    """A person takes longer than that; what Ann writes meanwhile answers nothing."""
    story = begin(rules=RULES)
    say(story, "book", 15 * MINUTE)
    say(story, "hello?", MINUTE)
    assert run(story) == ("waiting", "its question waits for a person's yes")
    ask(story, decision[0], **decision[1])
    if restarted:
        story.kill()
        story.start()
    story.run(story.clock.now + 8 * MINUTE)
    assert run(story)[0] == "waiting"
    say(story, "Monday")
    assert run(story)[0] == "done"
    assert drafted(story) == ["for Monday"]


def test_after_the_yes_the_time_for_an_answer_is_that_of_the_rule(begin: Begin) -> None:
    story = begin(rules=RULES)
    say(story, "book", 12 * MINUTE)
    ask(story, "retry")
    story.run(story.clock.now + 11 * MINUTE)
    assert run(story)[0] == "done"
    assert drafted(story) == ["no answer"]


@pytest.mark.parametrize(
    ("decision", "more"),
    [("cancel_action", {}), ("decline", {}), ("resolve", {"outcome": "not_sent"})],
)
def test_a_question_that_is_declined_ends_the_run(
    begin: Begin, decision: str, more: dict[str, str]
) -> None:
    story = begin(rules=RULES)
    say(story, "book")
    ask(story, decision, **more)
    assert run(story) == ("cancelled", "a person declined what it asks")
    say(story, "Monday")
    assert drafted(story) == []


@pytest.mark.parametrize("decision", ["approve", "decline"])
def test_only_a_draft_wants_a_yes_or_no(begin: Begin, decision: str) -> None:
    """What went out long ago is not cancelled or sent again by a wrong id; nor twice by a yes."""
    story = begin(rules=RULES)
    say(story, "book")
    ask(story, "approve")
    assert story.life is not None
    for (uid,) in [*story.ask("select uid from actions where kind = 'send_message'"), ("act_9",)]:
        task = story.life.loop.create_task(story.life.control.handle({"op": decision, "uid": uid}))
        story.run(story.clock.now + 5.0)
        with pytest.raises(UsageError, match="only a draft wants a yes or no"):
            task.result()
    assert story.ask("select state, tries from actions where kind = 'send_message'")[0][1] == 1


def test_a_run_that_asks_can_be_called_off_before_the_yes(begin: Begin) -> None:
    story = begin(rules=RULES)
    say(story, "book")
    say(story, "never mind")
    assert run(story)[0] == "cancelled"


def asleep(story: Story, seconds: float) -> None:
    """The node is off for so long: a week of its ticks, one a second, would take minutes."""
    story.kill()
    story.run(story.clock.now + seconds)
    story.start()
    story.run(story.clock.now + 60.0)


def test_a_question_that_nobody_decides_about_is_unanswered_after_a_week(begin: Begin) -> None:
    story = begin(rules=RULES)
    say(story, "book")
    asleep(story, 6.9 * DAY)
    assert run(story)[0] == "waiting"
    asleep(story, 0.2 * DAY)
    assert run(story)[0] == "done"
    assert drafted(story) == ["no answer"]


def test_a_yes_to_remember_notes_it(begin: Begin) -> None:
    """No request carries it out: it is done with the yes, and rules see it."""
    story = begin(rules=RULES)
    say(story, "I am Ann")
    say(story, "who")
    assert ask(story, "retry", "remember") == {"ok": True, "state": "settled"}
    ((state, reason),) = story.ask(
        "select state, reason from actions where kind = 'remember' and rule = 'name'"
    )
    assert (state, reason) == ("settled", "noted, as a person said")
    say(story, "who")
    assert story.notices == ["it is ", "it is Ann"]


def test_a_no_to_remember_leaves_it(begin: Begin) -> None:
    story = begin(rules=RULES)
    say(story, "I am Ann")
    ask(story, "cancel_action", "remember")
    say(story, "who")
    assert story.notices == ["it is "]


UNDECIDED = """rules:
- {name: d, on: message.received, if: event.body == 'a', state: draft, do: [{reply: Which?},
   {wait_for: {timeout: 1m, do: [{notify: heard}], else: [{reply: Still?}, {wait_for: {on:
   message.delivered, timeout: 1m}}, {notify: end}]}}]}
- {name: r, on: message.received, do: [{notify: seen}]}
"""
CONVERSATION = """
from ringback import Conversation, rule

@rule("message.received", mode="single", state="draft")
async def order(convo: Conversation):
    what = await convo.ask("What?", timeout="1m")
    convo.tell(f"{what} it is.")
"""


async def test_on_a_bench_nobody_says_yes(tmp_path: Path) -> None:
    """So no text is an answer there, and a question is unanswered after a week."""
    steps = (
        stories.text("a"), 61.0, stories.text("b"), stories.status("delivered"), 7 * DAY,
        stories.text("c"), 7 * DAY,
    )  # fmt: skip
    found = await difference(stories.Story(UNDECIDED, steps), tmp_path)
    assert found.why == ""
    assert "notify end | parked" in str(found.node)


async def test_on_a_bench_a_conversation_waits_for_the_yes_too(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shop.py").write_text(CONVERSATION)
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, problems = ruleset_of(plugins, tmp_path / "rules")
    assert problems == []
    steps = (stories.text("hi"), stories.text("tea"), 61.0, stories.text("2"))
    found = await difference(stories.Story("", steps), tmp_path, Loaded(ruleset, plugins))
    assert found.why == ""
    assert "single: run_1 is under way" in str(found.node.verdicts)


@pytest.mark.parametrize("ops", [("approve", "decline"), ("decline", "approve"), ("approve",) * 2])
def test_of_two_decisions_at_once_the_first_counts(begin: Begin, ops: tuple[str, str]) -> None:
    story = begin(rules=RULES)
    say(story, "book")
    ((uid,),) = story.ask("select uid from actions where state = 'parked'")
    assert story.life is not None
    control, loop = story.life.control, story.life.loop
    tasks = [loop.create_task(control.handle({"op": op, "uid": uid})) for op in ops]
    story.run(story.clock.now + 5.0)
    assert (tasks[0].result() or {})["ok"]
    with pytest.raises(UsageError, match="only a draft wants a yes or no"):
        tasks[1].result()
    ((run,),) = story.ask("select state from runs where rule = 'booking'")
    assert run == ("waiting" if ops[0] == "approve" else "cancelled")
