"""Calls through the official client: place, follow, change, queue, confer, record, delete."""

from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

PERSON, AGENT = "+14155550123", "+14155550155"
ALL = ["initiated", "ringing", "answered", "completed"]


def refusal(call: Any) -> tuple[int, int]:
    with pytest.raises(TwilioRestException) as caught:
        call()
    return caught.value.status, caught.value.code


def statuses(site: Any, path: str = "/status") -> list[str]:
    return [hook.fields["CallStatus"] for hook in site.at(path)]


def test_a_call_is_placed_answered_and_ended(box: Any, client: Client, site: Any) -> None:
    call = client.calls.create(
        to=PERSON, from_=box.sender,
        twiml="<Response><Say>Hello</Say><Pause length='3'/></Response>",
        status_callback=site.url + "/status", status_callback_event=ALL,
    )  # fmt: skip
    assert (call.status, call.direction) == ("queued", "outbound-api")
    box.finish()
    seen = client.calls(call.sid).fetch()
    assert seen.status == "completed"
    assert int(seen.duration) >= 1
    assert seen.price is None
    box.run(60)
    assert float(client.calls(call.sid).fetch().price) < 0
    assert statuses(site) == ["initiated", "ringing", "in-progress", "completed"]
    assert [hook.fields["SequenceNumber"] for hook in site.at("/status")] == list("0123")
    last = site.at("/status")[-1].fields
    assert last["CallDuration"] == seen.duration
    assert last["Duration"] == "1"
    heard = box.look(f"calls/{call.sid}")["heard"]
    assert [(sound["kind"], sound["text"]) for sound in heard] == [("say", "Hello"), ("pause", "")]


@pytest.mark.parametrize(
    ("number", "status"),
    [("+15005550031", "busy"), ("+15005550032", "no-answer"), ("+15005550033", "failed")],
)
def test_the_number_says_how_a_call_ends(
    box: Any, client: Any, site: Any, number: Any, status: Any
) -> None:
    call = client.calls.create(
        to=number, from_=box.sender, url=site.url + "/twiml", status_callback=site.url + "/status"
    )
    box.finish()
    assert client.calls(call.sid).fetch().status == status
    assert statuses(site) == [status]
    assert not site.at("/twiml")


def test_a_machine_is_detected(box: Any, client: Any, site: Any) -> None:
    site.answer("/later", "<Pause length='30'/>")
    client.calls.create(
        to="+15005550034", from_=box.sender, url=site.url + "/twiml", machine_detection="Enable"
    )
    client.calls.create(
        to="+15005550034", from_=box.sender, url=site.url + "/later", machine_detection="Enable",
        async_amd="true", async_amd_status_callback=site.url + "/amd",
    )  # fmt: skip
    box.finish()
    assert site.at("/twiml")[0].fields["AnsweredBy"] == "machine_start"
    assert "AnsweredBy" not in site.at("/later")[0].fields
    assert site.at("/amd")[0].fields["AnsweredBy"] == "machine_start"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": ""}, 21201),
        ({"from_": ""}, 21213),
        ({"twiml": None}, 21205),
        ({"to": "somebody"}, 21211),
        ({"from_": "somebody"}, 21212),
        ({"from_": "+14155559999"}, 21210),
        ({"url": "not a url"}, 21205),
        ({"method": "PUT"}, 21209),
        ({"timeout": 601}, 21208),
        ({"send_digits": "1x"}, 21206),
        ({"status_callback": "http://a_b.test"}, 21502),
        ({"status_callback_event": ["answered", "bored"]}, 21626),
        ({"machine_detection": "maybe"}, 21207),
        ({"machine_detection": "Enable", "machine_detection_timeout": 99}, 21234),
        ({"machine_detection": "Enable", "async_amd": "true"}, 21262),
        ({"application_sid": "AP" + "0" * 32}, 21218),
        ({"twiml": "x" * 4001}, 32018),
        ({"to": "+15005550001"}, 21217),
        ({"to": "+15005550003"}, 21215),
        ({"to": "+14155550100"}, 21266),
    ],
)
def test_what_twilio_would_refuse_is_refused_with_its_code(
    box: Any, client: Any, fields: Any, code: Any
) -> None:
    fields = {"to": PERSON, "from_": box.sender, "twiml": "<Response/>", **fields}
    if fields["twiml"] is None:
        del fields["twiml"]
    assert refusal(lambda: client.calls.create(**fields)) == (400, code)
    assert client.calls.list() == []


