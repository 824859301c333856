"""Tests of calls placed over REST: callbacks, machines, recording, changes to a live call."""

from typing import Any

import pytest

from ringback.simulator.voice.ports import (
    Callback,
    CallOptions,
    Detection,
    Handset,
    RecordingSpec,
    Script,
)
from ringback.simulator.voice.switch import ExchangeError

ANN, OURS, SITE = "+15552220001", "+15559990000", "https://app.test"
EVERY = ("initiated", "ringing", "answered", "completed")


def place(world: Any, options: Any = None, url: Any = f"{SITE}/out", to: Any = ANN) -> Any:
    return world.place(to, url=url, options=options)


def test_progress_is_reported_in_order_with_its_fields(world: Any) -> None:
    world.page("/out", "<Say>Your appointment is at nine</Say>")
    call = place(world, world.events(*EVERY))
    assert (call.status, call.direction, call.started_at) == ("queued", "outbound-api", None)
    world.run(20)
    notices = world.notified("call-status")
    assert [(f["CallStatus"], f["SequenceNumber"]) for f in notices] == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]
    for fields in notices:
        assert (fields["CallSid"], fields["To"], fields["From"]) == (call.sid, ANN, OURS)
        assert fields["CallbackSource"] == "call-progress-events"
    assert (notices[3]["CallDuration"], notices[3]["Duration"]) == ("2", "1")
    assert notices[3]["SipResponseCode"] == "200"
    [fields] = world.asked("call")
    assert (fields["CallStatus"], fields["Direction"]) == ("in-progress", "outbound-api")
    assert world.said(call) == ["Your appointment is at nine"]


def test_only_completed_when_nothing_else_is_asked_for(world: Any) -> None:
    world.page("/out", "<Hangup/>")
    place(world, CallOptions(status=Callback(f"{SITE}/progress")))
    world.run(20)
    assert [fields["SequenceNumber"] for fields in world.notified("call-status")] == ["0"]


@pytest.mark.parametrize(
    ("outcome", "status", "seen"),
    [
        ("busy", "busy", ["initiated", "ringing", "busy"]),
        ("no-answer", "no-answer", ["initiated", "ringing", "no-answer"]),
        ("failed", "failed", ["initiated", "failed"]),
    ],
)
def test_calls_that_are_not_answered(world: Any, outcome: Any, status: Any, seen: Any) -> None:
    world.handsets[ANN] = Handset(outcome)
    call = place(world, world.events(*EVERY))
    world.run(70)
    notices = world.notified("call-status")
    assert [fields["CallStatus"] for fields in notices] == seen
    assert (notices[-1]["CallDuration"], "Duration" in notices[-1]) == ("0", False)
    assert (call.status, world.asks) == (status, [])


def test_one_call_a_second_the_others_stay_queued(world: Any) -> None:
    world.page("/out", "<Hangup/>")
    calls = [place(world) for _ in range(3)]
    world.run(1.2)
    assert [call.started_at is not None for call in calls] == [True, True, False]
    world.run(10)
    assert [round(call.queue_seconds, 1) for call in calls] == [0.1, 1.1, 2.1]


def test_twiml_with_the_call_needs_no_request(world: Any) -> None:
    call = world.place(ANN, "<Say>Hello</Say>")
    world.run(10)
    assert (world.said(call), world.asks, call.status) == (["Hello"], [], "completed")


def test_cancelling_while_queued_reports_nothing(world: Any) -> None:
    call = place(world, world.events(*EVERY))
    world.exchange.update(call.sid, status="canceled")
    world.run(10)
    assert (call.status, world.notices, world.asks) == ("canceled", [], [])


def test_cancelling_while_it_rings_is_reported(world: Any) -> None:
    call = place(world, world.events(*EVERY))
    world.run(2)
    world.exchange.update(call.sid, status="canceled")
    world.run(10)
    assert call.status == "canceled"
    assert world.notified("call-status")[-1]["CallStatus"] == "canceled"


def test_completing_a_call_that_rings_cancels_it(world: Any) -> None:
    call = place(world)
    world.run(2)
    world.exchange.update(call.sid, status="completed")
    assert call.status == "canceled"


