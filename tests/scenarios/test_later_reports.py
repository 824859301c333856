"""Later reports of what is on record: one event, one reaction, and what the second one adds."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from ringback.runtime import REAL
from ringback.store.log import Entry
from ringback.store.queries.questions import Questions
from ringback.store.upkeep.rebuild import rebuild
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

Begin = Callable[..., Story]
THEM = "+15550100099"
SID = "SM" + "5" * 32
CALL = "CA" + "5" * 32
RULES = """
version: 1
rules:
  - name: told
    on: [message.undelivered, message.failed, call.completed, call.answered, message.received]
    do: [{notify: "${{ event.type }} ${{ event.error_code }}"}]
"""
UNDELIVERED = {"MessageSid": SID, "MessageStatus": "undelivered", "From": OURS, "To": THEM}
COMPLETED = {"CallSid": CALL, "CallStatus": "completed", "From": OURS, "To": THEM}


def status(story: Story, **fields: str) -> Entry:
    """A webhook of a message or call, by its fields."""
    route = "message/status" if "MessageSid" in fields else "call/status"
    return story.entry(route, "", {"AccountSid": ACCOUNT, **fields})


def streamed(story: Story, type_: str, data: dict[str, Any]) -> Entry:
    """The same as Event Streams tells it."""
    item = {"specversion": "1.0", "type": type_, "source": "/x", "id": "EZ1", "data": data}
    entry = story.entry("events", "", {})
    return entry._replace(content_type="application/json", body=json.dumps([item]).encode())


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "learnt"),
    [
        ({**UNDELIVERED, "ErrorCode": "30003"}, UNDELIVERED, {"ErrorCode": "30003"}),
        (UNDELIVERED, {**UNDELIVERED, "ErrorCode": "30003"}, {"ErrorCode": "30003"}),
        (UNDELIVERED, {**UNDELIVERED, "Price": "-0.0079"}, {"Price": "-0.0079"}),
        (COMPLETED, {**COMPLETED, "SequenceNumber": "3"}, {"SequenceNumber": "3"}),
        (
            {**COMPLETED, "SequenceNumber": "3"}, {**COMPLETED, "SequenceNumber": "0"},
            {"SequenceNumber": "3"},
        ),
        (
            {**COMPLETED, "Timestamp": "Sat, 14 Mar 2026 15:09:26 +0000"},
            {**COMPLETED, "Timestamp": "Sat, 14 Mar 2026 15:09:27 +0000", "CallDuration": "9"},
            {"Timestamp": "Sat, 14 Mar 2026 15:09:26 +0000", "CallDuration": "9"},
        ),
    ],
)  # fmt: skip
def test_a_status_told_twice_acts_once_and_adds_what_is_new(
    begin: Begin, first: dict[str, str], second: dict[str, str], learnt: dict[str, str],
    together: bool,
) -> None:  # fmt: skip
    """By whichever way and in whichever order; so it stays in a journal made from the log again."""
    story = begin(rules=RULES)
    for fields in (first, second):
        story.receive(status(story, **fields))
        if not together:
            story.run(story.clock.now + 5.0)
    story.run(story.clock.now + 30.0)
    ((uid, code),) = story.ask("select uid, error_code from events where subject_sid <> ''")
    assert len(story.ask("select uid from runs")) == 1
    assert code == int(learnt.get("ErrorCode", 0))
    story.end()
    for _ in range(2):
        with Questions(story.folder) as asked:
            event = asked.event(uid)
        assert event is not None
        assert learnt.items() <= event["fields"].items()
        assert rebuild(story.folder, lambda: REAL.uid("evt"), "then").events == 1


def test_event_streams_and_the_webhook_tell_of_one_change(begin: Begin) -> None:
    """`answered` there is `in-progress` here, and capitals are no other status."""
    story = begin(rules=RULES)
    data = {"callSid": CALL, "callStatus": "ANSWERED", "sequenceNumber": 2, "accountSid": ACCOUNT}
    story.receive(streamed(story, "com.twilio.voice.status-callback.call.answered", data))
    story.receive(status(story, **{**COMPLETED, "CallStatus": "in-progress"}))
    story.run(30.0)
    assert story.ask("select type from events where subject_sid <> ''") == [("call.answered",)]
    assert len(story.ask("select uid from runs")) == 1


WRITTEN = {"MessageSid": SID, "From": THEM, "To": OURS, "Body": "hi", "NumMedia": "0"}
STREAMED = {"messageSid": SID, "accountSid": ACCOUNT, "from": THEM, "to": OURS, "body": "hi"}
WIRED: dict[str, Callable[[Story], Entry]] = {
    "webhook": lambda story: story.entry("message", "", {"AccountSid": ACCOUNT, **WRITTEN}),
    "fallback": lambda story: story.entry(
        "message", "", {
            "AccountSid": ACCOUNT, **WRITTEN, "ErrorCode": "11200",
            "ErrorUrl": "https://hooks.example.org/twilio/message",
        },
    ),
    "Event Streams": lambda story: streamed(
        story, "com.twilio.messaging.inbound-message.received", {**STREAMED, "numMedia": 0}
    ),
}  # fmt: skip


@pytest.mark.parametrize("ways", list(permutations(WIRED)))
def test_a_text_that_is_wired_three_times_is_answered_once(
    begin: Begin, ways: tuple[str, ...]
) -> None:
    story = begin(rules="rules: [{name: echo, on: message.received, do: [{reply: Hello.}]}]")
    for way in ways:
        story.receive(WIRED[way](story))
        story.run(story.clock.now + 2.0)
    assert story.ask("select count(*) from events where type = 'message.received'") == [(1,)]
    assert story.ask("select inbound from contacts") == [(1,)]
    assert len(story.twilio.records) == 1


@pytest.mark.parametrize(
    ("minutes", "state"),
    [(10, "fired"), pytest.param(200, "stale: came 200 min late", marks=pytest.mark.slow)],
)
def test_a_text_that_event_streams_brings_hours_later_is_not_answered(
    begin: Begin, minutes: int, state: str
) -> None:
    """It is tried for four hours; who wrote then waits for no answer now."""
    story = begin(rules="rules: [{name: echo, on: message.received, do: [{reply: Hello.}]}]")
    story.run(minutes * 60.0)
    data = {
        "messageSid": "SM" + "8" * 32, "accountSid": ACCOUNT, "from": THEM, "to": OURS,
        "body": "hi", "numMedia": 0, "timestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    story.receive(streamed(story, "com.twilio.messaging.inbound-message.received", data))
    story.run(minutes * 60.0 + 20.0)
    ((verdicts,),) = story.ask("select verdicts from events where type = 'message.received'")
    assert json.loads(verdicts) == {"echo": state}
    assert len(story.twilio.records) == (state == "fired")


def test_an_error_code_that_comes_later_reaches_the_action(begin: Begin) -> None:
    """The first report of a failed text has no code: the action learns it from the second."""
    story = begin(replace(calm(), callback_lost=1.0))
    story.receive(story.text("echo hello", THEM))
    story.run(5.0)
    ((sid,),) = story.ask("select remote_sid from actions where effect = 'message'")
    fields = {**UNDELIVERED, "MessageSid": sid}
    story.receive(status(story, **fields))
    story.run(story.clock.now + 5.0)
    assert story.ask("select state, error_code from actions where rule = 'echo'") == [("failed", 0)]
    story.receive(status(story, **fields, ErrorCode="30003"))
    story.run(story.clock.now + 5.0)
    ((state, code, reason),) = story.ask(
        "select state, error_code, reason from actions where rule = 'echo'"
    )
    assert (state, code) == ("failed", 30003)
    assert reason == "undelivered reported by Twilio, error 30003"
    assert len(story.ask("select uid from events where type = 'message.undelivered'")) == 1


def test_an_opt_out_that_only_the_second_report_names_counts(begin: Begin) -> None:
    """Event Streams has no word for Twilio's own judgement on a keyword of another language."""
    story = begin(rules=RULES)
    data = {"messageSid": SID, "accountSid": ACCOUNT, "from": THEM, "to": OURS, "body": "BAJA"}
    story.receive(streamed(story, "com.twilio.messaging.inbound-message.received", data))
    story.run(5.0)
    assert story.ask("select state from consents") == []
    fields = {"AccountSid": ACCOUNT, "MessageSid": SID, "From": THEM, "To": OURS, "Body": "BAJA"}
    story.receive(story.entry("message", "", {**fields, "OptOutType": "STOP"}))
    story.run(story.clock.now + 5.0)
    assert story.ask("select distinct recipient, state from consents") == [(THEM, "out")]


