"""Scenario of a voicemail: nobody answers, the message is recorded, transcribed and reported."""

from email.utils import parsedate_to_datetime
from typing import Any

CALLER, DESK = "+14155550123", "+14155550155"
PLACES = [
    who + place
    for who in ("From", "To", "Caller", "Called")
    for place in ("City", "State", "Zip", "Country")
]
BASE = {
    "CallSid", "AccountSid", "ApiVersion", "From", "To", "Caller", "Called",
    "CallStatus", "Direction", *PLACES,
}  # fmt: skip
LEG = {"ParentCallSid", "Timestamp", "CallbackSource", "SequenceNumber"}


def put_up(site: Any) -> None:
    site.answer(
        "/voice",
        '<Dial action="/dialed" timeout="20"><Number statusCallback="/leg"'
        f' statusCallbackEvent="initiated ringing answered completed">{DESK}</Number></Dial>',
    )
    site.answer(
        "/dialed",
        "<Say>Nobody is here. Leave a message after the tone.</Say>"
        '<Record action="/recorded" maxLength="120" timeout="4" transcribe="true"'
        ' transcribeCallback="/written" recordingStatusCallback="/recording"'
        ' recordingStatusCallbackEvent="in-progress completed absent"/>'
        "<Say>We heard nothing. Goodbye.</Say>",
    )
    site.answer("/recorded", "<Say>Thank you. Goodbye.</Say><Hangup/>")


def test_no_answer_then_a_message_is_recorded_and_transcribed(
    box: Any, client: Any, site: Any
) -> None:
    put_up(site)
    box.number(voice_url=site.url + "/voice", status_callback=site.url + "/ended")
    box.control(f"handsets/{DESK}", calls="no-answer")
    call = box.control("calls", from_=CALLER, to=box.sender)["sid"]

    # The desk rings in vain.
    box.run(10)
    assert box.look(f"calls/{call}")["state"] == "dialing"
    box.run(11)
    [child] = client.calls.list(parent_call_sid=call)
    assert (child.status, child.direction, child.to) == ("no-answer", "outbound-dial", DESK)
    legs = [hook.fields for hook in site.at("/leg")]
    assert [leg["CallStatus"] for leg in legs] == ["initiated", "ringing", "no-answer"]
    assert [set(leg) for leg in legs] == [
        BASE | LEG,
        BASE | LEG,
        BASE | LEG | {"CallDuration", "SipResponseCode"},
    ]
    assert {(leg["CallSid"], leg["ParentCallSid"]) for leg in legs} == {(child.sid, call)}
    assert (legs[2]["CallDuration"], legs[2]["SipResponseCode"]) == ("0", "487")
    [dialed] = site.at("/dialed")
    result = {"DialCallStatus", "DialCallSid", "DialCallDuration", "DialBridged"}
    assert set(dialed.fields) == BASE | result
    assert {name: dialed.fields[name] for name in result} == {
        "DialCallStatus": "no-answer",
        "DialCallSid": child.sid,
        "DialCallDuration": "0",
        "DialBridged": "false",
    }

    # The caller speaks after the tone and ends with a key.
    box.run(5)
    assert box.look(f"calls/{call}")["state"] == "recording"
    box.control(f"calls/{call}/say", text="Please call me back about my order", seconds=8)
    box.run(9)
    box.control(f"calls/{call}/keys", digits="#")
    box.run(0.5)
    [recording] = client.recordings.list()
    [hook] = site.at("/recorded")
    recorded = {"RecordingUrl", "RecordingSid", "RecordingDuration", "Digits"}
    assert set(hook.fields) == BASE | recorded
    sound = f"{box.base}{box.account}/Recordings/{recording.sid}"
    assert {name: hook.fields[name] for name in recorded} == {
        "RecordingUrl": sound,
        "RecordingSid": recording.sid,
        "RecordingDuration": "8",
        "Digits": "#",
    }
    box.finish()

    # The recording is reported twice, and written down.
    began, done = [hook.fields for hook in site.at("/recording")]
    known = {
        "AccountSid", "CallSid", "RecordingSid", "RecordingUrl", "RecordingStatus",
        "RecordingChannels", "RecordingStartTime", "RecordingSource", "RecordingTrack",
    }  # fmt: skip
    assert (set(began), set(done)) == (known, known | {"RecordingDuration"})
    assert (began["RecordingStatus"], done["RecordingStatus"]) == ("in-progress", "completed")
    assert (done["RecordingDuration"], done["RecordingSource"]) == ("8", "RecordVerb")
    assert (done["RecordingUrl"], done["CallSid"], done["RecordingChannels"]) == (sound, call, "1")
    assert parsedate_to_datetime(done["RecordingStartTime"]).utcoffset() is not None
    [written] = site.at("/written")
    words = {
        "TranscriptionSid", "TranscriptionText", "TranscriptionStatus", "TranscriptionUrl",
        "RecordingSid", "RecordingUrl",
    }  # fmt: skip
    assert set(written.fields) == BASE | words
    assert written.fields["TranscriptionText"] == "Please call me back about my order"
    assert written.fields["TranscriptionStatus"] == "completed"
    assert written.fields["TranscriptionUrl"].endswith(
        f"/Transcriptions/{written.fields['TranscriptionSid']}"
    )

    # REST shows the same.
    seen = client.recordings(recording.sid).fetch()
    assert (seen.status, seen.duration, seen.call_sid) == ("completed", "8", call)
    assert client.calls(call).recordings.list()[0].sid == recording.sid
    assert client.calls(call).fetch().status == "completed"
    [ended] = site.at("/ended")
    assert (ended.fields["CallSid"], ended.fields["CallStatus"]) == (call, "completed")
    heard = [(item["kind"], item["text"]) for item in box.look(f"calls/{call}")["heard"]]
    assert heard == [
        ("say", "Nobody is here. Leave a message after the tone."),
        ("beep", ""),
        ("say", "Thank you. Goodbye."),
    ]