def test_changes_that_come_at_the_wrong_time(world: Any) -> None:
    world.page("/out", "<Pause length='30'/>")
    call = place(world)
    script = Script(f"{SITE}/new")
    for seconds in (0, 2):
        world.run(seconds)
        with pytest.raises(ExchangeError) as early:
            world.exchange.update(call.sid, script=script)
        assert early.value.code == 21220
    world.run(5)
    with pytest.raises(ExchangeError) as late:
        world.exchange.update(call.sid, status="canceled")
    assert late.value.code == 21220
    with pytest.raises(ExchangeError) as live:
        world.exchange.delete_call(call.sid)
    assert live.value.code == 20009
    world.exchange.update(call.sid, status="completed")
    with pytest.raises(ExchangeError) as over:
        world.exchange.update(call.sid, status="completed")
    assert over.value.code == 21220
    with pytest.raises(ExchangeError) as silent:
        world.exchange.press(call.sid, "1")
    assert (silent.value.code, silent.value.http_status) == (21220, 409)
    world.exchange.delete_call(call.sid)
    with pytest.raises(ExchangeError) as ended:
        world.exchange.update(call.sid, status="completed")
    assert (ended.value.code, ended.value.http_status) == (20404, 404)


def test_new_callbacks_and_fallback_for_a_live_call(world: Any) -> None:
    world.page("/out", "<Pause length='5'/><Redirect>/missing</Redirect>")
    world.page("/help", "<Say>helped</Say>")
    call = place(world)
    world.run(4)
    world.exchange.update(
        call.sid,
        status_callback=Callback(f"{SITE}/later"),
        fallback=Script(fallback_url=f"{SITE}/help"),
    )
    world.run(1)
    world.exchange.update(call.sid, script=Script(f"{SITE}/missing"))
    world.run(10)
    assert world.said(call) == ["helped"]
    assert [notify.url for notify in world.notices] == [f"{SITE}/later"]


def test_control_requests_at_the_wrong_moment(world: Any) -> None:
    call = world.ring("<Pause length='60'/>")
    with pytest.raises(ExchangeError):
        world.exchange.pick_up(call.sid)
    with pytest.raises(ExchangeError):
        world.exchange.decline(call.sid)
    with pytest.raises(ExchangeError):
        world.exchange.press(call.sid, "x")
    ringing = place(world)
    world.run(2)
    with pytest.raises(ExchangeError):
        world.exchange.decline(ringing.sid, "canceled")
    with pytest.raises(ExchangeError):
        world.exchange.ring_in(ANN, "+15550009999")


def test_a_number_without_a_url_says_so(world: Any) -> None:
    world.numbers[OURS] = type(world.numbers[OURS])("PN" + "1" * 32, Script())
    call = world.ring()
    world.run(10)
    assert world.said(call) == ["The number you have dialed is not set up to take calls."]
    assert (world.asks, call.status) == ([], "completed")


# --- machines ---


def amd(mode: Any, **more: Any) -> Any:
    return CallOptions(detection=Detection(mode, **more))


@pytest.mark.parametrize(
    ("outcome", "mode", "result", "seconds"),
    [
        ("answer", "Enable", "human", 2),
        ("machine", "Enable", "machine_start", 4),
        ("fax", "Enable", "fax", 3),
        ("answer", "DetectMessageEnd", "human", 2),
        ("machine", "DetectMessageEnd", "machine_end_beep", 8),
    ],
)
def test_detection_delays_the_document_and_comes_with_it(
    world: Any, outcome: Any, mode: Any, result: Any, seconds: Any
) -> None:
    world.page("/out", "<Hangup/>")
    world.handsets[ANN] = Handset(outcome)
    call = place(world, amd(mode))
    world.run(3.6 + seconds - 0.1)
    assert world.asks == []
    world.run(0.2)
    assert world.asked("call")[0]["AnsweredBy"] == result
    assert (call.answered_by, world.notified("amd")) == (result, [])


def test_detection_that_takes_too_long_is_unknown(world: Any) -> None:
    world.page("/out", "<Hangup/>")
    world.handsets[ANN] = Handset("machine")
    call = place(world, amd("DetectMessageEnd", timeout=5.0))
    world.run(20)
    assert call.answered_by == "unknown"


