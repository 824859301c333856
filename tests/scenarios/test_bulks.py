"""Bulks: one decision about many things, exactly those that were previewed, each once."""

from collections.abc import Callable
from typing import Any

import pytest

from ringback.errors import Conflict, UsageError
from ringback.runtime import encode_ulid, iso
from ringback.store.queries.questions import Questions
from simulation.story import Story

RULES = """
version: 1
rules:
  - name: drafted
    on: message.received
    if: event.body == 'draft'
    state: draft
    do: [{reply: Shall we say so?}]
  - name: other
    on: message.received
    if: event.body == 'other'
    state: draft
    do: [{reply: Shall we not?}]
"""
Begin = Callable[..., Story]
BOB = {"who": "bob", "role": "operate", "via": "console"}


def people(story: Story, count: int, body: str = "draft", first: int = 0) -> None:
    """So many people write."""
    for number in range(first, first + count):
        story.receive(story.text(body, f"+155501{number:05d}"))
    story.run(story.clock.now + 60.0)


def ask(story: Story, op: str, seconds: float = 2.0, **more: Any) -> Any:
    """Ask the worker; its answer, or what was raised."""
    assert story.life is not None
    message = {"op": op, "by": BOB, **more}
    task = story.life.loop.create_task(story.life.control.handle(message))
    story.run(story.clock.now + seconds)
    return task.exception() or task.result()


def bulk(story: Story, uid: str) -> dict[str, Any]:
    """A bulk as it is on record."""
    with Questions(story.folder) as asked:
        found = asked.bulk(uid)
    assert found is not None
    return found


def states(story: Story) -> list[tuple[Any, ...]]:
    """How many actions are in which state."""
    return story.ask("select state, count(*) from actions group by state order by state")


def test_a_bulk_is_about_what_was_previewed(begin: Begin) -> None:
    """More arrive and some are decided about meanwhile: the former stay, the latter are named."""
    story = begin(rules=RULES)
    people(story, 12)
    people(story, 3, "other", 50)
    preview: dict[str, Any] = {"bulk": "approve", "request": encode_ulid(1_790_000_000_000, 7)}
    told = ask(story, "bulk", filter={"rule": "drafted"}, **preview)
    assert (told["total"], told["says"], told["segments"]) == (12, {"planned": 12}, 12)
    assert len(told["first"]) == 5
    assert states(story) == [("parked", 15)]
    people(story, 6, first=20)
    early = [uid for (uid,) in story.ask("select uid from actions order by id limit 4")]
    for uid in early:
        ask(story, "decline", uid=uid)
    start = {"uid": told["uid"], "request": encode_ulid(1_790_000_000_000, 1)}
    first = ask(story, "bulk_start", **start)
    assert first["state"] == "waiting"
    assert bulk(story, told["uid"])["done"] == 0
    story.run(story.clock.now + 120.0)
    found = bulk(story, told["uid"])
    assert (found["state"], found["done"], found["skipped"], found["refused"]) == ("done", 8, 4, 0)
    assert [each["uid"] for each in found["left"]] == early
    assert all("cancelled" in each["reason"] for each in found["left"])
    assert len(story.twilio.records) == 8
    assert dict(states(story))["parked"] == 9
    assert ask(story, "bulk_start", **start) == first
    again = ask(story, "bulk_start", uid=told["uid"])
    assert isinstance(again, Conflict)
    with Questions(story.folder) as asked:
        rows = asked.doings(op="approve", limit=100)
    assert [row["outcome"] for row in rows].count("done") == 8
    assert {row["wanted"]["bulk"] for row in rows} == {told["uid"]}


@pytest.mark.parametrize(
    "deaths",
    [
        (10.5, 1.0, 0.3), pytest.param((10.2,), marks=pytest.mark.slow),
        pytest.param((9.0, 2.0, 2.0, 2.0), marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_a_bulk_survives_the_death_of_the_worker(begin: Begin, deaths: tuple[float, ...]) -> None:
    """At whatever point: each is done once, and the count is right."""
    story = begin(rules=RULES)
    people(story, 70)
    told = ask(story, "bulk", bulk="approve", filter={})
    ask(story, "bulk_start", 0.1, uid=told["uid"])
    for after in deaths:
        story.run(story.clock.now + after)
        story.kill()
        story.start()
    story.run(story.clock.now + 300.0)
    found = bulk(story, told["uid"])
    assert (found["state"], found["done"], found["skipped"], found["refused"]) == ("done", 70, 0, 0)
    assert len(story.twilio.records) == 70
    assert story.ask(
        "select count(*), count(distinct subject) from doings where op = 'approve'"
    ) == [(70, 70)]


def test_a_bulk_is_about_those_since_a_time(begin: Begin) -> None:
    """What failed long ago is wanted no more."""
    story = begin(rules=RULES)
    people(story, 3)
    assert story.life is not None
    since = iso(story.life.runtime.now())
    people(story, 2, first=10)
    for op, count in (("approve", 2), ("decline", 2)):
        assert ask(story, "bulk", bulk=op, filter={"since": since})["total"] == count
    assert ask(story, "bulk", bulk="approve", filter={})["total"] == 5
    assert ask(story, "bulk", bulk="cancel_run", filter={"since": since})["total"] == 0


def test_a_bulk_is_stopped(begin: Begin) -> None:
    """Within its ten seconds, nothing is done."""
    story = begin(rules=RULES)
    people(story, 3)
    told = ask(story, "bulk", bulk="approve", filter={})
    ask(story, "bulk_start", uid=told["uid"])
    assert ask(story, "bulk_stop", uid=told["uid"])["state"] == "stopped"
    story.run(story.clock.now + 60.0)
    assert states(story) == [("parked", 3)]
    late = ask(story, "bulk_stop", uid=told["uid"])
    assert isinstance(late, Conflict)
    assert bulk(story, told["uid"])["done"] == 0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"bulk": "erase"}, "a bulk is one of"),
        ({"bulk": "retry", "filter": {"mood": "x"}}, "knows state, rule, kind, code, since"),
        ({"bulk": "retry", "filter": {"state": "settled"}}, "is for the states"),
        ({"bulk": "retry", "filter": {"may_duplicate": True}}, "knows state"),
        ({"bulk": "resolve", "filter": {}}, "wants the outcome"),
        ({"bulk": "retry", "filter": {"since": "soon"}}, "is no time"),
    ],
)
def test_what_no_bulk_may_do_is_said(begin: Begin, more: dict[str, Any], why: str) -> None:
    """Nothing may be sent twice by a bulk, and nothing is begun that is empty."""
    story = begin(rules=RULES)
    refused = ask(story, "bulk", **more)
    assert isinstance(refused, UsageError)
    assert why in str(refused)
    empty = ask(story, "bulk", bulk="retry", filter={})
    assert empty["total"] == 0
    assert isinstance(ask(story, "bulk_start", uid=empty["uid"]), Conflict)


def test_many_want_an_admin(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 500; here more than 2."""
    monkeypatch.setattr("ringback.worker.operations.bulk_work.LARGE", 2)
    story = begin(rules=RULES)
    people(story, 3)
    told = ask(story, "bulk", bulk="decline", filter={})
    refused = ask(story, "bulk_start", uid=told["uid"])
    assert isinstance(refused, UsageError)
    assert "role admin" in str(refused)
    ask(story, "bulk_start", uid=told["uid"], by={**BOB, "role": "admin"})
    story.run(story.clock.now + 60.0)
    assert states(story) == [("cancelled", 3)]
