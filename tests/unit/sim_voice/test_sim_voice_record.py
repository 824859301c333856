"""Tests of Record: silence, length, callbacks and transcription."""

from typing import Any

SITE = "https://app.test"
SOUND = f"https://api.test/2010-04-01/Accounts/AC{'0' * 32}/Recordings/"
AFTER = "<Say>no message</Say>"


def test_sound_and_a_key_go_to_the_action(world: Any) -> None:
    world.page("/done", "<Say>saved</Say>")
    call = world.ring(f"<Record action='/done'/>{AFTER}")
    world.run(0.5)
    assert (world.heard(call), world.state(call)) == ([("beep", "")], "recording")
    world.exchange.speak(call.sid, "please call me", seconds=7.2)
    world.run(9)
    world.exchange.press(call.sid, "#")
    world.run(2)
    [fields] = world.asked("record")
    [recording] = world.exchange.recordings.values()
    wanted = {
        "RecordingSid": recording.sid,
        "RecordingUrl": SOUND + recording.sid,
        "RecordingDuration": "8",
        "Digits": "#",
        "CallStatus": "in-progress",
    }
    assert {name: fields[name] for name in wanted} == wanted
    assert world.said(call) == ["saved"]
    assert (recording.status, recording.source) == ("completed", "RecordVerb")


