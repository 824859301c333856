"""Incidents of spending with the real worker: from the texts that took it to the end of it."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from ringback.runtime import Runtime, iso
from ringback.store.deliveries.spend_counts import span_of
from ringback.store.facts import open_facts
from ringback.store.sqlite.sqlite_files import connect_writer
from simulation.story import Story
from simulation.twilio import OURS

Begin = Callable[..., Story]
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "You said: ${{ event.body }}"}]
  - name: ring
    on: message.received
    if: event.body == 'ring'
    do: [{call: {to: "${{ event.from }}", say: Hello.}}]
"""
COUNTED = (
    "select measure, dimension, value, sum(number) from spend_counts "
    "group by 1, 2, 3 order by 1, 2, 3"
)
SPENT = "select key, state from incidents where key like 'delivery:spend:%' order by id"


def texts(story: Story, count: int, body: str = "hello") -> None:
    """So many people write."""
    for number in range(count):
        story.receive(story.text(body, f"+155510001{number:02d}"))


def usual(story: Story, number: int) -> None:
    """So much was spent in five minutes of the day before."""
    moment = datetime.fromtimestamp(story.clock.wall(), UTC) - timedelta(hours=25)
    with closing(connect_writer(story.folder / "journal.db")) as connection:
        connection.execute(
            "insert into spend_counts values (?, 'segments', 'all', '', ?)",
            (span_of(iso(moment)), number),
        )


def test_what_texts_and_calls_take_is_counted_once(begin: Begin) -> None:
    """A text by its segments, as Twilio counts them, a call by the minutes that have begun."""
    story = begin(rules=RULES)
    texts(story, 3)
    texts(story, 1, "ring")
    story.run(400.0)
    sent = story.ask("select sum(segments) from actions where effect = 'message'")[0][0]
    assert sent >= 4
    found = {row[:3]: row[3] for row in story.ask(COUNTED)}
    assert found["segments", "all", ""] == sent
    assert found["segments", "rule", "answer"] == sent
    assert found["segments", "sender", OURS] == sent
    assert found["minutes", "rule", "ring"] >= 1
    assert len(found) == 6


def test_texts_beyond_the_usual_are_one_incident_from_beginning_to_end(begin: Begin) -> None:
    story = begin(rules=RULES, spend_minimum=10)
    usual(story, 4)
    story.run(100.0)
    texts(story, 14)
    story.run(story.clock.now + 240.0)
    ((key, state),) = story.ask(SPENT)
    assert (key, state) == ("delivery:spend:rule:answer", "open")
    ((text, details),) = story.ask("select text, details from incidents where kind = 'delivery'")
    told = json.loads(details)
    ((sent,),) = story.ask("select sum(segments) from actions")
    assert (told["Number"], told["By"], told["Fault"]) == (str(sent), "rule", "ours")
    assert "put rule answer to `state: draft`" in told["Mend"]
    assert f"{sent} segments of texts of rule answer within 5 min" in text
    assert told["Examples"].startswith("SM")
    story.run(story.clock.now + 900.0)
    assert story.ask(SPENT) == [(key, "resolved")]


def test_rules_and_plugins_ask_what_was_taken_and_who_left(begin: Begin) -> None:
    """Within a span that has them, and not after it."""
    story = begin(rules=RULES)
    texts(story, 2)
    story.run(100.0)
    story.receive(story.text("STOP", "+15551000001"))
    story.run(130.0)
    ((sent,),) = story.ask("select sum(number) from spend_counts where dimension = 'all'")
    assert sent >= 2
    now = story.clock.wall()
    for later, expected in ((0.0, (sent, 1)), (7200.0, (0, 0))):
        moment = now + later
        with closing(open_facts(story.folder, Runtime(time=moment.__float__))) as facts:
            assert (facts.segments("1h"), facts.opt_outs("1h")) == expected
            with pytest.raises(ValueError, match="7d"):
                facts.segments("8d")


@pytest.mark.slow
def test_nothing_is_too_much_on_the_first_day(begin: Begin) -> None:
    story = begin(rules=RULES, spend_minimum=10)
    texts(story, 14)
    story.run(300.0)
    assert story.ask(SPENT) == []