def test_a_live_call_is_changed_over_rest(box: Any, client: Any, site: Any) -> None:
    call = client.calls.create(
        to=PERSON, from_=box.sender, twiml="<Response><Pause length='600'/></Response>",
        status_callback=site.url + "/status",
    )  # fmt: skip
    assert refusal(lambda: client.calls(call.sid).delete()) == (409, 20009)
    box.run(10)
    assert client.calls(call.sid).fetch().status == "in-progress"
    site.answer("/new", "<Say>New</Say><Pause length='600'/>")
    client.calls(call.sid).update(url=site.url + "/new", method="GET")
    box.run(5)
    assert site.at("/new")[0].method == "GET"
    client.calls(call.sid).update(
        twiml="<Response><Say>Newer</Say><Pause length='600'/></Response>"
    )
    box.run(5)
    words = [sound["text"] for sound in box.look(f"calls/{call.sid}")["heard"]]
    assert [word for word in words if word] == ["New", "Newer"]
    assert refusal(lambda: client.calls(call.sid).update(status="canceled")) == (400, 21220)
    client.calls(call.sid).update(status="completed")
    box.finish()
    assert client.calls(call.sid).fetch().status == "completed"
    assert statuses(site) == ["completed"]
    assert refusal(lambda: client.calls(call.sid).update(status="completed")) == (400, 21220)
    assert refusal(lambda: client.calls(call.sid).update(url=site.url, twiml="<Response/>")) == (
        400,
        20001,
    )
    assert client.calls(call.sid).delete()
    assert refusal(lambda: client.calls(call.sid).fetch()) == (404, 20404)


def test_a_ringing_call_is_canceled_and_declined(box: Any, client: Any) -> None:
    box.control(f"handsets/{PERSON}", calls="manual")
    first, second, third = (
        client.calls.create(to=PERSON, from_=box.sender, twiml="<Response><Pause/></Response>").sid
        for _ in range(3)
    )
    box.run(5)  # one new call a second
    assert client.calls(first).update(status="canceled").sid == first
    box.control(f"calls/{second}/decline")
    box.control(f"calls/{third}/answer")
    box.finish()
    found = {call.sid: call.status for call in client.calls.list()}
    assert found == {first: "canceled", second: "busy", third: "completed"}


def test_calls_are_listed_filtered_and_paged(box: Any, client: Any, site: Any) -> None:
    box.number(voice_url=site.answer("/in", "<Pause length='2'/>"))
    inbound = box.control("calls", from_=PERSON, to=box.sender)["sid"]
    box.finish()
    box.run(2 * 86_400)
    outbound = [
        client.calls.create(to=AGENT, from_=box.sender, twiml="<Response/>").sid for _ in range(3)
    ]
    box.finish()

    def sids(**query: Any) -> list[str]:
        return [row.sid for row in client.calls.list(**query)]

    assert sids(page_size=2) == [*outbound[::-1], inbound]
    assert sids(from_=PERSON) == [inbound]
    assert sids(to=AGENT, status="completed") == outbound[::-1]
    assert sids(status="busy") == []
    day = client.calls(outbound[0]).fetch().start_time.date()
    assert sids(start_time_after=day) == outbound[::-1]
    assert sids(end_time_before=day.replace(day=day.day - 1)) == [inbound]
    assert box.rest("GET", "Calls.json?Status=asleep").json()["code"] == 20001
    events = client.calls(inbound).events.list()
    assert events[0].request["url"] == site.url + "/in"
    assert events[0].response["response_code"] == 200


