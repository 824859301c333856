"""Tests of the homes of events: pinned for good, spread evenly, one for each conversation."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ringback.errors import Malformed
from ringback.events import Event, person
from ringback.runtime import MOST_PARTITIONS, Runtime, in_partition, part_of, part_of_tag
from ringback.store.log import LogRow
from ringback.twilio.homes import home, key_of, rows_of
from ringback.twilio.webhooks import events_from

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "home-vectors.json").read_text("utf-8"))
ACCOUNT, MESSAGE, CALL = "AC" + "1" * 32, "SM" + "2" * 32, "CA" + "3" * 32
OURS, OTHER = "+14155550100", "+14155550101"
RANDOM = "abcdefghijklmnopqrstuvwx"


def row(route: str, body: bytes, tag: str = "") -> LogRow:
    """A request in the log."""
    return LogRow(1, "2026-12-01T00:00:00.000Z", route, "signed", "webhook", tag, "", body)


def events(route: str, body: bytes, tag: str = "") -> list[Event]:
    """What the worker makes of a request."""
    numbers = count(1)
    return events_from(row(route, body, tag), lambda: f"evt_{next(numbers)}")


def plain(found: Iterable[Event]) -> list[dict[str, Any]]:
    """Events without the uids that were drawn for them."""
    slots = [name for name in Event.__slots__ if name != "uid"]
    return [{name: getattr(event, name) for name in slots} for event in found]


@pytest.mark.parametrize("vector", VECTORS["homes"], ids=lambda vector: vector["what"])
def test_a_home_never_changes(vector: dict[str, Any]) -> None:
    """A cluster looks for what it has on record where these say. Never edit them."""
    found = {
        partitions: home(vector["route"], vector["fields"], vector["tag"], int(partitions))
        for partitions in vector["homes"]
    }
    assert found == vector["homes"]


def test_a_hundred_thousand_numbers_are_spread_evenly() -> None:
    homes = Counter(
        home("message", {"MessageSid": MESSAGE, "From": f"+1415{number:07}", "To": OURS}, "", 64)
        for number in range(2_000_000, 2_100_000)
    )
    expected = 100_000 / 64
    chi_square = sum((homes[part] - expected) ** 2 / expected for part in range(64))
    assert chi_square < 103.4  # one in a thousand with 63 degrees of freedom; the input is fixed


def story(theirs: str) -> list[tuple[str, dict[str, str]]]:
    """All kinds of webhooks of one conversation that name the numbers."""
    text = {"AccountSid": ACCOUNT, "MessageSid": MESSAGE}
    call = {"AccountSid": ACCOUNT, "CallSid": CALL}
    came, went = {"From": theirs, "To": OURS}, {"From": OURS, "To": theirs}
    inbound, outbound = {**call, **came, "Direction": "inbound"}, {**call, **went}
    return [
        ("message", {**text, **came, "Body": "Hi"}),
        ("message/status", {**text, **went, "MessageStatus": "delivered"}),
        ("message/status", {**text, "From": OTHER, "To": theirs, "MessageStatus": "sent"}),
        ("call/status", {**text, **went, "MessageStatus": "failed", "ErrorCode": "30003"}),
        ("call", {**inbound, "CallStatus": "ringing"}),
        ("call/step", {**inbound, "CallStatus": "in-progress", "Digits": "1"}),
        ("call/status", {**inbound, "CallStatus": "completed", "CallDuration": "7"}),
        ("call/status", {**outbound, "Direction": "outbound-api", "CallStatus": "busy"}),
        ("call/step", {**inbound, "RecordingSid": "RE" + "4" * 32, "RecordingUrl": "x"}),
        ("recording", {**inbound, "RecordingSid": "RE" + "4" * 32, "RecordingStatus": "completed"}),
    ]


@pytest.mark.parametrize(
    "spellings",
    [
        ("+14155550142",),
        ("whatsapp:+4915123456789",),
        ("whatsapp:+5215512345678", "whatsapp:+525512345678"),
        ("+5491123456789", "+541123456789"),
        ("+5511987654321", "+551187654321"),
        ("+22990123456", "+2290190123456"),
        ("client:desk",),
        ("12345",),
    ],
    ids=lambda spellings: spellings[0],
)
def test_a_conversation_has_one_home(spellings: tuple[str, ...]) -> None:
    told = [each for theirs in spellings for each in story(theirs)]
    homes = {home(route, fields, "", 1024) for route, fields in told}
    # With a tag of ours: that of the attempt, which was drawn at the home of its recipient.
    (part,) = homes
    lettered = Runtime(part=part).tag()
    for tag in ("", RANDOM, lettered, f"placed-{lettered}"):
        assert {home(route, fields, tag, 1024) for route, fields in told} == {part}
    # A recording says no numbers by itself: it is found by a tag, else with all else of its call.
    bare = {"AccountSid": ACCOUNT, "CallSid": CALL, "RecordingSid": "RE" + "4" * 32}
    assert home("recording", bare, lettered, 1024) == part
    asked = {"AccountSid": ACCOUNT, "CallSid": CALL, "AnsweredBy": "human"}
    assert home("recording", bare, "", 1024) == home("call/status", asked, "", 1024)


def test_the_other_party_is_that_of_the_conversation_on_record() -> None:
    for theirs in ("+14155550142", "whatsapp:+5215512345678"):
        for route, fields in story(theirs):
            (event,) = events(route, urlencode(fields).encode())
            assert key_of(route, fields) == event.conversation.partition("/")[2] == person(theirs)
    hidden = {
        "AccountSid": ACCOUNT,
        "CallSid": CALL,
        "From": "",
        "To": OURS,
        "Direction": "inbound",
    }
    (event,) = events("call", urlencode(hidden | {"CallStatus": "ringing"}).encode())
    assert event.conversation == f"{OURS}/"  # all who hide their number are one conversation
    assert key_of("call", hidden | {"CallStatus": "ringing"}) == OURS


def test_a_delivery_of_another_system_goes_to_the_person_it_names_else_by_its_identity() -> None:
    for facts in ({"id": "7", "phone": "+5511987654321", "ours": OURS}, {"id": "7"}):
        (event,) = events("hook/shop", b"{}", json.dumps(facts))
        key = key_of("hook/shop", event.fields, event.tag)
        assert key == (event.conversation.partition("/")[2] or event.dedupe_key)
    assert key_of("hook/shop", {"HookId": "7"}) != key_of("hook/bank", {"HookId": "7"})


def test_event_streams_finds_the_home_of_the_callback_that_says_the_same() -> None:
    data = {"messageSid": MESSAGE, "accountSid": ACCOUNT, "from": OURS, "to": "+541123456789"}
    sent = {"id": "EZ1", "type": "com.twilio.messaging.message.delivered", "data": data}
    (part,) = rows_of(json.dumps([sent]).encode())
    assert (part.route, part.fields["MessageStatus"]) == ("message/status", "delivered")
    callback = {"MessageSid": MESSAGE, "MessageStatus": "delivered", "To": "+5491123456789"}
    assert home(part.route, part.fields, "", 1024) == home("message/status", callback, "", 1024)
    error = {"accountSid": ACCOUNT, "errorCode": "30003", "level": "ERROR"}
    logged = {"id": "NO1", "type": "com.twilio.error-logs.error.logged", "data": error}
    (part,) = rows_of(json.dumps(logged).encode())
    assert key_of(part.route, part.fields) == ACCOUNT


STREAMED = (
    '{"id": "EZ1", "type": "com.twilio.messaging.message.sent", "time": "2026-11-30T23:59:59Z",'
    ' "data": {"messageSid": "SM1", "to": "+14155550142", "numberOfSegments": 1.10}}',
    '{"type":"com.twilio.taskrouter.task.created","id":"EZ2","data":{"taskSid":"WT1","n":1e999}}',
    f'{{"AccountSid": "{ACCOUNT}", "event_type": "click", "sms_sid": "SM1", "x": "\\ud83d ],["}}',
)
BROKEN = ('"no object"', '{"id": "EZ4"}')


@pytest.mark.parametrize(
    "elements",
    [STREAMED, STREAMED[:1], (BROKEN[0], *STREAMED, BROKEN[1])],
    ids=["three", "one", "broken ones among them"],
)
@pytest.mark.parametrize("spaces", ["", " \r\n\t"], ids=["dense", "spaced"])
def test_a_batch_of_event_streams_is_the_same_events_in_rows_of_their_own(
    elements: tuple[str, ...], spaces: str
) -> None:
    inner = f"{spaces},{spaces}".join(elements)
    body = f"{spaces}[{spaces}{inner}{spaces}]{spaces}".encode()
    parts = rows_of(body)
    assert len(parts) == sum(each in STREAMED for each in elements)
    for part, text in zip(parts, STREAMED, strict=False):
        assert text in part.body.decode()  # letter for letter
    whole = plain(events("events", body))
    split = plain(event for part in parts for event in events("events", part.body))
    assert sorted(map(_unplaced, split)) == sorted(map(_unplaced, whole))


def _unplaced(event: dict[str, Any]) -> str:
    fields: Mapping[str, str] = event["fields"]
    kept = {name: value for name, value in fields.items() if name != "Place"}
    return repr(event | {"fields": kept})


def test_one_event_alone_is_a_row_as_it_came() -> None:
    (part,) = rows_of(STREAMED[0].encode())
    assert part.body == STREAMED[0].encode()
    with pytest.raises(Malformed):
        rows_of(b'["no object"]')


@pytest.mark.parametrize("vector", VECTORS["letters"], ids=lambda vector: str(vector["part"]))
def test_the_letters_of_a_partition_never_change(vector: dict[str, Any]) -> None:
    runtime = Runtime(
        time=lambda: 1_790_000_000.0, entropy=lambda bits: (1 << bits) - 1, part=vector["part"]
    )
    assert (runtime.uid("evt"), runtime.tag()) == (vector["uid"], vector["tag"])


def test_names_say_the_partition_that_they_were_drawn_for() -> None:
    for part in range(MOST_PARTITIONS):
        runtime = Runtime(part=part)
        uid, tag = runtime.uid("act"), runtime.tag()
        assert part_of(uid, 1024) == part_of_tag(tag, 1024) == part_of_tag(f"placed-{tag}", 1024)
        assert part_of(uid, 1024) == part
        assert (len(uid), len(tag)) == (30, 26)
        if part >= 64:  # no cluster of 64 has made them
            assert part_of(uid, 64) is None
            assert part_of_tag(tag, 64) is None


def test_names_of_one_machine_stay_as_they_are_and_name_no_partition() -> None:
    bits = iter([1 << 79 | 5, 5] * 2)
    alone = Runtime(time=lambda: 1_790_000_000.0, entropy=lambda _: next(bits))
    assert alone.uid("run") == "run_01M3250V00G000000000000005"
    tag = alone.tag()
    assert tag == "a" * 23 + "f"
    assert part_of_tag(tag, 64) is None
    nonce = "placed-0123456789abcdef01234567"
    for old in (nonce, "", "order-17", "placed-", RANDOM.upper() + "AB", RANDOM + "abc"):
        assert part_of_tag(old, 64) is None
    for uid in ("run_01M3250V00G000000000000005", "evt_1", "evt_", "", "act_é"):
        assert part_of(uid, 1) == 0
    assert part_of("evt_case7", 64) is None
    assert in_partition(alone.uid("run"), 63) == "run_01M3250V00G00000000000001Z"
    fields = {"MessageSid": MESSAGE, "MessageStatus": "sent", "To": "+14155550142"}
    assert home("message/status", fields, tag, 64) == home("message/status", fields, "", 64)
