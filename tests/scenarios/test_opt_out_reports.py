"""Opt-outs that only a refusal, error 21610, tells: by every way in which news of it comes in."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from ringback.store.log import Entry
from scenarios.test_gate import ANN, BEN, OTHER, RULES, Begin, ends, refused, says
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS, POOL, SERVICE

JSON = "application/json"
Report = Callable[[Story, str, str], Entry]
"""What comes in about the text with this SID, whose attempt had this tag."""


def _callback(**fields: str) -> Report:
    def report(story: Story, sid: str, tag: str) -> Entry:
        told = {"AccountSid": ACCOUNT, "MessageSid": sid, "ErrorCode": "21610", **fields}
        tag = tag if told.pop("Tagged", "") else ""
        return story.entry("message/status", tag, told)

    return report


def _stream(data: dict[str, object], kind: str) -> Report:
    def report(story: Story, sid: str, tag: str) -> Entry:
        told = json.loads(json.dumps(data).replace("SID", sid))
        event = {"specversion": "1.0", "id": "EZ1", "type": kind, "source": "/x", "data": told}
        entry = story.entry("events", "", {})
        return entry._replace(content_type=JSON, body=json.dumps([event]).encode())

    return report


def _debugger(payload: dict[str, object]) -> Report:
    def report(story: Story, sid: str, tag: str) -> Entry:
        fields = {
            "AccountSid": ACCOUNT, "Sid": "NO" + "1" * 32, "Level": "ERROR",
            "PayloadType": JSON, "Payload": json.dumps(payload).replace("SID", sid),
        }  # fmt: skip
        return story.entry("debugger", "", fields)

    return report


ANSWER = """
rules:
  - name: answer
    on: message.received
    if: event.body.startsWith('ask')
    do: [{reply: "You asked: ${{ event.body }}"}]
"""
BY_NUMBER = """
rules:
  - name: answer
    on: message.received
    if: event.body.startsWith('ask')
    do:
      - send: {to: "${{ event.body.part(4, 99) }}", from: "${{ event.to }}", body: Hi.}