def test_a_text_of_event_streams_is_shown_and_gets_its_media_from_the_webhook(
    begin: Begin,
) -> None:
    """`events list` and `show` print what was written, of each of several in one request."""
    story = begin(rules=RULES)
    first = {"messageSid": SID, "accountSid": ACCOUNT, "from": THEM, "to": OURS, "body": "look"}
    other = {**first, "messageSid": "SM" + "6" * 32, "body": "and this"}
    type_ = "com.twilio.messaging.inbound-message.received"
    entry = streamed(story, type_, first)
    items = [{"type": type_, "source": "/x", "id": f"EZ{n}", "data": each}
             for n, each in enumerate((first, {**other, "numMedia": 0}))]  # fmt: skip
    story.receive(entry._replace(body=json.dumps(items).encode()))
    story.run(5.0)
    with Questions(story.folder) as asked:
        shown = asked.events(type="message.received")
    assert [event["fields"]["Body"] for event in shown] == ["and this", "look"]
    fields = {"AccountSid": ACCOUNT, "MessageSid": SID, "From": THEM, "To": OURS, "Body": "look"}
    media = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/ME1"}
    story.receive(story.entry("message", "", {**fields, **media}))
    story.run(story.clock.now + 5.0)
    with Questions(story.folder) as asked:
        (event,) = asked.events(type="message.received", sid=SID)
    assert media.items() <= event["fields"].items()
    assert event["fields"]["Body"] == "look"


