"""Groups and cards on a node: what is written with the run that says so, and what stays."""

from collections.abc import Callable

import pytest

from ringback.errors import UsageError
from ringback.runtime import REAL
from ringback.store.upkeep.erase import erase
from ringback.store.upkeep.rebuild import rebuild
from scenarios.test_bulks import ask
from simulation.story import Story

ANN, BOB = "+15550100001", "+15550100002"
RULES = """
groups: {news: {}, others: {}}
rules:
  - {name: in, on: message.received, if: event.body == 'in', do: [{join: news}, {reply: In.}]}
  - {name: out, on: message.received, if: event.body == 'out', do: [{leave: news}]}
  - name: ask
    on: message.received
    if: event.body == 'ask' && event.from in groups.news
    do: [{reply: "Hi ${{ contact.name }}"}]
  - name: shadow
    on: message.received
    state: shadow
    if: event.body == 'shy'
    do: [{join: others}]
  - name: draft
    on: message.received
    state: draft
    if: event.body == 'may I'
    do: [{join: others}]
  - name: slow
    on: message.received
    if: event.body == 'slow'
    do: [{join: others}, {wait: 30s}, {leave: others}]
"""
Begin = Callable[..., Story]


def says(story: Story, body: str, who: str = ANN, seconds: float = 30.0) -> None:
    story.receive(story.text(body, who))
    story.run(story.clock.now + seconds)


def members(story: Story) -> list[tuple[str, str]]:
    return story.ask("select name, number from group_members order by name, number")


def sent(story: Story) -> list[str]:
    return [str(each.body) for each in story.twilio.records.values()]


def test_who_joins_is_a_member_until_they_leave(begin: Begin) -> None:
    """Once, however often they say so; in shadow nothing is written, in draft not before a yes."""
    story = begin(rules=RULES)
    for body in ("ask", "in", "in", "ask", "shy", "may I"):
        says(story, body)
    assert members(story) == [("news", ANN)]
    assert story.ask("select by from group_members") == [("in",)]
    (parked,) = story.ask("select uid from actions where rule = 'draft'")
    ask(story, "approve", uid=parked[0])
    assert members(story) == [("news", ANN), ("others", ANN)]
    says(story, "out")
    says(story, "out")
    says(story, "ask")
    assert members(story) == [("others", ANN)]


@pytest.mark.parametrize(
    "after", [0.05, *(pytest.param(n, marks=pytest.mark.slow) for n in (0.0, 0.01, 0.2, 5.0, 31))]
)
def test_a_member_survives_the_death_of_the_worker(begin: Begin, after: float) -> None:
    """What a run has said is written with it, and the rest is done by the next worker."""
    story = begin(rules=RULES)
    story.receive(story.text("slow", ANN))
    story.run(story.clock.now + after)
    story.kill()
    story.start()
    story.run(story.clock.now + 10.0)
    assert members(story) == ([("others", ANN)] if after < 30 else [])
    story.run(story.clock.now + 40.0)
    assert members(story) == []
    assert story.ask("select count(*) from actions where kind = 'set_member'") == [(2,)]


def test_what_is_said_of_persons_is_kept_once(begin: Begin) -> None:
    """By number, in whatever spelling; empty fields say nothing; groups must be there."""
    story = begin(rules=RULES)
    says(story, "in")
    card = {"address": ANN, "fields": {"name": "Ann", "city": ""}, "joins": ["others"]}
    first = ask(story, "cards", cards=[card, {"address": BOB, "joins": ["news"]}])
    assert first["changed"] == 2
    assert ask(story, "cards", cards=[card])["changed"] == 0
    assert members(story) == [("news", ANN), ("news", BOB), ("others", ANN)]
    says(story, "ask")
    assert "Hi Ann" in sent(story)
    wrong = ask(story, "cards", cards=[{"address": ANN, "joins": ["nobody"]}])
    assert isinstance(wrong, UsageError)
    assert "no group is named 'nobody'" in str(wrong)
    ask(story, "cards", cards=[{"address": ANN, "leaves": ["news"]}])
    assert ("news", ANN) not in members(story)


def test_a_person_who_is_erased_is_in_no_group_and_has_no_card(begin: Begin) -> None:
    story = begin(rules=RULES)
    for who in (ANN, BOB):
        says(story, "in", who)
        ask(story, "cards", cards=[{"address": who, "fields": {"name": "N"}}])
    story.kill()
    erase(story.folder, ANN, "2000-01-01T00:00:00.000Z")
    assert members(story) == [("news", BOB)]
    assert story.ask("select number from cards") == [(BOB,)]
    assert ANN not in str(story.ask("select params from actions"))


def test_a_rebuilt_journal_knows_the_groups(begin: Begin) -> None:
    """The log does not tell them: they are taken over."""
    story = begin(rules=RULES)
    says(story, "in")
    ask(story, "cards", cards=[{"address": ANN, "fields": {"name": "Ann"}}])
    story.kill()
    rebuild(story.folder, lambda: REAL.uid("evt"), "old")
    assert members(story) == [("news", ANN)]
    assert story.ask("select fields from cards") == [('{"name": "Ann"}',)]
