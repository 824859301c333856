"""Rates of failure in a node whose texts live as Twilio's do: sent, and then undelivered."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ringback.runtime import Runtime
from ringback.store.facts import JournalFacts
from ringback.store.migrations import connect_journal, migrate_journal
from ringback.store.sqlite.sqlite_files import connect_writer
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

Begin = Callable[..., Story]
COOKBOOK = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text("utf-8")
SERVICE = "MG" + "5" * 32


def recipe(title: str) -> str:
    """The rules of a recipe, without its cases."""
    found = re.search(rf"^### {title}\n.*?```yaml\n(.*?)(?=^cases:|```)", COOKBOOK, re.M | re.S)
    assert found, title
    return found[1]


def tell(
    story: Story, number: int, *statuses: str, code: str = "", sender: str = OURS, **more: str
) -> None:
    """Status callbacks of a text, one after the other."""
    for status in statuses:
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": f"SM{number:032x}", "MessageStatus": status,
            "From": sender, "To": f"+1415555{number:04d}", **more,
        }  # fmt: skip
        if status in ("failed", "undelivered") and code:
            fields["ErrorCode"] = code
        story.receive(story.entry("message/status", "", fields))


ALARMS = {
    "Alarm when the share of failures is too high": "of the 34 texts of the last hour failed",
    "Alarm when one sender does badly": f"{OURS} does badly: 3 of 3 texts failed.",
    "Alarm when failures pile up": "5 texts failed within five minutes.",
    "One notice for each kind of failure": "Texts fail: Carrier gave no reason (30008)",
    "Alarm when texts stay without an answer": "2 texts have had no final state",
}


@pytest.mark.slow
def test_alerts_of_the_cookbook_fire(begin: Begin) -> None:
    """Each text is sent, and then undelivered, as most that carriers lose; another sender is well.
    While all arrive it is quiet."""
    rules = "".join(recipe(title).removeprefix("rules:\n") for title in ALARMS)
    story = begin(rules=f"rules:\n{rules}")
    for number in range(20):
        tell(story, 100 + number, "queued", "sent", "delivered", sender="+15550001112")
    story.run(100.0)
    assert story.notices == []
    for number in range(20):
        tell(story, number, "queued", "sent", "undelivered", code="30008")
        story.run(story.clock.now + 1.0)
    for number in range(2):
        tell(story, 200 + number, "queued", "sent")
    story.run(905.0)
    said = "\n".join(story.notices)
    assert [title for title, text in ALARMS.items() if text not in said] == [], said


Figures = Callable[[Story], JournalFacts]


@pytest.fixture
def figures() -> Iterator[Figures]:
    """The past of a story, as rules and plugins ask for it."""
    with ExitStack() as stack:

        def opened(story: Story) -> JournalFacts:
            journal = connect_journal(story.folder / "journal.db")
            return stack.enter_context(
                closing(JournalFacts(journal, Runtime(time=story.clock.wall)))
            )

        yield opened


RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "We are open."}]
"""


