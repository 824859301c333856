"""Tests of Start, Stop, Connect and Refer, which run beside the document or take the call over."""

import json
from typing import Any

import pytest

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


def transcripts(world: Any) -> list[tuple[str, str, str]]:
    """Track, words and whether they are final, of every content callback."""
    return [
        (each["Track"], json.loads(each["TranscriptionData"])["transcript"], each["Final"])
        for each in world.notified("live-transcription")
        if each["TranscriptionEvent"] == "transcription-content"
    ]


def test_a_live_transcription_reports_in_its_own_fields(world: Any) -> None:
    call = world.ring(
        "<Start><Transcription name='t' statusCallbackUrl='/words' languageCode='sv-SE'"
        " inboundTrackLabel='caller' hints='table'/></Start>"
        "<Say>How can we help</Say><Pause length='10'/><Stop><Transcription name='t'/></Stop>"
        "<Pause length='5'/>"
    )
    world.run(3)
    world.exchange.speak(call.sid, "A table please", 0.8)
    world.run(20)
    told = world.notified("live-transcription")
    assert [(each["TranscriptionEvent"], each["SequenceId"]) for each in told] == [
        ("transcription-started", "1"),
        ("transcription-content", "2"),
        ("transcription-content", "3"),
        ("transcription-stopped", "4"),
    ]
    assert {each["TranscriptionSid"][:2] for each in told} == {"GT"}
    assert {each["CallSid"] for each in told} == {call.sid}
    first, say, speech, last = told
    assert (first["LanguageCode"], first["Track"], first["Name"]) == ("sv-SE", "both_tracks", "t")
    assert (first["InboundTrackLabel"], first["PartialResults"]) == ("caller", "false")
    assert json.loads(first["ProviderConfiguration"])["hints"] == "table"
    assert (say["Track"], speech["Track"]) == ("outbound_track", "inbound_track")
    assert json.loads(speech["TranscriptionData"]) == {
        "transcript": "A table please",
        "confidence": 0.8,
    }
    assert not any(name.startswith("Stream") for each in told for name in each)
    assert "TranscriptionData" not in last


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("track='inbound_track'", [("inbound_track", "two words", "true")]),
        ("track='outbound_track'", [("outbound_track", "Hello", "true")]),
        (
            "track='inbound_track' partialResults='true'",
            [("inbound_track", "two", "false"), ("inbound_track", "two words", "true")],
        ),
    ],
)
def test_a_transcript_has_the_tracks_that_were_asked_for(
    world: Any, attributes: str, expected: list[tuple[str, str, str]]
) -> None:
    call = world.ring(
        f"<Start><Transcription statusCallbackUrl='/words' {attributes}/></Start>"
        "<Say>Hello</Say><Pause length='9'/>"
    )
    world.run(2)
    world.exchange.speak(call.sid, "two words")
    world.run(5)
    assert transcripts(world) == expected


def test_what_is_said_just_before_the_end_is_in_the_transcript(world: Any) -> None:
    call = world.ring(
        "<Start><Transcription statusCallbackUrl='/words' track='inbound_track'/></Start>"
        "<Pause length='60'/>"
    )
    world.exchange.speak(call.sid, "I am off")
    world.exchange.hang_up(call.sid)
    world.run(9)
    assert transcripts(world) == [("inbound_track", "I am off", "true")]
    assert world.notified("live-transcription")[-1]["TranscriptionEvent"] == "transcription-stopped"


def test_both_sides_of_a_dialled_talk_are_transcribed(world: Any) -> None:
    call = world.ring(
        "<Start><Transcription statusCallbackUrl='/words'/></Start><Dial>+15552220001</Dial>"
    )
    world.run(5)
    [child] = world.children(call)
    world.exchange.speak(call.sid, "hello there")
    world.exchange.speak(child.sid, "good day")
    world.run(5)
    assert transcripts(world) == [
        ("outbound_track", "good day", "true"),
        ("inbound_track", "hello there", "true"),
    ]


def test_siprec_reports_in_its_own_fields(world: Any) -> None:
    call = world.ring(
        "<Start><Siprec name='tape' connectorName='c' statusCallback='/siprec'/></Start>"
        "<Pause length='2'/><Stop><Siprec name='tape'/></Stop><Pause length='2'/>"
    )
    world.run(9)
    started, stopped = world.notified("siprec")
    assert (started["SiprecEvent"], stopped["SiprecEvent"]) == ("siprec-started", "siprec-stopped")
    assert (started["SiprecName"], started["SiprecSid"][:2]) == ("tape", "SR")
    assert (started["From"], started["CallSid"]) == ("+15550001111", call.sid)
    assert not any(name.startswith("Stream") for name in started)


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
