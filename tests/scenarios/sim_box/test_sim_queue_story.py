"""Scenario of a queue: two callers choose and wait, an agent takes one after the other.

Every webhook of the story is held against the reference: all its fields, its method, its signature.
"""

from typing import Any
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

ANN, BOB, AGENT = "+14155550123", "+14155550124", "+14155550155"
PLACES = [
    who + place
    for who in ("From", "To", "Caller", "Called")
    for place in ("City", "State", "Zip", "Country")
]
BASE = {
    "CallSid", "AccountSid", "ApiVersion", "From", "To", "Caller", "Called",
    "CallStatus", "Direction", *PLACES,
}  # fmt: skip
STANDING = {
    "QueueSid", "QueuePosition", "QueueTime", "AvgQueueTime", "CurrentQueueSize", "MaxQueueSize",
}  # fmt: skip
PROGRESS = {"Timestamp", "CallbackSource", "SequenceNumber"}
ENDED = {*PROGRESS, "CallDuration", "Duration", "SipResponseCode"}


def put_up(site: Any) -> None:
    """The pages of a small support line."""
    site.answer(
        "/voice",
        '<Gather action="/choice" numDigits="1"><Say>Press one for support</Say></Gather>'
        "<Say>Goodbye</Say>",
    )
    site.answer(
        "/choice",
        '<Enqueue action="/left" waitUrl="/wait" waitUrlMethod="GET">support</Enqueue>'
        "<Say>never heard</Say>",
    )
    site.answer("/wait", "<Say>Please hold</Say><Pause length='9'/>")
    site.answer("/connecting", "<Say>An agent is here</Say>")
    site.answer("/left", "<Say>Thank you for calling</Say>")
    site.answer(
        "/agent",
        '<Dial action="/next" hangupOnStar="true">'
        '<Queue url="/connecting">support</Queue></Dial><Say>never heard</Say>',
    )
    site.answer("/next", "<Say>That was a call</Say><Redirect>/agent</Redirect>")


def only(site: Any, path: str, sid: str) -> Any:
    """The fields of the one request to a path that was made for this call."""
    [hook] = [hook for hook in site.at(path) if hook.fields["CallSid"] == sid]
    return hook.fields


