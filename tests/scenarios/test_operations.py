"""Operations of people: done once, checked in the transaction that changes, and on record."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ringback.errors import Conflict, RingbackError, UsageError
from ringback.runtime import encode_ulid, iso
from ringback.store.queries.questions import Questions
from simulation.story import Story
from simulation.twilio import OURS

ANN = "+15550100044"
RULES = """
version: 1
rules:
  - name: drafted
    on: message.received
    if: event.body == 'draft'
    state: draft
    do: [{reply: Shall we say so?}]
  - name: hello
    on: message.received
    if: event.body == 'hello'
    do: [{reply: Hello.}]
  - name: promo
    on: message.received
    if: event.body == 'promo'
    do: [{send: {to: "${{ event.from }}", body: Buy.}}]
  - name: asks
    on: message.received
    if: event.body == 'ask'
    do: [{reply: When?}, {wait_for: {on: message.received}}, {reply: Good.}]
  - name: slow
    on: message.received
    if: event.body == 'later'
    do: [{wait: 1h}, {reply: Now.}]
"""
Begin = Callable[..., Story]
BOB = {"who": "bob", "role": "operate", "via": "console", "peer": "127.0.0.1"}


def request(number: int) -> str:
    """The ULID of a form."""
    return encode_ulid(1_790_000_000_000, number)


def say(story: Story, body: str) -> None:
    """Ann writes, and what comes of it is done."""
    story.receive(story.text(body, ANN))
    story.run(story.clock.now + 30.0)


def only(story: Story, table: str = "actions") -> str:
    """The uid of the only row of a table."""
    ((uid,),) = story.ask(f"select uid from {table}")
    return str(uid)


def asked(story: Story, *messages: dict[str, Any]) -> list[Any]:
    """Ask all of this of the worker at once; the answers, and what was raised."""
    assert story.life is not None
    life = story.life
    tasks = [life.loop.create_task(life.control.handle(each)) for each in messages]
    story.run(story.clock.now + 10.0)
    assert all(task.done() for task in tasks)
    return [task.exception() or task.result() for task in tasks]


def doings(story: Story, **wanted: Any) -> list[dict[str, Any]]:
    """What is on record, oldest first."""
    with Questions(story.folder) as ask:
        return ask.doings(**wanted)[::-1]


@pytest.mark.parametrize("expect", [{"state": "parked"}, {"state": "parked", "tries": 0}, None])
def test_of_twenty_at_once_one_is_done(begin: Begin, expect: dict[str, Any] | None) -> None:
    """The others hear what is true now, all are on record, and one text leaves."""
    story = begin(rules=RULES)
    say(story, "draft")
    uid = only(story)
    messages = [
        {"op": "retry", "uid": uid, "by": BOB, "request": request(number)}
        | ({"expect": expect} if expect else {})
        for number in range(20)
    ]
    answers = asked(story, *messages)
    done = [each for each in answers if not isinstance(each, Exception)]
    refused = [each for each in answers if isinstance(each, Conflict)]
    assert [each["state"] for each in done] == ["planned"]
    assert len(refused) == 19
    assert {each.now["state"] for each in refused} <= {"planned", "sending", "accepted"}
    rows = doings(story, subject=uid)
    assert [row["outcome"] for row in rows].count("done") == 1
    assert [row["outcome"] for row in rows].count("refused") == 19
    (first,) = doings(story, subject=uid, outcome="done")
    assert done[0]["doing"] == first["uid"]
    assert (first["was"], first["became"], first["who"]) == ("parked", "planned", "bob")
    assert len(story.twilio.records) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_the_same_request_again_gets_the_first_answer(begin: Begin, killed: bool) -> None:
    """Also from the worker after this one: what it asked for is not done a second time."""
    story = begin(rules=RULES)
    say(story, "draft")
    uid = only(story)
    message = {"op": "approve", "uid": uid, "by": BOB, "request": request(1)}
    (first,) = asked(story, message)
    if killed:
        story.kill()
        story.start()
        story.run(story.clock.now + 5.0)
    again, beside = asked(story, message, message)
    assert first == again == beside == {"ok": True, "state": "planned", "doing": first["doing"]}
    other = {**message, "op": "decline"}
    (refused,) = asked(story, other)
    assert isinstance(refused, Conflict)
    assert "was another operation already" in str(refused)
    story.run(story.clock.now + 120.0)
    assert len(story.twilio.records) == 1
    assert [row["op"] for row in doings(story)] == ["approve"]


def test_a_refusal_is_the_first_answer_too(begin: Begin) -> None:
    """Although by now it would be done."""
    story = begin(rules=RULES)
    say(story, "draft")
    uid = only(story)
    refused = {"op": "resolve", "uid": uid, "outcome": "lost", "by": BOB, "request": request(1)}
    changed = {
        "op": "retry", "uid": uid, "by": BOB, "request": request(2), "expect": {"state": "failed"},
    }  # fmt: skip
    first = asked(story, refused, changed)
    again = asked(story, refused, changed)
    for one, other in zip(first, again, strict=True):
        assert isinstance(one, UsageError)
        assert isinstance(other, UsageError)
        assert str(one) == str(other)
    assert isinstance(again[1], Conflict)
    assert (again[1].now["state"], again[1].now["tries"]) == ("parked", 0)
    assert [row["outcome"] for row in doings(story)] == ["refused"] * 2


@pytest.mark.parametrize("after", [0.0, 0.01, 0.05, 0.2, 1.0])
def test_a_worker_that_dies_over_it_leaves_all_of_it_or_nothing(begin: Begin, after: float) -> None:
    """And the request, made again, is done once."""
    story = begin(rules=RULES)
    say(story, "draft")
    uid = only(story)
    message = {"op": "approve", "uid": uid, "by": BOB, "request": request(1)}
    assert story.life is not None
    task = story.life.loop.create_task(story.life.control.handle(message))
    story.run(story.clock.now + after)
    story.kill()
    del task
    ((state,),) = story.ask("select state from actions")
    assert (state == "parked") == (doings(story) == [])
    story.start()
    story.run(story.clock.now + 5.0)
    (answer,) = asked(story, message)
    assert answer["state"] == "planned"
    story.run(story.clock.now + 120.0)
    assert [row["outcome"] for row in doings(story)] == ["done"]
    assert len(story.twilio.records) == 1


def test_every_operation_is_on_record_once(begin: Begin) -> None:
    """Whatever it changes: the switch, actions, runs, events, incidents, rules."""
    story = begin(rules=RULES)
    say(story, "draft")
    say(story, "later")
    ((event, action),) = story.ask("select event_uid, uid from actions")
    ((run,),) = story.ask("select uid from runs where state = 'waiting'")
    operations: list[dict[str, Any]] = [
        {"op": "pause"}, {"op": "resume"}, {"op": "cancel_run", "uid": run},
        {"op": "replay", "uid": event, "may_duplicate": True},
        {"op": "decline", "uid": action}, {"op": "reload"},
    ]  # fmt: skip
    answers = []
    for number, operation in enumerate(operations):
        message = {**operation, "by": BOB, "request": request(number)}
        (answer,) = asked(story, message)
        (again,) = asked(story, message)
        assert answer == again, operation
        answers.append(answer)
    rows = doings(story)
    assert [row["op"] for row in rows] == [each["op"] for each in operations]
    assert [row["uid"] for row in rows] == [each["doing"] for each in answers]
    assert {row["outcome"] for row in rows} == {"done"}
    assert [(row["was"], row["became"]) for row in rows[:3]] == [
        ("running", "paused"), ("paused", "running"), ("waiting", "cancelled"),
    ]  # fmt: skip
    assert story.ask("select count(*) from events where source = 'replay'") == [(1,)]
    with Questions(story.folder) as ask:
        switched = ask.switched()
    assert switched is not None
    assert (switched["op"], switched["who"]) == ("resume", "bob")


def test_a_pause_that_is_sent_again_late_does_not_pause_again(begin: Begin) -> None:
    """Somebody has said `resume` since."""
    story = begin(rules=RULES)
    pause = {"op": "pause", "by": BOB, "request": request(1)}
    asked(story, pause)
    asked(story, {"op": "resume", "by": BOB, "request": request(2)})
    (answer,) = asked(story, pause)
    assert answer["state"] == "paused"
    assert story.life is not None
    assert not story.life.engine.sender.paused


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"by": {"who": "eve", "role": "read", "via": "api"}}, "wants the role operate"),
        ({"by": {**BOB, "role": "owner"}}, "a role"),
        ({"by": {**BOB, "who": ""}}, "who it is"),
        ({"by": {**BOB, "age": 7}}, "`by` wants the words"),
        ({"by": "bob"}, "`by` wants the words"),
        ({"by": BOB, "request": "7"}, "a ULID"),
        ({"by": BOB, "expect": {"mood": "good"}}, "`expect` wants"),
        ({"by": BOB, "expect": {"state": "settled"}}, "its state is 'parked' now"),
    ],
)
def test_what_may_not_be_changes_nothing(begin: Begin, more: dict[str, Any], why: str) -> None:
    """A role that is too small, an envelope that cannot be read, what is not true."""
    story = begin(rules=RULES)
    say(story, "draft")
    (answer,) = asked(story, {"op": "approve", "uid": only(story), **more})
    assert isinstance(answer, UsageError)
    assert why in str(answer)
    assert story.ask("select state from actions") == [("parked",)]


def test_only_an_admin_ends_a_hold_unseen(begin: Begin) -> None:
    """What may go out twice is more than to operate."""
    story = begin(rules=RULES)
    message = {"op": "resume", "may_duplicate": True, "by": BOB}
    (refused,) = asked(story, message)
    assert isinstance(refused, UsageError)
    assert "role admin" in str(refused)
    (done,) = asked(story, {**message, "by": {**BOB, "role": "admin"}})
    assert done["state"] == "running"


def test_messages_without_an_envelope_are_answered_as_ever(begin: Begin) -> None:
    """Their doings are on record, by nobody named."""
    story = begin(rules=RULES)
    say(story, "draft")
    assert asked(story, {"op": "approve", "uid": only(story)}) == [{"ok": True, "state": "planned"}]
    (row,) = doings(story)
    assert (row["who"], row["via"], row["request"]) == ("", "worker", None)


def test_the_socket_tells_what_is_true_now() -> None:
    """The other end raises the same as the worker did."""
    from ringback.ipc import refusal, require_good

    with pytest.raises(Conflict) as caught:
        require_good(refusal(Conflict("it has changed", {"state": "settled"})))
    assert caught.value.now == {"state": "settled"}
    with pytest.raises(RingbackError) as plain:
        require_good(refusal(UsageError("no")))
    assert not isinstance(plain.value, Conflict)


def test_a_run_that_waits_for_a_time_goes_on_when_a_person_says_so(begin: Begin) -> None:
    """One that waits for an answer alone does not, nor one that is over."""
    story = begin(rules=RULES)
    say(story, "later")
    run = only(story, "runs")
    wake = {"op": "wake_run", "uid": run, "by": BOB}
    (answer,) = asked(story, wake)
    assert answer["state"] == "waiting"
    story.run(story.clock.now + 30.0)
    assert story.ask("select state from runs") == [("done",)]
    assert len(story.twilio.records) == 1
    (late,) = asked(story, wake)
    assert isinstance(late, Conflict)
    assert late.now["state"] == "done"
    say(story, "ask")
    ((waits,),) = story.ask("select uid from runs where rule = 'asks'")
    (woken,) = asked(story, {**wake, "uid": waits})
    assert woken["state"] == "waiting"
    story.run(story.clock.now + 30.0)
    assert story.ask("select state from runs where rule = 'asks'") == [("done",)]


def test_a_run_that_waits_for_a_time_is_put_off(begin: Begin) -> None:
    """It goes on then, and not before; no longer than 60 days, and none that is over."""
    story = begin(rules=RULES)
    say(story, "later")
    run = only(story, "runs")
    assert story.life is not None
    until = story.life.runtime.now() + timedelta(minutes=2)
    postpone = {"op": "postpone", "uid": run, "by": BOB}
    far = {**postpone, "until": iso(until + timedelta(days=61))}
    refused, done = asked(story, far, {**postpone, "until": iso(until)})
    assert isinstance(refused, UsageError)
    assert done["state"] == "waiting"
    story.run(story.clock.now + 60.0)
    assert story.ask("select state from runs") == [("waiting",)]
    story.run(story.clock.now + 90.0)
    assert story.ask("select state from runs") == [("done",)]
    (late,) = asked(story, {**postpone, "until": iso(until + timedelta(hours=5))})
    assert isinstance(late, Conflict)


def test_what_quiet_hours_hold_is_put_off_further(begin: Begin) -> None:
    """Not for longer than two days, and only what is held."""
    story = begin(rules=RULES, quiet_hours="00:00-23:59", quiet_zone="UTC")
    say(story, "promo")
    assert story.life is not None
    ((uid, state),) = story.ask("select uid, state from actions")
    assert state == "deferred"
    now = story.life.runtime.now()
    postpone = {"op": "postpone", "uid": uid, "by": BOB}
    far = {**postpone, "until": iso(now + timedelta(days=3))}
    good = {**postpone, "until": iso(now + timedelta(hours=30))}
    (refused, done) = asked(story, far, good)
    assert isinstance(refused, UsageError)
    assert done["state"] == "deferred"
    assert story.ask("select due_at, send_by > due_at from actions") == [(good["until"], 1)]
    asked(story, {"op": "cancel_action", "uid": uid, "by": BOB})
    (late,) = asked(story, good)
    assert isinstance(late, Conflict)
    assert late.now["state"] == "cancelled"


def consent(state: str, **more: Any) -> dict[str, Any]:
    """A person says that Ann may be texted, or may not."""
    return {
        "op": "consent", "sender": OURS, "recipient": ANN, "state": state, "by": BOB,
        "reason": "she called", **more,
    }  # fmt: skip


@pytest.mark.parametrize("word", ["STOP", "end", "unsubscribe"])
def test_nobody_says_in_for_who_has_left_by_a_word_of_their_own(begin: Begin, word: str) -> None:
    """Not behind an `out` of a person either; their own START brings them back."""
    story = begin(rules=RULES)
    say(story, word)
    states = "select distinct state from consents"
    refused = asked(story, consent("in"), consent("out"), consent("in"))
    assert [type(each) for each in refused] == [Conflict] * 3
    assert "only their own START" in str(refused[2])
    assert story.ask(states) == [("out",)]
    say(story, "hello")
    assert story.ask("select state from actions where rule = 'hello'") == [("refused",)]
    say(story, "START")
    assert story.ask(states) == [("in",)]


def test_what_a_person_said_of_consent_a_person_takes_back(begin: Begin) -> None:
    """Each on record, without a number in it."""
    story = begin(rules=RULES)
    (nobody,) = asked(story, consent("out", reason=""))
    assert isinstance(nobody, UsageError)
    (out,) = asked(story, consent("out"))
    assert out["state"] == "out"
    say(story, "hello")
    assert story.ask("select state from actions") == [("refused",)]
    (back,) = asked(story, consent("in"))
    assert back["state"] == "in"
    say(story, "hello")
    assert len(story.twilio.records) == 1
    rows = doings(story, op="consent")
    assert [row["outcome"] for row in rows] == ["refused", "done", "done"]
    assert [(row["was"], row["became"]) for row in rows] == [("", ""), ("", "out"), ("out", "in")]
    assert [row["reason"] for row in rows[1:]] == ["she called"] * 2
    assert len({row["subject"] for row in rows}) == 1
    assert rows[0]["subject"].startswith("con_")
    assert ANN[1:] not in str(rows)
    assert story.ask("select source from consents") == [("a person: bob: she called",)]


def test_what_a_person_writes_and_ends_is_on_record_by_its_action(begin: Begin) -> None:
    """Never by its words; the same request again gets the first answer."""
    story = begin(rules=RULES)
    say(story, "nothing")
    write = {
        "op": "write", "sender": OURS, "recipient": ANN, "body": "See you.", "by": BOB,
        "request": request(1),
    }  # fmt: skip
    first, again = asked(story, write)[0], asked(story, write)[0]
    assert first["uid"] == again["uid"] == only(story)
    (row,) = doings(story, op="write")
    assert row["wanted"] == {"action": first["uid"]}
    assert "See you." not in str(row)