def test_callers_wait_in_a_queue_and_are_taken_out_over_rest(
    box: Any, client: Any, site: Any
) -> None:
    box.number(
        voice_url=site.answer("/in", "<Enqueue waitUrl='/wait' action='/left'>help</Enqueue>")
    )
    site.answer("/wait", "<Pause length='30'/>")
    site.answer("/agent", "<Say>Your turn</Say><Pause length='60'/>")
    first, second = (
        box.control("calls", from_=number, to=box.sender)["sid"] for number in (PERSON, AGENT)
    )
    box.run(10)
    queue = client.queues.list()[0]
    assert (queue.friendly_name, queue.current_size, queue.max_size) == ("help", 2, 1000)
    members = client.queues(queue.sid).members.list()
    assert [(row.call_sid, row.position) for row in members] == [(first, 1), (second, 2)]
    assert client.queues(queue.sid).members("Front").fetch().wait_time == 10
    assert refusal(lambda: client.queues(queue.sid).delete())[0] in (400, 409)
    taken = client.queues(queue.sid).members("Front").update(url=site.url + "/agent")
    assert taken.call_sid == first
    box.run(2)
    assert site.at("/left")[0].fields["QueueResult"] == "redirected"
    assert client.queues(queue.sid).members("Front").fetch().call_sid == second
    client.queues(queue.sid).members(second).update(url=site.url + "/agent", method="GET")
    box.run(2)
    assert refusal(lambda: client.queues(queue.sid).members("Front").fetch()) == (404, 20404)
    assert refusal(lambda: client.queues(queue.sid).members("Front").update(url="nowhere")) == (
        400,
        21205,
    )


def test_queues_are_made_changed_and_dropped(box: Any, client: Any) -> None:
    queue = client.queues.create(friendly_name="a", max_size=5)
    assert (queue.max_size, queue.current_size, queue.average_wait_time) == (5, 0, 0)
    changed = client.queues(queue.sid).update(friendly_name="b", max_size=7)
    assert (changed.friendly_name, changed.max_size) == ("b", 7)
    assert client.queues(queue.sid).fetch().sid == queue.sid
    assert refusal(lambda: client.queues.create(friendly_name="")) == (400, 20001)
    assert refusal(lambda: client.queues.create(friendly_name="c", max_size=5001)) == (400, 20001)
    assert client.queues(queue.sid).delete()
    assert refusal(lambda: client.queues(queue.sid).fetch()) == (404, 20404)


def test_a_conference_and_its_participants(box: Any, client: Any, site: Any) -> None:
    box.number(
        voice_url=site.answer(
            "/in", "<Dial><Conference endConferenceOnExit='true'>team</Conference></Dial>"
        )
    )
    caller = box.control("calls", from_=PERSON, to=box.sender)["sid"]
    box.run(3)
    conference = client.conferences.list(friendly_name="team")[0]
    added = client.conferences(conference.sid).participants.create(
        from_=box.sender, to=AGENT, label="agent", muted=True
    )
    assert added.status == "queued"
    box.run(10)
    assert client.conferences(conference.sid).fetch().status == "in-progress"
    people = client.conferences(conference.sid).participants
    assert {row.call_sid for row in people.list()} == {caller, added.call_sid}
    assert [row.call_sid for row in people.list(muted=True)] == [added.call_sid]
    assert people("agent").fetch().label == "agent"
    assert people(added.call_sid).update(muted=False).muted is False
    assert people(caller).update(hold=True).hold is True
    assert people(added.call_sid).delete()
    box.run(5)
    assert client.calls(added.call_sid).fetch().status == "completed"
    assert client.conferences(conference.sid).update(status="completed").sid == conference.sid
    box.finish()
    ended = client.conferences.list(status="completed")[0]
    assert ended.reason_conference_ended == "conference-ended-via-api"
    assert people.list() == []
    assert refusal(lambda: client.conferences("CF" + "0" * 32).fetch()) == (404, 20404)
    assert refusal(lambda: people(caller).fetch()) == (404, 20404)