def test_gather_enqueue_dial_queue_and_both_leave(box: Any, client: Any, site: Any) -> None:
    put_up(site)
    box.number(voice_url=site.url + "/voice", status_callback=site.url + "/ended")

    # Ann calls, hears the menu, and presses one.
    ann = box.control("calls", from_=ANN, to=box.sender)["sid"]
    box.run(1)
    fields = only(site, "/voice", ann)
    assert set(fields) == BASE | {"CallToken", "StirVerstat"}
    assert {name: fields[name] for name in BASE - set(PLACES)} == {
        "CallSid": ann,
        "AccountSid": box.card["account_sid"],
        "ApiVersion": "2010-04-01",
        "From": ANN,
        "To": box.sender,
        "Caller": ANN,
        "Called": box.sender,
        "CallStatus": "ringing",
        "Direction": "inbound",
    }
    assert box.look(f"calls/{ann}")["state"] == "gathering"
    box.control(f"calls/{ann}/keys", digits="1")
    box.run(0.5)
    fields = only(site, "/choice", ann)
    assert set(fields) == BASE | {"Digits", "FinishedOnKey"}
    assert (fields["Digits"], fields["CallStatus"]) == ("1", "in-progress")

    # She waits; Bob comes second. The wait document is asked for again and again, by GET.
    bob = box.control("calls", from_=BOB, to=box.sender, keys="1")["sid"]
    box.run(11)
    [queue] = client.queues.list()
    first, second = [hook for hook in site.at("/wait") if hook.fields["CallSid"] == ann]
    assert (first.method, set(first.fields)) == ("GET", BASE | STANDING)
    assert {name: first.fields[name] for name in STANDING} == {
        "QueueSid": queue.sid,
        "QueuePosition": "1",
        "QueueTime": "0",
        "AvgQueueTime": "0",
        "CurrentQueueSize": "1",
        "MaxQueueSize": "1000",
    }
    assert (second.fields["QueueTime"], second.fields["CurrentQueueSize"]) == ("10", "2")
    waits = [hook.fields for hook in site.at("/wait") if hook.fields["CallSid"] == bob]
    assert (waits[0]["QueuePosition"], waits[0]["CurrentQueueSize"]) == ("2", "2")
    members = client.queues(queue.sid).members.list()
    assert [(member.call_sid, member.position) for member in members] == [(ann, 1), (bob, 2)]
    assert client.queues(queue.sid).members("Front").fetch().call_sid == ann
    view = box.look(f"calls/{bob}")
    assert (view["state"], view["queue"], view["position"]) == ("queued", "support", 2)

    # An agent is called and takes the front caller, who hears the whisper first.
    agent = client.calls.create(
        to=AGENT, from_=box.sender, url=site.url + "/agent", status_callback=site.url + "/progress",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
    ).sid  # fmt: skip
    box.run(4.5)
    fields = only(site, "/connecting", ann)
    assert set(fields) == BASE | {"QueueSid", "QueueTime", "DequeingCallSid"}
    assert (fields["QueueSid"], fields["DequeingCallSid"]) == (queue.sid, agent)
    assert fields["QueueTime"] == "15"
    box.run(1)
    assert [box.look(f"calls/{sid}")["state"] for sid in (ann, agent)] == ["bridged"] * 2
    assert (box.look(f"calls/{agent}")["with"], site.at("/left")) == (ann, [])
    assert client.queues(queue.sid).fetch().current_size == 1

    # The agent ends the talk with a star: both documents go on.
    box.run(30)
    box.control(f"calls/{agent}/keys", digits="*")
    box.run(0.5)
    fields = only(site, "/left", ann)
    assert set(fields) == BASE | {"QueueResult", "QueueSid", "QueueTime"}
    assert (fields["QueueResult"], fields["QueueTime"]) == ("bridged", "15")
    assert fields["CallStatus"] == "in-progress"
    fields = only(site, "/next", agent)
    dial = {"DialCallStatus", "DialCallSid", "DialCallDuration", "DialBridged"}
    assert set(fields) == BASE | dial | {"QueueResult", "QueueSid", "QueueTime"}
    assert {name: fields[name] for name in dial} == {
        "DialCallStatus": "completed",
        "DialCallSid": ann,
        "DialCallDuration": "31",
        "DialBridged": "true",
    }
    box.run(5)
    assert client.calls(ann).fetch().status == "completed"
    said = [sound["text"] for sound in box.look(f"calls/{ann}")["heard"] if sound["kind"] == "say"]
    assert said == [
        "Press one for support", "Please hold", "Please hold", "An agent is here",
        "Thank you for calling",
    ]  # fmt: skip

    # The agent's document took the next one by itself. Bob hangs up; then the agent does.
    assert box.look(f"calls/{agent}")["with"] == bob
    box.control(f"calls/{bob}/hangup")
    box.run(0.5)
    fields = only(site, "/left", bob)
    assert (fields["QueueResult"], fields["CallStatus"]) == ("bridged", "completed")
    box.run(10)
    assert client.queues(queue.sid).fetch().current_size == 0
    box.control(f"calls/{agent}/hangup")
    box.finish()

    # The end of each inbound call is reported once, the agent's call step by step.
    fields = only(site, "/ended", ann)
    assert set(fields) == BASE | ENDED
    assert (fields["CallStatus"], fields["SequenceNumber"]) == ("completed", "0")
    assert fields["CallbackSource"] == "call-progress-events"
    assert fields["CallDuration"] == client.calls(ann).fetch().duration
    assert fields["Duration"] == "1"
    assert only(site, "/ended", bob)["SipResponseCode"] == "200"
    seen = [hook.fields for hook in site.at("/progress")]
    assert [(fields["CallStatus"], fields["SequenceNumber"]) for fields in seen] == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]
    assert [set(fields) for fields in seen] == [BASE | PROGRESS] * 3 + [BASE | ENDED]
    assert client.calls(agent).fetch().status == "completed"

    # Every request of the story was signed for the address that it went to.
    judge = RequestValidator(box.card["auth_token"])
    for hook in site.hooks:
        query = "?" + urlencode(hook.pairs) if hook.method == "GET" else ""
        posted = hook.fields if hook.method == "POST" else {}
        signature = hook.headers["X-Twilio-Signature"]
        assert judge.validate(site.url + hook.path + query, posted, signature), hook.path
    assert box.ledger("fault") == []


def test_rest_takes_a_caller_out_of_the_line(box: Any, client: Any, site: Any) -> None:
    put_up(site)
    site.answer("/desk", "<Say>The desk is here</Say><Pause length='5'/>")
    box.number(voice_url=site.url + "/voice")
    ann = box.control("calls", from_=ANN, to=box.sender, keys="1")["sid"]
    box.run(6)
    [queue] = client.queues.list()
    member = client.queues(queue.sid).members("Front").update(url=site.url + "/desk", method="GET")
    assert member.call_sid == ann
    box.run(2)
    fields = only(site, "/left", ann)
    assert (fields["QueueResult"], fields["QueueSid"]) == ("redirected", queue.sid)
    [desk] = site.at("/desk")
    assert (desk.method, set(desk.fields)) == ("GET", BASE)
    said = [sound["text"] for sound in box.look(f"calls/{ann}")["heard"]]
    assert ("The desk is here" in said, "Thank you for calling" in said) == (True, False)
    box.finish()


def test_a_caller_who_gives_up_in_line_is_reported(box: Any, client: Any, site: Any) -> None:
    put_up(site)
    box.number(voice_url=site.url + "/voice")
    ann = box.control("calls", from_=ANN, to=box.sender, keys="1")["sid"]
    box.run(8)
    box.control(f"calls/{ann}/hangup")
    box.finish()
    fields = only(site, "/left", ann)
    assert (fields["QueueResult"], fields["CallStatus"]) == ("hangup", "completed")
    [queue] = client.queues.list()
    assert (queue.current_size, client.queues(queue.sid).members.list()) == (0, [])
