"""Tests of Start, Stop, Connect and Refer, which run beside the document or take the call over."""

from typing import Any

from ringback.simulator.voice.ports import Script

SITE = "https://app.test"


def test_a_stream_starts_and_stops_and_says_so(world: Any) -> None:
    world.ring(
        "<Start><Stream name='audio' url='wss://app.test/s' statusCallback='/stream'/></Start>"
        "<Say>Hello</Say><Stop><Stream name='audio'/></Stop><Pause length='5'/>"
    )
    world.run(2)
    assert [(f["StreamName"], f["StreamEvent"]) for f in world.notified("stream")] == [
        ("audio", "stream-started"),
        ("audio", "stream-stopped"),
    ]
    assert world.notified("stream")[0]["StreamSid"].startswith("MZ")
    world.run(10)
    assert len(world.notified("stream")) == 2


def test_the_end_of_the_call_stops_a_stream(world: Any) -> None:
    world.ring("<Start><Stream url='wss://app.test/s' statusCallback='/stream'/></Start>")
    world.run()
    assert [f["StreamEvent"] for f in world.notified("stream")] == [
        "stream-started",
        "stream-stopped",
    ]


def test_a_recording_in_the_background(world: Any) -> None:
    world.ring(
        "<Start><Recording recordingStatusCallback='/rec' channels='mono'/></Start>"
        "<Pause length='7'/><Stop><Recording/></Stop><Pause length='9'/>"
    )
    world.run(8)
    [recording] = world.exchange.recordings.values()
    assert (recording.source, recording.channels) == ("StartCallRecordingTwiML", 1)
    assert (recording.duration, world.notified("recording-status")[0]["RecordingDuration"]) == (
        7,
        "7",
    )


def test_connect_takes_the_call_over_until_hang_up(world: Any) -> None:
    call = world.ring(
        "<Connect action='/over'><Stream url='wss://a.test' statusCallback='/stream'/></Connect>"
        "<Say>never</Say>"
    )
    world.run(1000)
    assert (call.status, world.said(call)) == ("in-progress", [])
    world.exchange.hang_up(call.sid)
    world.run()
    assert [f["CallStatus"] for f in world.asked("connect")] == ["completed"]
    assert world.notified("stream")[-1]["StreamEvent"] == "stream-stopped"


def test_rest_takes_a_connected_call_away(world: Any) -> None:
    world.page("/new", "<Say>back</Say>")
    call = world.ring("<Connect action='/over'><ConversationRelay url='wss://a.test'/></Connect>")
    world.exchange.update(call.sid, script=Script(f"{SITE}/new"))
    world.run(3)
    assert (world.said(call), world.asked("connect")) == (["back"], [])


def test_an_empty_connect_is_reported(world: Any) -> None:
    call = world.ring("<Connect/><Say>on</Say>")
    world.run(2)
    assert (world.codes(), world.said(call)) == ([12200], ["on"])


def test_refer_works_on_sip_legs_only(world: Any) -> None:
    call = world.ring("<Refer action='/referred'><Sip>sip:a@b.test</Sip></Refer><Say>on</Say>")
    world.run(2)
    assert (world.codes(), world.said(call)) == ([13801], ["on"])
    world.page("/referred", "<Hangup/>")
    world.exchange.ring_in("sip:ann@pbx.test", "+15559990000")
    world.run(2)
    [fields] = world.asked("refer")
    assert (fields["ReferCallStatus"], fields["ReferSipResponseCode"]) == ("completed", "202")
    assert "FromCity" not in fields


def test_the_view_of_a_call(world: Any) -> None:
    call = world.ring("<Say>Hello</Say><Gather input='dtmf speech' action='/d'/>")
    view = world.exchange.view(call.sid)
    assert (view["state"], view["waiting_for"], view["duration"]) == ("talking", "time", 0)
    world.run(1)
    view = world.exchange.view(call.sid)
    assert (view["state"], view["waiting_for"]) == ("gathering", "keys or speech")
    assert view["heard"] == [{"at": "2026-03-14T15:09:26.000Z", "kind": "say", "text": "Hello"}]
    assert view["documents"] == [{"url": f"{SITE}/voice", "verbs": ["Say", "Gather"]}]
    assert (view["queue"], view["position"], view["with"]) == (None, None, None)


def test_the_whole_view_of_a_talk(world: Any) -> None:
    call = world.ring("<Dial>+15552220001</Dial>")
    world.run(5)
    [child] = world.children(call)
    assert world.exchange.view(child.sid) == {
        "sid": child.sid,
        "parent": call.sid,
        "from": "+15550001111",
        "to": "+15552220001",
        "status": "in-progress",
        "direction": "outbound-dial",
        "state": "bridged",
        "waiting_for": None,
        "queue": None,
        "position": None,
        "conference": None,
        "with": call.sid,
        "heard": [],
        "documents": [],
        "duration": 0,
    }
    assert world.exchange.view(call.sid)["waiting_for"] == "ring"


def test_every_change_of_a_record_is_noted(world: Any) -> None:
    world.page("/done", "<Enqueue waitUrl=''>line</Enqueue>")
    call = world.ring("<Record action='/done' transcribe='true'/>", say="A long message for you")
    world.run(20)
    conference = world.ring("<Dial><Conference>team</Conference></Dial>")
    world.run(5)
    exchange = world.exchange
    for kind, records in (
        ("queue", exchange.queues),
        ("conference", exchange.conferences),
        ("recording", exchange.recordings),
        ("transcription", exchange.transcriptions),
    ):
        [sid] = records
        assert (kind, sid) in world.changes
    world.changes.clear()
    exchange.hang_up(call.sid)
    exchange.hang_up(conference.sid)
    kinds = [kind for kind, _ in world.changes]
    assert kinds.count("queue") == 1
    assert kinds.count("call") >= 2
    assert "conference" in kinds
    world.changes.clear()
    [queue] = exchange.queues
    exchange.update_queue(queue, max_size=5)
    exchange.delete_queue(queue)
    [recording] = exchange.recordings
    exchange.delete_recording(recording)
    exchange.delete_call(call.sid)
    assert world.changes == [
        ("queue", queue),
        ("queue", queue),
        ("recording", recording),
        ("call", call.sid),
    ]


def test_warnings_are_warnings_and_errors_are_errors(world: Any) -> None:
    world.ring(
        "<Say/><Refer><Sip>sip:a@b.test</Sip></Refer><Enqueue/><Redirect>/missing</Redirect>"
    )
    world.run(5)
    assert [(trouble.code, trouble.level) for trouble in world.troubles] == [
        (13520, "warning"),
        (13801, "error"),
        (14204, "error"),
        (11200, "error"),
        (11200, "error"),
    ]


def test_the_view_names_every_state(world: Any) -> None:
    world.slow = 2.0
    call = world.ring("<Record/>")
    seen = world.exchange.view(call.sid)
    assert (seen["state"], seen["waiting_for"]) == ("ringing", f"the document at {SITE}/voice")
    world.run(3)
    seen = world.exchange.view(call.sid)
    assert (seen["state"], seen["waiting_for"]) == ("recording", "sound")
    world.exchange.hang_up(call.sid)
    seen = world.exchange.view(call.sid)
    assert (seen["state"], seen["waiting_for"]) == ("ended", None)