def test_a_caller_who_hangs_up_while_speaking_has_left_a_message(
    box: Any, client: Any, site: Any
) -> None:
    put_up(site)
    box.number(voice_url=site.url + "/voice")
    box.control(f"handsets/{DESK}", calls="busy")
    call = box.control("calls", from_=CALLER, to=box.sender)["sid"]
    box.run(6)
    assert site.at("/dialed")[0].fields["DialCallStatus"] == "busy"
    box.control(f"calls/{call}/say", text="It is urgent", seconds=5)
    box.run(3)
    box.control(f"calls/{call}/hangup")
    box.finish()
    [hook] = site.at("/recorded")
    assert (hook.fields["Digits"], hook.fields["RecordingDuration"]) == ("hangup", "3")
    assert hook.fields["CallStatus"] == "completed"
    assert client.recordings.list()[0].duration == "3"


def test_silence_leaves_no_message_and_the_document_goes_on(
    box: Any, client: Any, site: Any
) -> None:
    put_up(site)
    box.number(voice_url=site.url + "/voice")
    box.control(f"handsets/{DESK}", calls="failed")
    call = box.control("calls", from_=CALLER, to=box.sender)["sid"]
    box.finish()
    assert site.at("/dialed")[0].fields["DialCallStatus"] == "failed"
    assert site.at("/recorded") == []
    statuses = [hook.fields["RecordingStatus"] for hook in site.at("/recording")]
    assert statuses == ["in-progress", "absent"]
    said = [item["text"] for item in box.look(f"calls/{call}")["heard"] if item["kind"] == "say"]
    assert said[-1] == "We heard nothing. Goodbye."


def test_the_same_story_twice_is_the_same_story(box: Any, client: Any, site: Any) -> None:
    def play() -> list[tuple[str, list[tuple[str, str]]]]:
        box.control("reset")
        site.clear()
        put_up(site)
        box.number(voice_url=site.url + "/voice", status_callback=site.url + "/ended")
        box.control(f"handsets/{DESK}", calls="busy")
        call = box.control("calls", from_=CALLER, to=box.sender, say="Call me")["sid"]
        box.finish()
        assert site.at("/recorded"), call
        return [(hook.path, hook.pairs) for hook in site.hooks]

    assert play() == play()