"""
ASKED = {"From": OTHER, "To": ANN, "Body": "You asked: ask 1"}
REPORTS = {
    "status callback": _callback(MessageStatus="failed", From=OTHER, To=ANN),
    "status callback, undelivered": _callback(MessageStatus="undelivered", From=OTHER, To=ANN),
    "status callback that names nobody": _callback(MessageStatus="failed"),
    "status callback known by its tag alone": _callback(
        MessageStatus="failed", Tagged="yes", MessageSid="SM" + "9" * 32
    ),
    "Event Streams": _stream(
        {"messageSid": "SID", "accountSid": ACCOUNT, "from": OTHER, "to": ANN, "errorCode": 21610},
        "com.twilio.messaging.message.failed",
    ),
    "Event Streams that names nobody": _stream(
        {"messageSid": "SID", "accountSid": ACCOUNT, "errorCode": 21610},
        "com.twilio.messaging.message.failed",
    ),
    "error log of Event Streams": _stream(
        {"Payload": json.dumps({"error_code": "21610", "resource_sid": "SID"})},
        "com.twilio.error-logs.error.logged",
    ),
    "debugger, by the SID": _debugger({"error_code": "21610", "resource_sid": "SID"}),
    "debugger, by the request": _debugger(
        {"error_code": "21610", "webhook": {"request": {"parameters": ASKED}}}
    ),
    "debugger, by the request as a form": _debugger(
        {"error_code": "21610", "webhook": {"request": {"parameters": urlencode(ASKED)}}}
    ),
    "debugger, by the request in lists": _debugger(
        {
            "error_code": 21610,
            "webhook": {
                "request": {"parameters": {name: [value] for name, value in ASKED.items()}}
            },
        }
    ),
    "error log of Event Streams, by the request": _stream(
        {"error_code": "21610", "level": "ERROR", "webhook": {"request": {"parameters": ASKED}}},
        "com.twilio.error-logs.error.logged",
    ),
}


def _last(story: Story) -> tuple[str, str]:
    """SID and tag of the newest attempt."""
    ((sid, tag),) = story.ask(
        "select a.remote_sid, t.tag from attempts t join actions a on a.uid = t.action_uid "
        "order by t.id desc limit 1"
    )
    return sid, tag


@pytest.mark.parametrize("way", REPORTS)
def test_a_refusal_for_an_opt_out_counts_by_every_way_it_comes_in(begin: Begin, way: str) -> None:
    """The create was answered with 201; that the person had left is told afterwards."""
    story = begin(rules=ANSWER)
    says(story, "ask 1", to=OTHER)
    story.receive(REPORTS[way](story, *_last(story)))
    story.run(story.clock.now + 2.0)
    says(story, "ask 2", to=OTHER)
    first, second = ends(story)
    assert first == "sent"
    assert refused(second, f"{ANN} opted out of {OTHER} (error 21610")
    says(story, "START", to=OTHER)
    says(story, "ask 3", to=OTHER)
    assert ends(story)[2] == "sent"


def test_a_refusal_that_names_a_number_of_the_service_ends_consent_for_the_service(
    begin: Begin,
) -> None:
    """We asked the service; the report names the number that it chose, and not the service."""
    story = begin(rules=RULES)
    says(story, "ask 1")
    ((sid,),) = story.ask("select remote_sid from actions where rule = 'served'")
    report = _callback(MessageStatus="failed", From=POOL[1], To=ANN)
    story.receive(report(story, sid, ""))
    story.run(story.clock.now + 2.0)
    says(story, "ask 2")
    assert ends(story, "served")[0] == "sent"
    assert refused(ends(story, "served")[1], f"opted out of {SERVICE} (error 21610")


def test_a_refusal_reported_before_the_answer_of_the_create_counts(begin: Begin) -> None:
    """The callback has no tag and comes while the request is still under way."""
    story = begin(rules=ANSWER)
    text = {"From": ANN, "To": OTHER, "Body": "ask 1", "NumMedia": "0"}
    sid = story.twilio.hear("ask 1", ANN, OTHER, "").sid
    story.receive(story.entry("message", "", {"AccountSid": ACCOUNT, "MessageSid": sid, **text}))
    while not story.twilio.records:
        story.run(story.clock.now + 0.01)
    assert story.ask("select state, remote_sid from actions") == [("sending", "")]
    (made,) = story.twilio.records
    story.receive(_callback(MessageStatus="failed")(story, made, ""))
    story.run(story.clock.now + 5.0)
    says(story, "ask 2", to=OTHER)
    assert refused(ends(story)[1], f"{ANN} opted out of {OTHER} (error 21610")


def test_a_refusal_in_the_record_that_the_create_is_answered_with_counts(begin: Begin) -> None:
    """It was taken with 201, and the record in the answer is a failed one already."""
    story = begin(rules=ANSWER, faults=replace(calm(), callback_lost=1.0))
    shape = story.twilio._shape
    failed = {"status": "failed", "error_code": 21610}
    story.twilio._shape = lambda record: shape(record) | failed  # type: ignore[method-assign]
    says(story, "ask 1", to=OTHER)
    assert story.ask("select state, error_code, reason from actions") == [
        ("failed", 21610, "accepted by Twilio as failed, error 21610")
    ]
    says(story, "ask 2", to=OTHER)
    assert refused(ends(story)[1], f"{ANN} opted out of {OTHER} (error 21610")


def test_a_refusal_that_only_the_record_names_counts_once_the_record_is_read(
    begin: Begin,
) -> None:
    """The report of the failure had no code; whatever reads the record learns it."""
    story = begin(rules=ANSWER, faults=replace(calm(), callback_lost=1.0), price_reads=True)
    says(story, "ask 1", to=OTHER)
    story.run(story.clock.now + 40.0)
    (record,) = story.twilio.records.values()
    record.status, record.code = "failed", "21610"
    report = _callback(MessageStatus="failed", ErrorCode="", From=OTHER, To=ANN)
    story.receive(report(story, *_last(story)))
    story.run(story.clock.now + 2.0)
    assert story.ask("select state, error_code from actions") == [("failed", 0)]
    story.run(story.clock.now + 600.0)
    assert story.ask("select error_code, reason from actions") == [
        (21610, "failed reported by Twilio, error 21610")
    ]
    says(story, "ask 2", to=OTHER)
    assert refused(ends(story)[1], f"{ANN} opted out of {OTHER} (error 21610")


@pytest.mark.parametrize("code", [21610, 63014])
def test_a_refusal_for_a_number_holds_for_the_service_that_it_is_in(
    begin: Begin, code: int
) -> None:
    """Who has left one of its numbers has left all of them, as Twilio has it; a block is of one."""
    story = begin(
        rules=BY_NUMBER
        + f"""
  - name: served
    on: message.received
    if: event.body == 'again'
    do: [{{send: {{to: {ANN}, service: {SERVICE}, body: Hi.}}}}]
