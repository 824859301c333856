"""Order of the texts of one run to one person: each waits until the one before it is taken."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from simulation.faults import calm
from simulation.story import Story

Begin = Callable[..., Story]
THEM = "+15550100077"
RULE = """
version: 1
rules:
  - name: counting
    on: message.received
    {}
    do:
      {}
"""
TWO = "[{reply: '1'}, {reply: '2'}]"
THREE = "[{reply: '1'}, {reply: '2'}, {send: {to: +15550100078, body: other}}, {reply: '3'}]"
LATER = "[{reply: '1'}, {wait: 1s}, {reply: '2'}]"
FROM_TWO = "[{reply: '1'}, {send: {to: '${{ event.from }}', from: +15550000002, body: '2'}}]"


def told(story: Story, to: str = THEM) -> list[str]:
    """What Twilio made for this person, in order."""
    made = sorted(story.twilio.records.values(), key=lambda record: record.made_at)
    return [record.body for record in made if record.to == to]


def played(begin: Begin, steps: str, faults: list[str], words: str = "") -> Story:
    """A text comes in; the first requests of the rule meet these faults."""
    story = begin(rules=RULE.format(words, steps), settle_seconds=10.0)
    story.twilio.next_create = faults
    story.receive(story.text("go", THEM))
    story.run(400.0)
    return story


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [(TWO, ["1", "2"]), (THREE, ["1", "2", "3"]), (LATER, ["1", "2"]), (FROM_TWO, ["1", "2"])],
)
@pytest.mark.parametrize(
    "faults",
    [
        ["429"],
        pytest.param(["429", "429", "429"], marks=pytest.mark.slow),
        pytest.param(["refused"], marks=pytest.mark.slow),
        pytest.param(["500_before"], marks=pytest.mark.slow),
        ["timeout_after"],
        [],
    ],
)
def test_the_second_text_waits_for_the_first(
    begin: Begin, steps: str, wanted: list[str], faults: list[str]
) -> None:
    """Whether the first is throttled, not connected, or its answer is lost."""
    story = played(begin, steps, [*faults])
    assert told(story) == wanted
    assert {state for (state,) in story.ask("select state from actions")} <= {"settled", "accepted"}


def test_a_rule_may_do_without(begin: Begin) -> None:
    """`ordered: false`: what can go goes."""
    story = played(begin, TWO, ["429"], "ordered: false")
    assert told(story) == ["2", "1"]


def test_another_person_does_not_wait(begin: Begin) -> None:
    """The first text is throttled, and what follows for somebody else is not."""
    story = played(begin, THREE, ["429"])
    assert told(story, "+15550100078") == ["other"]
    made = {record.body: record.made_at for record in story.twilio.records.values()}
    assert made["other"] < made["1"]


@pytest.mark.parametrize("fault", ["rejected", "timeout_before"])
def test_a_text_that_fails_or_is_parked_lets_the_next_one_go(begin: Begin, fault: str) -> None:
    steps = "[{reply: {body: '1', policy: at_most_once}}, {reply: '2'}]"
    story = played(begin, steps, [fault])
    assert told(story) == ["2"]
    states = [state for (state,) in story.ask("select state from actions order by id")]
    assert states[0] in ("failed", "parked")
    assert states[1] == "settled"


def test_a_chain_of_texts_keeps_its_order(begin: Begin) -> None:
    """The third waits for the second, which waits itself."""
    steps = "[{reply: '1'}, {reply: '2'}, {reply: '3'}, {reply: '4'}]"
    assert told(played(begin, steps, ["429", "429"])) == ["1", "2", "3", "4"]


def second_at(story: Story, moment: float) -> tuple[str, str]:
    """State and reason of the second text, at a moment of the story."""
    story.run(moment)
    states = story.ask("select state, reason from actions order by id")
    return states[1] if len(states) > 1 else ("", "")


def test_what_waits_says_so_and_outlives_the_worker(begin: Begin) -> None:
    """The worker dies while the first text is put off; the order is kept."""
    story = begin(rules=RULE.format("", TWO), faults=replace(calm()))
    story.twilio.next_create = ["429"]
    story.receive(story.text("go", THEM))
    waits = "waits until the text before it, of the same run to the same person, is taken"
    moments = (number / 100 for number in range(1, 200))  # when the first is put off is drawn
    assert any(("deferred", waits) == second_at(story, moment) for moment in moments)
    story.kill()
    story.start()
    story.run(200.0)
    assert told(story) == ["1", "2"]
    first, second = sorted(record.made_at for record in story.twilio.records.values())
    assert second - first < 5  # not when a clock finds it