def test_silence_ends_it_and_is_trimmed(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring("<Record action='/done' timeout='4' playBeep='false'/>")
    world.run(2)
    world.exchange.speak(call.sid, "hello", seconds=3)
    world.run(6.9)
    assert world.asked("record") == []
    world.run(0.2)
    [fields] = world.asked("record")
    assert (fields["RecordingDuration"], fields["Digits"]) == ("3", "")
    assert world.heard(call) == []


def test_untrimmed_recordings_keep_the_silence(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring("<Record action='/done' timeout='4' playBeep='false' trim='do-not-trim'/>")
    world.run(2)
    world.exchange.speak(call.sid, "hello", seconds=3)
    world.run(8)
    assert world.asked("record")[0]["RecordingDuration"] == "9"


def test_nothing_recorded_falls_through_and_the_recording_is_absent(world: Any) -> None:
    call = world.ring(
        f"<Record action='/done' recordingStatusCallback='/rec'"
        f" recordingStatusCallbackEvent='in-progress completed absent'/>{AFTER}"
    )
    world.run(7)
    assert (world.asked("record"), world.said(call)) == ([], ["no message"])
    assert [fields["RecordingStatus"] for fields in world.notified("recording-status")] == [
        "in-progress",
        "absent",
    ]
    assert world.notified("recording-status")[1]["ErrorCode"] == "16102"
    assert world.codes() == [16102]


def test_the_longest_recording(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring("<Record action='/done' maxLength='10' playBeep='false'/>")
    world.exchange.speak(call.sid, "on and on", seconds=60)
    world.run(10)
    assert world.asked("record")[0]["RecordingDuration"] == "10"
    assert world.exchange.recordings.popitem()[1].duration == 10


def test_other_keys_do_not_end_it(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring("<Record action='/done' finishOnKey='9'/>")
    world.run(0.5)
    world.exchange.speak(call.sid, "hi", seconds=2)
    world.exchange.press(call.sid, "123#")
    assert world.asked("record") == []
    world.exchange.press(call.sid, "9")
    world.run()
    assert world.asked("record")[0]["Digits"] == "9"


def test_hanging_up_still_asks_with_what_was_recorded(world: Any) -> None:
    world.page("/done", "<Say>never heard</Say>")
    call = world.ring("<Record action='/done'/>")
    world.run(0.5)
    world.exchange.speak(call.sid, "bye", seconds=4)
    world.run(5)
    world.exchange.hang_up(call.sid)
    world.run(5)
    [fields] = world.asked("record")
    assert (fields["Digits"], fields["RecordingDuration"]) == ("hangup", "4")
    assert (fields["CallStatus"], call.status) == ("completed", "completed")
    assert world.said(call) == []


def test_a_failing_action_after_hang_up_is_reported(world: Any) -> None:
    call = world.ring("<Record action='/missing'/>")
    world.run(0.5)
    world.exchange.speak(call.sid, "bye", seconds=4)
    world.run(5)
    world.exchange.hang_up(call.sid)
    world.run(5)
    assert [(trouble.code, trouble.level) for trouble in world.troubles] == [(11200, "error")]
    assert world.troubles[0].ask.url == f"{SITE}/missing"


def test_hanging_up_in_silence_asks_for_nothing(world: Any) -> None:
    call = world.ring("<Record action='/done'/>")
    world.run(3)
    world.exchange.hang_up(call.sid)
    world.run(5)
    assert world.asked("record") == []


def test_without_action_the_same_document_is_asked(world: Any) -> None:
    def page(ask: Any) -> Any:
        fields = dict(ask.fields)
        return "<Say>ok</Say>" if "RecordingUrl" in fields else "<Record/>"

    call = world.ring(page, say="a message")
    world.run(20)
    assert world.paths() == ["/voice", "/voice"]
    assert world.said(call) == ["ok"]


def test_the_completed_callback_comes_when_the_sound_is_ready(world: Any) -> None:
    world.page("/done", "<Pause length='9'/>")
    call = world.ring(
        "<Record action='/done' playBeep='false' recordingStatusCallback='/rec'"
        " recordingStatusCallbackMethod='GET'/>"
    )
    world.exchange.speak(call.sid, "hi", seconds=3)
    world.run(8)
    [recording] = world.exchange.recordings.values()
    assert (recording.status, world.notified("recording-status")) == ("processing", [])
    world.run(1)
    [notify] = [notify for notify in world.notices if notify.kind == "recording-status"]
    fields = dict(notify.fields)
    wanted = {
        "AccountSid": "AC" + "0" * 32,
        "CallSid": call.sid,
        "RecordingSid": recording.sid,
        "RecordingStatus": "completed",
        "RecordingDuration": "3",
        "RecordingChannels": "1",
        "RecordingSource": "RecordVerb",
        "RecordingTrack": "inbound",
        "RecordingStartTime": "Sat, 14 Mar 2026 15:09:26 +0000",
        "RecordingUrl": SOUND + recording.sid,
    }
    assert fields == wanted
    assert (notify.method, notify.url) == ("GET", f"{SITE}/rec")


def test_transcription_follows_with_the_words(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring(
        "<Record action='/done' transcribe='true' transcribeCallback='/words' playBeep='false'/>"
    )
    world.exchange.speak(call.sid, "call me", seconds=4)
    world.run(1)
    world.exchange.speak(call.sid, "back", seconds=4)
    world.run(30)
    [fields] = world.notified("transcription")
    [written] = world.exchange.transcriptions.values()
    assert fields["TranscriptionText"] == "call me back"
    assert fields["TranscriptionStatus"] == "completed"
    assert fields["TranscriptionSid"] == written.sid
    assert fields["RecordingSid"] == written.recording_sid
    assert fields["TranscriptionUrl"].endswith(f"/Transcriptions/{written.sid}")
    assert fields["CallSid"] == call.sid
    assert fields["From"] == "+15550001111"


def test_a_recording_too_short_to_transcribe_is_reported(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring("<Record action='/done' transcribe='true' transcribeCallback='/w'/>")
    world.run(0.5)
    world.exchange.speak(call.sid, "hi", seconds=1.5)
    world.run(30)
    assert world.codes() == [13617]
    assert world.notified("transcription")[0]["TranscriptionStatus"] == "failed"


def test_the_length_that_can_be_transcribed(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    for seconds in (2.0, 3.0, 119.0, 120.0):
        call = world.ring(
            "<Record action='/done' playBeep='false' transcribe='true' transcribeCallback='/w'/>"
        )
        world.exchange.speak(call.sid, "words", seconds=seconds)
        world.run(140)
    statuses = [fields["TranscriptionStatus"] for fields in world.notified("transcription")]
    assert statuses == ["failed", "completed", "completed", "failed"]


def test_callbacks_that_are_no_addresses_break_the_document(world: Any) -> None:
    world.page("/fallback", "<Hangup/>")
    world.ring("<Record transcribeCallback='mailto:me'/>")
    world.ring("<Record recordingStatusCallback='mailto:me'/>")
    world.ring("<Dial><Queue url='mailto:me'>line</Queue></Dial>")
    world.run(5)
    assert world.codes() == [13257, 13256, 14211]


def test_without_transcribe_nobody_writes(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    world.ring("<Record action='/done' transcribeCallback='/w'/>", say="a long message for you")
    world.run(30)
    assert (world.notified("transcription"), len(world.asked("record"))) == ([], 1)


def test_a_key_that_was_prepared_ends_it(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    world.ring("<Record action='/done' playBeep='false'/>", say="Hello", keys="ww#")
    world.run(10)
    assert world.asked("record")[0]["Digits"] == "#"


def test_a_recording_without_address_for_its_action(world: Any) -> None:
    call = world.ring("<Pause length='99'/>")
    script = type(world.numbers["+15559990000"].script)(twiml="<Response><Record/></Response>")
    world.exchange.update(call.sid, script=script)
    world.run(1)
    world.exchange.speak(call.sid, "hello", seconds=3)
    world.run(5)
    world.exchange.hang_up(call.sid)
    world.run(5)
    assert (world.codes(), world.asked("record")) == ([15004], [])


def test_rest_interrupts_a_recording(world: Any) -> None:
    world.page("/new", "<Say>new</Say>")
    call = world.ring("<Record action='/done'/>")
    world.run(1)
    world.exchange.speak(call.sid, "hi", seconds=2)
    world.run(3)
    script = type(world.numbers["+15559990000"].script)(f"{SITE}/new")
    world.exchange.update(call.sid, script=script)
    world.run(3)
    assert (world.asked("record"), world.said(call)) == ([], ["new"])
    assert world.exchange.recordings.popitem()[1].duration == 2
