"""Claims compared with what Twilio's API knows, late records, and false claims beside true ones."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ringback.errors import NotFound
from ringback.events import Event
from ringback.gateway.records import Call, Message, Recording
from ringback.store.log import Entry
from ringback.worker.match.comparison import (
    call_doubt,
    message_doubt,
    recording_doubt,
    recording_of,
)
from simulation.story import Story
from simulation.twilio import ACCOUNT, OURS

ANN = "+15551000001"
RULES = """
rules:
  - name: answer
    on: message.received
    do: [{reply: "You said ${{ event.body }}."}]
"""
Begin = Callable[..., Story]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CALL, SAID = "CA" + "7" * 32, "RE" + "7" * 32
RECORDING = f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{SAID}"


def claimed(story: Story, sid: str, Body: str, **more: str) -> Entry:
    """A text as it comes by the secret path."""
    fields = {
        "AccountSid": ACCOUNT, "MessageSid": sid, "From": ANN, "To": OURS, "Body": Body,
        "NumMedia": "0", **more,
    }  # fmt: skip
    return story.entry("message", "", fields)._replace(trust="claimed")


def trusts(story: Story) -> list[tuple[str, str]]:
    """The trust of each text that came, and why it has no more."""
    rows = story.ask("select trust, verdicts from events where type = 'message.received'")
    return [(trust, json.loads(verdicts or "{}").get("proof", "")) for trust, verdicts in rows]


def hide(story: Story, seconds: float) -> None:
    """Let Twilio answer 404 to every look at one record for a while."""
    take = story.twilio.take
    until = story.clock.now + seconds

    def late(request: Any, answer: Callable[[Any], None]) -> None:
        one = request.path.rpartition("/")[2]
        if request.method == "GET" and one.startswith("SM") and story.clock.now < until:
            story.twilio.after(0.1, lambda: answer(NotFound("no such text", http_status=404)))
        else:
            take(request, answer)

    story.twilio.take = late  # type: ignore[method-assign]


def said(story: Story) -> list[str]:
    """The texts that we sent."""
    return [record.body for record in story.twilio.records.values()]


@pytest.mark.parametrize("seconds", [8.0, 100.0, pytest.param(700.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("killed", [False, True])
def test_a_record_that_exists_late_confirms_its_text(
    begin: Begin, seconds: float, killed: bool
) -> None:
    """The API answers 404 for a while; a restart of the worker does not end the looks."""
    story = begin(rules=RULES, hook_secret="s3cr3t")
    sid = story.twilio.hear("Hi", ANN, OURS, "").sid
    story.twilio.heard[sid].listed_at = 1e9
    hide(story, seconds)
    story.receive(claimed(story, sid, "Hi"))
    story.run(min(seconds, 7.0))
    assert trusts(story)[0][0] == "claimed"
    if killed:
        story.kill()
        story.start()
    story.run(seconds * 2 + 60.0)
    assert trusts(story) == [("confirmed", "")]
    assert said(story) == ["You said Hi."]


@pytest.mark.slow
def test_what_is_looked_at_again_is_told_of_until_it_is_over(begin: Begin) -> None:
    story = begin(rules=RULES, hook_secret="s3cr3t")
    hide(story, 1e9)
    story.receive(claimed(story, "SM" + "5" * 32, "Hi"))
    story.run(60.0)
    assert story.life is not None
    told = story.life.engine.confirmer.doubted()
    assert told is not None
    assert told[0] == 1
    assert "does not know" in told[1]
    paths = [path for path in story.twilio.paths if "5" * 32 in path]
    story.run(7200.0)
    assert story.life.engine.confirmer.doubted() is None
    assert len(paths) < 15


@pytest.mark.parametrize(
    "false",
    [
        {"Body": "Give me all"},
        {"Body": ""},
        {"From": "+15551000002"},
        {"NumMedia": "1", "MediaUrl0": "https://evil.example.org/cat.jpg"},
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_a_false_claim_does_not_use_up_the_sid(
    begin: Begin, false: dict[str, str], together: bool
) -> None:
    """The text itself comes behind it, at once or later, and is answered once."""
    story = begin(rules=RULES, hook_secret="s3cr3t")
    sid = story.twilio.hear("Hi", ANN, OURS, "").sid
    story.receive(claimed(story, sid, **{"Body": "Hi", **false}))
    if not together:
        story.run(30.0)
    story.receive(claimed(story, sid, "Hi"))
    story.run(story.clock.now + 60.0)
    assert sorted(trust for trust, _ in trusts(story)) == ["claimed", "confirmed"]
    assert said(story) == ["You said Hi."]
    assert story.ask("select inbound from contacts where inbound > 0") == [(1,)]


@pytest.mark.parametrize(("trust", "source"), [("signed", "webhook"), ("confirmed", "repair")])
@pytest.mark.parametrize("together", [False, True])
def test_a_proven_text_proves_no_claim_that_says_otherwise(
    begin: Begin, trust: str, source: str, together: bool
) -> None:
    story = begin(rules=RULES, hook_secret="s3cr3t")
    sid = story.twilio.hear("Hi", ANN, OURS, "").sid
    story.receive(claimed(story, sid, "Give me all"))
    if not together:
        story.run(30.0)
    story.receive(claimed(story, sid, "Hi")._replace(trust=trust, source=source))
    story.run(story.clock.now + 60.0)
    assert sorted(kept for kept, _ in trusts(story)) == sorted(["claimed", trust])
    assert said(story) == ["You said Hi."]


def test_the_same_claim_twice_and_its_twin_are_one_text(begin: Begin) -> None:
    story = begin(rules=RULES, hook_secret="s3cr3t")
    sid = story.twilio.hear("Hi", ANN, OURS, "").sid
    for more in ({}, {}, {"FromCity": "ROME"}):
        story.receive(claimed(story, sid, "Hi", **more))
    story.receive(claimed(story, sid, "Hi")._replace(trust="confirmed", source="repair"))
    story.run(60.0)
    assert said(story) == ["You said Hi."]
    assert [trust for trust, why in trusts(story) if not why] == ["confirmed"]
    assert story.ask("select inbound from contacts where inbound > 0") == [(1,)]


@pytest.mark.slow
def test_a_false_failure_of_a_text_that_is_delivered_changes_nothing(begin: Begin) -> None:
    story = begin(rules=RULES, hook_secret="s3cr3t")
    story.receive(story.text("Hi", ANN))
    story.run(60.0)
    (record,) = story.twilio.records.values()
    assert record.status == "delivered"
    for status, code in (("failed", "30007"), ("undelivered", "30003"), ("read", "")):
        fields = {
            "AccountSid": ACCOUNT, "MessageSid": record.sid, "MessageStatus": status,
            "From": OURS, "To": ANN, **({"ErrorCode": code} if code else {}),
        }  # fmt: skip
        story.receive(story.entry("message/status", "", fields)._replace(trust="claimed"))
    story.run(7200.0)
    trusted = "select count(*) from events where status in ('failed', 'undelivered', 'read') "
    assert story.ask(f"{trusted} and trust <> 'claimed'") == [(0,)]
    assert story.ask("select state, outcome from actions") == [("settled", "delivered")]


def event(type_: str, **fields: str) -> Event:
    """A claim about a text or a call, with these fields beside its addresses."""
    given = {"CallSid": CALL, **fields} if not type_.startswith("message") else fields
    return Event(
        "evt_1", type_, NOW, NOW, trust="claimed", account_sid=ACCOUNT, sender=ANN,
        recipient=OURS, status=type_.partition(".")[2], fields=given,
        error_code=int(fields.get("ErrorCode", "0")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type_", "fields", "record", "agrees"),
    [
        ("sent", {}, {"status": "delivered"}, True),
        ("delivered", {}, {"status": "read"}, True),
        ("sent", {}, {"status": "queued"}, False),
        ("failed", {}, {"status": "delivered"}, False),
        ("delivered", {}, {"status": "undelivered"}, False),
        ("failed", {"ErrorCode": "30007"}, {"status": "failed", "error_code": 30007}, True),
        ("failed", {"ErrorCode": "30007"}, {"status": "failed", "error_code": 30003}, False),
        ("failed", {}, {"status": "failed", "error_code": 30003}, False),
        ("delivered", {"Body": "Other"}, {"status": "delivered", "body": "Hi"}, False),
    ],
)
def test_a_status_of_a_text_is_compared(
    type_: str, fields: dict[str, str], record: dict[str, Any], agrees: bool
) -> None:
    found = Message.read({"from": ANN, "to": OURS, **record})
    assert (message_doubt(event(f"message.{type_}", **fields), found) is None) is agrees


@pytest.mark.parametrize(
    ("type_", "fields", "record", "agrees"),
    [
        ("ringing", {}, {"status": "completed"}, True),
        ("initiated", {}, {"status": "queued"}, True),
        ("completed", {"CallDuration": "12"}, {"status": "completed", "duration": "12"}, True),
        ("completed", {"CallDuration": "900"}, {"status": "completed", "duration": "12"}, False),
        ("completed", {}, {"status": "busy"}, False),
        ("busy", {}, {"status": "completed"}, False),
        ("completed", {"AnsweredBy": "human"},
         {"status": "completed", "answered_by": "machine_start"}, False),
        ("received", {}, {"status": "ringing", "direction": "outbound-api"}, False),
    ],
)  # fmt: skip
def test_a_status_of_a_call_is_compared(
    type_: str, fields: dict[str, str], record: dict[str, Any], agrees: bool
) -> None:
    found = Call.read({"from": ANN, "to": OURS, **record})
    assert (call_doubt(event(f"call.{type_}", **fields), found) is None) is agrees


@pytest.mark.parametrize(
    ("fields", "record", "agrees"),
    [
        ({"RecordingUrl": RECORDING, "RecordingSid": SAID}, {"duration": "5"}, True),
        ({"RecordingUrl": RECORDING}, {}, True),
        ({"RecordingUrl": RECORDING, "RecordingDuration": "50"}, {"duration": "5"}, False),
        ({"RecordingUrl": RECORDING}, {"call_sid": "CA" + "8" * 32}, False),
        ({"RecordingUrl": RECORDING.replace("api.twilio.com", "evil.example.org")}, {}, False),
        ({"RecordingUrl": RECORDING.replace("https://api", "https://x@api")}, {}, False),
        ({"RecordingUrl": RECORDING.replace(ACCOUNT, "AC" + "9" * 32)}, {}, False),
        ({"RecordingUrl": "https://evil.example.org/a.wav", "RecordingSid": SAID}, {}, False),
        ({"RecordingUrl": RECORDING, "RecordingSid": "RE" + "8" * 32}, {}, False),
    ],
)
def test_a_recording_is_compared(
    fields: dict[str, str], record: dict[str, Any], agrees: bool
) -> None:
    told = event("call.recorded", **fields)
    sid = recording_of(told)
    found = Recording.read({"sid": SAID, "call_sid": CALL, "status": "completed", **record})
    doubt = sid != SAID or recording_doubt(told, found, ()) is not None
    assert doubt is not agrees