def test_asynchronous_detection_reports_to_its_own_callback(world: Any) -> None:
    world.page("/out", "<Pause length='30'/>")
    world.handsets[ANN] = Handset("machine")
    call = place(world, amd("Enable", waits=False, callback=f"{SITE}/amd", callback_method="GET"))
    world.run(4)
    assert "AnsweredBy" not in world.asked("call")[0]
    world.run(5)
    [fields] = world.notified("amd")
    assert fields == {
        "CallSid": call.sid,
        "AccountSid": "AC" + "0" * 32,
        "AnsweredBy": "machine_start",
        "MachineDetectionDuration": "4000",
    }


def test_later_callbacks_carry_who_answered(world: Any) -> None:
    world.page("/out", "<Hangup/>")
    options = CallOptions(status=Callback(f"{SITE}/progress"), detection=Detection("Enable"))
    place(world, options)
    world.run(20)
    assert world.notified("call-status")[0]["AnsweredBy"] == "human"


def test_send_digits_switches_detection_off(world: Any) -> None:
    world.page("/out", "<Hangup/>")
    call = place(world, CallOptions(detection=Detection("Enable"), send_digits="1w2"))
    world.run(5)
    assert "AnsweredBy" not in world.asked("call")[0]
    assert ("tones", "1w2") in world.heard(call)


def test_hanging_up_while_detection_runs(world: Any) -> None:
    world.page("/out", "<Hangup/>")
    call = place(world, amd("Enable"))
    world.run(4)
    world.exchange.hang_up(call.sid)
    world.run(20)
    assert (call.status, world.asks, call.answered_by) == ("completed", [], "")


# --- recording ---


def test_a_recorded_call_reports_when_it_is_over(world: Any) -> None:
    world.page("/out", "<Pause length='10'/>")
    spec = RecordingSpec(
        "OutboundAPI", 2, callback=Callback(f"{SITE}/rec", "POST", frozenset({"completed"}))
    )
    options = CallOptions(status=Callback(f"{SITE}/progress"), record=spec)
    place(world, options)
    world.run(30)
    [recording] = world.exchange.recordings.values()
    assert (recording.source, recording.channels, recording.duration) == ("OutboundAPI", 2, 10)
    [done] = world.notified("call-status")
    assert (done["RecordingSid"], done["RecordingDuration"]) == (recording.sid, "10")
    assert world.notified("recording-status")[0]["RecordingChannels"] == "2"


def test_recordings_of_a_live_call_start_pause_and_stop(world: Any) -> None:
    call = world.ring("<Say>Hello</Say><Pause length='60'/>")
    exchange = world.exchange
    recording = exchange.start_recording(call.sid, RecordingSpec())
    world.run(10)
    exchange.update_recording(recording.sid, "paused", "skip")
    assert recording.status == "paused"
    world.run(5)
    exchange.update_recording(recording.sid, "in-progress", "skip")
    world.run(10)
    with pytest.raises(ExchangeError):
        exchange.update_recording(recording.sid, "rewind")
    exchange.update_recording(recording.sid, "stopped")
    world.run(2)
    assert (recording.status, recording.duration) == ("completed", 20)
    with pytest.raises(ExchangeError) as over:
        exchange.update_recording(recording.sid, "paused")
    assert over.value.code == 21220
    exchange.delete_recording(recording.sid)
    with pytest.raises(ExchangeError):
        exchange.update_recording(recording.sid, "stopped")


def test_a_recording_that_ends_while_it_is_paused(world: Any) -> None:
    call = world.ring("<Say>Hello</Say><Pause length='60'/>")
    recording = world.exchange.start_recording(call.sid, RecordingSpec())
    world.run(10)
    world.exchange.update_recording(recording.sid, "paused")
    world.run(5)
    world.exchange.hang_up(call.sid)
    world.run(3)
    assert (recording.status, recording.duration) == ("completed", 10)
    with pytest.raises(ExchangeError):
        world.exchange.delete_recording("RE" + "0" * 32)


def test_only_answered_calls_are_recorded(world: Any) -> None:
    call = place(world)
    with pytest.raises(ExchangeError) as early:
        world.exchange.start_recording(call.sid, RecordingSpec())
    assert early.value.code == 21220