"""
    )
    says(story, "Hello", who=BEN, to=OURS, service=SERVICE)
    story.twilio.next_create = [f"stopped_{code}"]
    says(story, f"ask {ANN}", who=BEN, to=OURS, service=SERVICE)
    says(story, "again", who=BEN, to=OURS, service=SERVICE)
    (end,) = ends(story, "served")
    assert refused(end, f"opted out of {SERVICE} (error 21610") is (code == 21610)
    assert (end == "sent") is (code == 63014)


def test_a_refusal_that_only_twilios_list_shows_counts(begin: Begin) -> None:
    """The answer was lost and no callback came: the list shows what became of it."""
    story = begin(rules=ANSWER, faults=replace(calm(), callback_lost=1.0))
    story.twilio.next_create = ["reset_after"]
    says(story, "ask 1", to=OTHER)
    story.run(story.clock.now + 40.0)
    (record,) = story.twilio.records.values()
    record.status, record.code = "failed", "21610"
    story.run(story.clock.now + 200.0)
    assert ends(story) == ["sent"]
    says(story, "ask 2", to=OTHER)
    assert refused(ends(story)[1], f"{ANN} opted out of {OTHER} (error 21610")


def test_a_late_report_does_not_undo_a_start(begin: Begin) -> None:
    """They left, our text was refused, they came back; the report of the refusal comes last."""
    story = begin(rules=ANSWER)
    says(story, "ask 1", to=OTHER)
    says(story, "START", to=OTHER)
    story.receive(REPORTS["status callback"](story, *_last(story)))
    story.run(story.clock.now + 2.0)
    says(story, "ask 2", to=OTHER)
    assert ends(story) == ["sent", "sent"]


@pytest.mark.parametrize("code", ["21610", "30630", "63014"])
@pytest.mark.parametrize("way", ["callback", "answer"])
def test_every_error_that_says_that_a_person_has_left_is_an_opt_out(
    begin: Begin, code: str, way: str
) -> None:
    """Not only 21610: an address book of consents (30630), a block on the channel (63014)."""
    story = begin(rules=ANSWER)
    if way == "answer":
        story.twilio.next_create = [f"stopped_{code}"]
    says(story, "ask 1", to=OTHER)
    if way == "callback":
        report = _callback(MessageStatus="failed", From=OTHER, To=ANN, ErrorCode=code)
        story.receive(report(story, *_last(story)))
        story.run(story.clock.now + 2.0)
    says(story, "ask 2", to=OTHER)
    assert refused(ends(story)[1], f"{ANN} opted out of {OTHER} (error {code}")


@pytest.mark.parametrize("code", ["30003", "30004", "30007", "30640", "63032", "63033", "63016"])
def test_an_error_that_says_something_else_is_no_opt_out(begin: Begin, code: str) -> None:
    story = begin(rules=ANSWER)
    says(story, "ask 1", to=OTHER)
    report = _callback(MessageStatus="failed", From=OTHER, To=ANN, ErrorCode=code)
    story.receive(report(story, *_last(story)))
    story.run(story.clock.now + 2.0)
    says(story, "ask 2", to=OTHER)
    assert ends(story) == ["sent", "sent"]


WA_ANN, WA_OTHER = f"whatsapp:{ANN}", f"whatsapp:{OTHER}"


def _blocked(story: Story) -> None:
    """A text to Ann on WhatsApp is reported as blocked by her."""
    report = _callback(MessageStatus="failed", From=WA_OTHER, To=WA_ANN, ErrorCode="63014")
    story.receive(report(story, *_last(story)))
    story.run(story.clock.now + 2.0)


def test_a_block_on_whatsapp_holds_there_alone_and_until_they_write_again(begin: Begin) -> None:
    """Whoever blocks us cannot write to us: when they do, they have let us in again."""
    story = begin(rules=BY_NUMBER)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    _blocked(story)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    says(story, f"ask {ANN}", who=BEN, to=OTHER)
    says(story, "Hello", who=ANN, to=OTHER)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    first, second, by_sms, still = ends(story)
    assert (first, by_sms) == ("sent", "sent")
    assert refused(second, f"{WA_ANN} opted out of {WA_OTHER} (error 63014")
    assert refused(still, "(error 63014")
    says(story, "Hello again", who=WA_ANN, to=WA_OTHER)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    assert ends(story)[4] == "sent"


def test_a_stop_outlives_a_block(begin: Begin) -> None:
    """She said STOP, and blocked us; that she writes again ends the block alone."""
    story = begin(rules=BY_NUMBER)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    says(story, "STOP", who=WA_ANN, to=WA_OTHER)
    _blocked(story)
    says(story, "Hello", who=WA_ANN, to=WA_OTHER)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    assert refused(ends(story)[1], "(text 'STOP'")


def test_a_late_report_of_a_block_does_not_silence_who_wrote_since(begin: Begin) -> None:
    story = begin(rules=BY_NUMBER)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    says(story, "Hello", who=WA_ANN, to=WA_OTHER)
    _blocked(story)
    says(story, f"ask {WA_ANN}", who=BEN, to=WA_OTHER)
    assert ends(story) == ["sent", "sent"]


def test_another_error_and_another_person_are_no_opt_out(begin: Begin) -> None:
    story = begin(rules=ANSWER)
    says(story, "ask 1", to=OTHER)
    report = _callback(MessageStatus="failed", From=OTHER, To=ANN, ErrorCode="30003")
    story.receive(report(story, *_last(story)))
    story.run(story.clock.now + 2.0)
    says(story, "ask 2", to=OTHER)
    says(story, "ask 3", to=OURS)
    assert ends(story) == ["sent"] * 3
