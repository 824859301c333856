"""Later reports of what is on record: one event, one reaction, and what the second one adds."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ringback.runtime import REAL
from ringback.store.log import Entry
from ringback.store.queries import Questions
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
    assert story.ask("select recipient, state from consents") == [(THEM, "out")]


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


def test_a_claim_adds_nothing(begin: Begin) -> None:
    """Only what is proven is believed."""
    story = begin(rules=RULES)
    story.receive(status(story, **UNDELIVERED))
    story.receive(status(story, **UNDELIVERED, ErrorCode="30003")._replace(trust="claimed"))
    story.run(30.0)
    assert story.ask("select error_code from events where subject_sid <> ''") == [(0,)]