@pytest.mark.parametrize("coach", ["x", "CA1", "QU" + "0" * 32])
def test_only_a_call_can_be_coached(box: Any, client: Any, site: Any, coach: Any) -> None:
    box.number(
        voice_url=site.answer("/in", f"<Dial><Conference coach='{coach}'>team</Conference></Dial>")
    )
    caller = box.control("calls", from_=PERSON, to=box.sender)["sid"]
    box.run(3)
    people = client.conferences(client.conferences.list()[0].sid).participants
    assert people(caller).fetch().call_sid_to_coach is None
    assert box.rest("GET", "Notifications.json").json()["notifications"][0]["error_code"] == "12200"
    assert refusal(lambda: people(caller).update(call_sid_to_coach=coach)) == (400, 20423)
    fields = {"from_": box.sender, "to": AGENT, "call_sid_to_coach": coach}
    assert refusal(lambda: people.create(**fields)) == (400, 20423)
    assert people(caller).update(call_sid_to_coach=caller).call_sid_to_coach == caller


def test_a_conference_by_name_is_made_by_its_first_participant(box: Any, client: Any) -> None:
    made = client.conferences("standup").participants.create(from_=box.sender, to=AGENT)
    assert made.conference_sid is None
    box.run(10)
    assert client.conferences.list()[0].friendly_name == "standup"


def test_recordings_of_a_call(box: Any, client: Any, site: Any) -> None:
    call = client.calls.create(
        to=PERSON, from_=box.sender, twiml="<Response><Pause length='60'/></Response>"
    ).sid
    assert refusal(lambda: client.calls(call).recordings.create()) == (400, 21220)
    box.run(10)
    made = client.calls(call).recordings.create(
        recording_status_callback=site.url + "/rec",
        recording_status_callback_event=["in-progress completed"],
    )
    assert (made.status, made.channels, made.source) == ("in-progress", 1, "StartCallRecordingAPI")
    box.run(10)
    current = client.calls(call).recordings("Twilio.CURRENT")
    assert current.update(status="paused", pause_behavior="skip").status == "paused"
    assert current.update(status="in-progress").sid == made.sid
    assert client.calls(call).recordings(made.sid).update(status="stopped").sid == made.sid
    box.finish()
    seen = client.recordings(made.sid).fetch()
    assert seen.status == "completed"
    assert int(seen.duration) >= 9
    assert [hook.fields["RecordingStatus"] for hook in site.at("/rec")] == [
        "in-progress", "completed",
    ]  # fmt: skip
    assert client.recordings.list(call_sid=call)[0].sid == made.sid
    assert client.calls(call).recordings.list()[0].sid == made.sid
    assert client.calls(call).recordings(made.sid).fetch().call_sid == call
    sound = box.rest("GET", f"Recordings/{made.sid}.wav")
    assert (sound.status_code, sound.content[:4], sound.content[8:12]) == (200, b"RIFF", b"WAVE")
    assert client.recordings(made.sid).delete()
    assert refusal(lambda: client.recordings(made.sid).fetch()) == (404, 20404)
    assert client.recordings.list() == []
    deleted = client.recordings.list(include_soft_deleted=True)
    assert [(row.sid, row.status) for row in deleted] == [(made.sid, "deleted")]


def test_notifications_of_a_call(box: Any, client: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = page("this is not xml <")
    box.number(voice_url=site.url + "/in")
    call = box.control("calls", from_=PERSON, to=box.sender)["sid"]
    box.finish()
    rows = client.calls(call).notifications.list()
    assert [row.error_code for row in rows] == ["12100"]
    single = client.calls(call).notifications(rows[0].sid).fetch()
    assert single.request_url == site.url + "/in"
    assert "not xml" in single.response_body


@pytest.mark.parametrize(
    ("to", "sender", "code"),
    [
        ("sip:ann@pbx.test", "Front-desk_1.2", 0),
        ("sips:ann@pbx.test", "+nobody", 0),
        ("sip:ann@pbx.test", "Front desk", 21212),
        (PERSON, "Front-desk", 21212),
    ],
)
def test_the_caller_of_a_sip_address_may_be_a_name(
    box: Any, client: Any, to: str, sender: str, code: int
) -> None:
    def place() -> Any:
        return client.calls.create(to=to, from_=sender, twiml="<Response/>")

    if code:
        assert refusal(place) == (400, code)
    else:
        assert place()._from == sender
