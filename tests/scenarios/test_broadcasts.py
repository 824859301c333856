"""Broadcasts: each of a group once, at the rate, through the gate, and a result for the run."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from ringback.store.operations.cards import Card
from ringback.store.operations.cards import _write as write_cards
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep.erase import erase
from scenarios.test_bulks import ask, bulk
from simulation.story import Story

ANN = "+15550100001"
RULES = """
groups: {news: {}}
rules:
  - name: all
    on: message.received
    if: event.body == 'go'
    do:
      - broadcast: {to: groups.news, body: "Hello", rate: 5/s, as: result}
      - reply: "${{ result.text }}: ${{ string(result.sent) }}"
  - name: dry
    on: message.received
    state: shadow
    if: event.body == 'dry'
    do: [{broadcast: {to: groups.news, body: "Hello", as: result}}, {reply: "${{ result.text }}."}]
  - name: yes
    on: message.received
    state: draft
    if: event.body == 'ask'
    do: [{broadcast: {to: groups.news, body: Hello}}]
"""
Begin = Callable[..., Story]


def fill(story: Story, count: int, first: int = 0) -> None:
    """So many people are in the group."""
    cards = [Card(f"+1555020{number:04d}", {}, ["news"]) for number in range(first, first + count)]
    with closing(connect_writer(story.folder / "journal.db")) as journal:
        write_cards(journal, cards, "test", "2026-01-01T00:00:00.000Z")


def go(story: Story, seconds: float, body: str = "go") -> None:
    story.receive(story.text(body, ANN))
    story.run(story.clock.now + seconds)


def sent(story: Story) -> Counter[str]:
    """How often each member was texted."""
    return Counter(each.to for each in story.twilio.records.values() if each.body == "Hello")


def last(story: Story) -> dict[str, object]:
    (uid,) = story.ask("select uid from bulks order by id desc limit 1")[0]
    return bulk(story, uid)


def replies(story: Story) -> list[str]:
    return [each.body for each in story.twilio.records.values() if each.to == ANN]


def test_each_member_is_texted_once_and_the_run_has_the_result(begin: Begin) -> None:
    """At the rate; who joins meanwhile is no part of it, and who opted out is refused."""
    story = begin(rules=RULES)
    fill(story, 40)
    out = "+15550200003"
    story.receive(story.text("STOP", out))
    story.run(story.clock.now + 5.0)
    go(story, 4.0)
    assert 10 <= len(sent(story)) <= 25
    fill(story, 5, first=100)
    story.run(story.clock.now + 30.0)
    found = last(story)
    assert (found["state"], found["total"], found["done"], found["refused"], found["failed"]) == (
        "done", 40, 39, 1, 0,
    )  # fmt: skip
    assert set(sent(story).values()) == {1}
    assert out not in sent(story)
    assert len(sent(story)) == 39
    assert replies(story) == ["sent 39, refused 1, failed 0: 39"]
    (reason,) = story.ask("select reason from actions where kind = 'broadcast'")
    assert reason == ("sent 39, refused 1, failed 0",)
    assert story.ask("select count(*) from bulk_items where was <> ''") == [(0,)]


@pytest.mark.parametrize(
    "deaths",
    [
        (2.0, 1.0), *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ((0.01,), (0.3, 0.3, 0.3), (1.0, 5.0, 1.0), (7.9, 0.2, 0.2), (9.5, 0.5))
        ),
    ],
)  # fmt: skip
def test_a_broadcast_survives_the_death_of_the_worker(
    begin: Begin, deaths: tuple[float, ...]
) -> None:
    """At whatever point: each once, the result right, and told to the run once."""
    story = begin(rules=RULES)
    fill(story, 40)
    story.receive(story.text("go", ANN))
    for after in deaths:
        story.run(story.clock.now + after)
        story.kill()
        story.start()
    story.run(story.clock.now + 120.0)
    assert (sorted(set(sent(story).values())), len(sent(story))) == ([1], 40)
    assert replies(story) == ["sent 40, refused 0, failed 0: 40"]
    told = "select type, count(*) from events where type like 'broadcast.%' group by type"
    assert story.ask(told) == [("broadcast.begun", 1), ("broadcast.ended", 1)]


def test_a_broadcast_is_stopped(begin: Begin) -> None:
    """What has left has left, what waits is cancelled, and the result says how many were left."""
    story = begin(rules=RULES)
    fill(story, 60)
    go(story, 4.0)
    assert ask(story, "bulk_stop", 3.0, uid=last(story)["uid"])["state"] == "stopping"
    story.run(story.clock.now + 30.0)
    found = last(story)
    count = len(sent(story))
    assert (found["state"], found["done"], found["skipped"]) == ("stopped", count, 60 - count)
    assert 0 < count < 40
    assert replies(story) == [f"sent {count}, refused 0, failed 0, left {60 - count}: {count}"]


@pytest.mark.slow
def test_a_pause_holds_it(begin: Begin) -> None:
    """No more is planned than stands in front of the gate, and a pause makes up for nothing."""
    story = begin(rules=RULES)
    fill(story, 40)
    go(story, 2.0)
    ask(story, "pause")
    before = len(sent(story))
    story.run(story.clock.now + 20.0)
    assert len(sent(story)) == before
    (planned,) = story.ask("select count(*) from actions where kind = 'send_message'")[0]
    assert planned <= before + 21
    ask(story, "resume")
    story.run(story.clock.now + 60.0)
    assert (sorted(set(sent(story).values())), len(sent(story))) == ([1], 40)


def test_in_shadow_nothing_begins_and_in_draft_not_before_a_yes(begin: Begin) -> None:
    story = begin(rules=RULES)
    fill(story, 3)
    go(story, 5.0, "dry")
    go(story, 5.0, "ask")
    assert story.ask("select count(*) from bulks") == [(0,)]
    assert story.ask("select kind, state from actions where rule = 'dry' order by ordinal") == [
        ("broadcast", "captured"), ("send_message", "captured"),
    ]  # fmt: skip
    (uid,) = story.ask("select uid from actions where rule = 'yes'")[0]
    ask(story, "approve", uid=uid)
    story.run(story.clock.now + 20.0)
    assert len(sent(story)) == 3


@pytest.mark.slow
def test_a_text_among_many_is_traced_alone(begin: Begin) -> None:
    """By its id and by its SID, also behind the first 500."""
    story = begin(rules=RULES.replace("5/s", "100/s"))
    fill(story, 520)
    go(story, 60.0)
    uid, sid = story.ask("select uid, remote_sid from actions where kind = 'send_message' "
                         "and rule = 'all' and conversation like '%+15550200510'")[0]  # fmt: skip
    with Questions(story.folder) as asked:
        for what in (uid, sid):
            tree = asked.trace(asked.find(what)[-1], what)
            assert tree is not None
            shown = [[each["uid"] for each in run["actions"]] for run in tree["runs"]]
            assert shown == [[uid]]


def test_who_is_erased_meanwhile_is_not_texted(begin: Begin) -> None:
    """And nothing of the broadcast names them."""
    story = begin(rules=RULES)
    fill(story, 4)
    ask(story, "pause")
    go(story, 3.0)
    story.kill()
    gone = "+15550200002"
    erase(story.folder, gone, "2000-01-01T00:00:00.000Z")
    assert gone not in str(story.ask("select was from bulk_items"))
    story.start()
    ask(story, "resume")
    story.run(story.clock.now + 20.0)
    assert (len(sent(story)), gone in sent(story)) == (3, False)
    assert replies(story) == ["sent 3, refused 0, failed 0, left 1: 3"]


def test_an_empty_group_is_done_at_once(begin: Begin) -> None:
    story = begin(rules=RULES)
    go(story, 10.0)
    assert replies(story) == ["sent 0, refused 0, failed 0: 0"]
    with Questions(story.folder) as asked:
        assert [row["state"] for row in asked.bulks()] == ["done"]