def test_texts_are_counted_by_rule_sender_service_country_line_and_class(
    begin: Begin, figures: Figures
) -> None:
    """An answer of a rule that does not arrive, and texts that others sent over the account; one is
    reported again and again, one is told to have failed and is then delivered."""
    story = begin(replace(calm(), undelivered=1.0), rules=RULES)
    story.receive(story.text("hello", "+442079460123"))
    story.run(60.0)
    tell(story, 1, "sent", "undelivered", "undelivered", code="30007", MessagingServiceSid=SERVICE)
    tell(story, 2, "sent", "failed", code="30034")
    story.run(130.0)
    tell(story, 2, "delivered", "read")
    tell(story, 3, "sent", "canceled")
    story.run(140.0)
    facts = figures(story)
    assert (facts.ended("1h"), facts.failures("1h")) == (3, 2)
    assert facts.failures("1h", rule="answer") == facts.failures("1h", country="GB") == 1
    assert facts.failures("1h", line_type="landline") == 1
    assert facts.ended("1h", line_type="landline_or_mobile") == 2
    assert (facts.ended("1h", country="US"), facts.failures("1h", country="US")) == (2, 1)
    assert facts.failures("1h", sender=SERVICE) == 1
    by_class = ("carrier_filtered", "recipient_unreachable", "sender_unregistered")
    assert [facts.failures("1h", error_class=each) for each in by_class] == [1, 1, 0]
    assert facts.failure_rate("1h") == 0.0  # fewer than 20
    assert facts.failure_rate("1h", minimum=3) == pytest.approx(2 / 3)
    filtered = facts.failure_rate("1h", error_class="carrier_filtered", minimum=3)
    assert filtered == pytest.approx(1 / 3)
    assert facts.delivered_rate("1h", country="US", minimum=2) == 0.5
    assert (facts.delivered_rate("1h"), facts.pending("1m")) == (1.0, 0)
    for wrong in ({"error_class": "filtered"}, {"line_type": "mobil"}, {"country": "Germany"},
                  {"sender": "a/b"}, {"rule": "answer", "country": "GB"}):  # fmt: skip
        with pytest.raises(ValueError, match=r"mean|letters|no sender|at a time"):
            facts.failures("1h", **wrong)
    with pytest.raises(ValueError, match="within 1m to 31d"):
        facts.failures("10s")


def test_what_twilio_refuses_has_failed_and_what_it_takes_is_pending(
    begin: Begin, figures: Figures
) -> None:
    """No callback tells of the first. Of the second there is none as long as it waits at Twilio."""
    story = begin(replace(calm(), callback_lost=1.0), rules=RULES)
    story.twilio.next_create = ["stopped_21610"]
    story.receive(story.text("hello", "+442079460123"))
    story.receive(story.text("hello", "+442079460124"))
    story.run(125.0)
    facts = figures(story)
    assert facts.failures("1h", error_class="recipient_opted_out") == 1
    assert (facts.pending("1m"), facts.pending("3m"), facts.pending("1m", sender=OURS)) == (1, 0, 1)


def test_a_claim_counts_when_it_is_proven(begin: Begin, figures: Figures) -> None:
    """And then once, whatever was counted meanwhile."""
    story = begin(rules=RULES)
    fields = {
        "AccountSid": ACCOUNT, "MessageSid": "SM" + "1" * 32, "MessageStatus": "failed",
        "From": OURS, "To": "+14155550123", "ErrorCode": "30007",
    }  # fmt: skip
    story.receive(story.entry("message/status", "", fields)._replace(trust="claimed"))
    story.run(10.0)
    assert figures(story).ended("1h") == 0
    tell(story, int("1" * 32, 16), "delivered")
    story.run(20.0)
    assert (figures(story).ended("1h"), figures(story).failures("1h")) == (1, 0)


def test_an_answer_costs_the_same_at_a_million_texts(tmp_path: Path) -> None:
    """A month of 20 senders: what is read are the minutes of the one that is asked for."""
    with closing(connect_writer(tmp_path / "journal.db")) as connection:
        migrate_journal(connection)
        rows = [
            ("sender", f"+1415555{sender:04d}", f"2026-01-{day:02d}T{hour:02d}:00", 20, 5)
            for sender in range(20) for day in range(1, 31) for hour in range(24)
        ]  # fmt: skip
        connection.execute("begin")
        connection.executemany("insert into text_counts values (?, ?, ?, ?, ?)", rows)
        connection.execute("commit")
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        runtime = Runtime(time=lambda: datetime(2026, 1, 31, tzinfo=UTC).timestamp())
        facts = JournalFacts(connection, runtime)
        connection.set_progress_handler(step, 100)
        assert facts.ended("31d", sender="+14155550007") == 25 * 30 * 24
        assert steps < 200  # of 100 instructions each; all rows would be over 1,000