def test_a_picture_of_event_streams_is_a_picture(begin: Begin) -> None:
    """It tells how many there are, and no URL: a rule that asks for a picture has one."""
    rules = """
rules:
  - name: told
    on: message.received
    do: [{notify: "${{ event.media_count }} ${{ size(event.media) }}"}]
"""
    story = begin(rules=rules)
    data = {"messageSid": SID, "accountSid": ACCOUNT, "from": THEM, "to": OURS, "body": "look"}
    type_ = "com.twilio.messaging.inbound-message.received"
    story.receive(streamed(story, type_, {**data, "numMedia": 2}))
    story.run(5.0)
    assert story.ask("select json_extract(params, '$.text') from actions") == [("2 0",)]


def test_a_claim_adds_nothing(begin: Begin) -> None:
    """Only what is proven is believed."""
    story = begin(rules=RULES)
    story.receive(status(story, **UNDELIVERED))
    story.receive(status(story, **UNDELIVERED, ErrorCode="30003")._replace(trust="claimed"))
    story.run(30.0)
    assert story.ask("select error_code from events where subject_sid <> ''") == [(0,)]


FIRST_SAID = {
    "a callback of the service": lambda story, sid: status(
        story, MessageSid=sid, MessageStatus="delivered", From=OURS, To=THEM
    ),
    "Event Streams": lambda story, sid: streamed(
        story, "com.twilio.messaging.message.delivered",
        {"messageSid": sid, "messageStatus": "DELIVERED", "accountSid": ACCOUNT, "to": THEM},
    ),
}  # fmt: skip


def doubtful(begin: Begin) -> tuple[Story, str, str]:
    """A story in which a text was made and the answer was lost; its SID and the attempt's tag."""
    story = begin(replace(calm(), callback_lost=1.0))
    story.twilio.next_create = ["reset_after"]
    story.receive(story.text("echo hello", THEM))
    story.run(5.0)
    ((sid,),) = [(record.sid,) for record in story.twilio.records.values()]
    assert story.ask("select state from actions where rule = 'echo'") == [("unknown",)]
    ((tag,),) = story.ask("select tag from attempts")
    return story, sid, tag


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("first", FIRST_SAID)
def test_a_tag_that_comes_with_the_second_report_proves_the_send(
    begin: Begin, first: str, together: bool
) -> None:
    """The same status came before without a tag: the action is settled all the same, at once, and
    it is one event."""
    story, sid, tag = doubtful(begin)
    story.receive(FIRST_SAID[first](story, sid))
    if not together:
        story.run(story.clock.now + 5.0)
    fields = {"MessageSid": sid, "MessageStatus": "delivered", "From": OURS, "To": THEM}
    tagged = story.entry("message/status", tag, {"AccountSid": ACCOUNT, **fields})
    story.receive(tagged)
    story.run(story.clock.now + 5.0)
    ((state, remote, reason),) = story.ask(
        "select state, remote_sid, reason from actions where rule = 'echo'"
    )
    assert (state, remote) == ("settled", sid)
    assert reason.endswith("the status callback proves that the request was carried out")
    assert story.ask("select tag from events where type = 'message.delivered'") == [(tag,)]


def test_a_tag_that_comes_later_keeps_the_error_of_the_first_report(begin: Begin) -> None:
    """And its opt-out: the report without a tag named nobody."""
    story, sid, tag = doubtful(begin)
    fields = {"AccountSid": ACCOUNT, "MessageSid": sid, "MessageStatus": "undelivered"}
    story.receive(story.entry("message/status", "", {**fields, "ErrorCode": "21610"}))
    story.run(story.clock.now + 5.0)
    assert story.ask("select state from consents") == []
    story.receive(story.entry("message/status", tag, fields))
    story.run(story.clock.now + 5.0)
    assert story.ask("select state, error_code from actions where rule = 'echo'") == [
        ("failed", 21610)
    ]
    assert story.ask("select distinct recipient, state from consents") == [(THEM, "out")]


def test_a_claim_with_the_tag_is_proof(begin: Begin) -> None:
    """Nobody but Twilio has the tag: a webhook without a signature proves the send by it, and with
    it the earlier claim of the same status. With a tag that is not ours it proves nothing."""
    story, sid, tag = doubtful(begin)
    fields = {"AccountSid": ACCOUNT, "MessageSid": sid, "MessageStatus": "delivered"}
    for said in ("", "0" * len(tag)):
        claim = story.entry("message/status", said, fields)
        story.receive(claim._replace(trust="claimed"))
        story.run(story.clock.now + 1.0)
        assert story.ask("select state from actions where rule = 'echo'") == [("unknown",)]
    story.receive(story.entry("message/status", tag, fields)._replace(trust="claimed"))
    story.run(story.clock.now + 1.0)
    assert story.ask("select state, remote_sid from actions where rule = 'echo'") == [
        ("settled", sid)
    ]
