"""Tests of Dial: who is rung, who gets through, the action's fields, the ends of both legs."""

from typing import Any

import pytest

from ringback.simulator.voice.ports import Handset, Script

CALLER, OURS, SITE = "+15550001111", "+15559990000", "https://app.test"
ANN, BOB, CID = "+15552220001", "+15552220002", "+15552220003"
AFTER = "<Say>after</Say>"
EVENTS = "statusCallback='/leg' statusCallbackEvent='initiated ringing answered completed'"


def test_a_dialled_phone_rings_answers_and_is_bridged(world: Any) -> None:
    world.page("/done", "<Say>goodbye</Say>")
    call = world.ring(f"<Dial action='/done'><Number {EVENTS}>{ANN}</Number></Dial>{AFTER}")
    [child] = world.children(call)
    assert (child.direction, child.from_, child.to) == ("outbound-dial", CALLER, ANN)
    world.run(1)
    assert (child.status, world.state(call)) == ("ringing", "dialing")
    world.run(3)
    assert (child.status, world.state(call), world.state(child)) == (
        "in-progress",
        "bridged",
        "bridged",
    )
    assert world.exchange.view(call.sid)["with"] == child.sid
    world.run(57.5)
    world.exchange.hang_up(child.sid)
    world.run(3)
    [fields] = world.asked("dial")
    wanted = {
        "DialCallStatus": "completed",
        "DialCallSid": child.sid,
        "DialCallDuration": "58",
        "DialBridged": "true",
        "CallSid": call.sid,
        "CallStatus": "in-progress",
    }
    assert {name: fields[name] for name in wanted} == wanted
    assert "RecordingUrl" not in fields
    assert (world.said(call), child.duration) == (["goodbye"], 58)
    legs = [f for f in world.notified("call-status") if f["CallSid"] == child.sid]
    assert [(f["CallStatus"], f["SequenceNumber"]) for f in legs] == [
        ("initiated", "0"),
        ("ringing", "1"),
        ("in-progress", "2"),
        ("completed", "3"),
    ]
    assert {f["ParentCallSid"] for f in legs} == {call.sid}
    assert (legs[3]["CallDuration"], legs[3]["Duration"]) == ("58", "1")
    assert "CallDuration" not in legs[2]


def test_without_action_the_next_verb_runs_after_the_talk(world: Any) -> None:
    call = world.ring(f"<Dial>{ANN}</Dial>{AFTER}")
    world.run(10)
    world.exchange.hang_up(world.children(call)[0].sid)
    world.run(5)
    assert (world.said(call), world.asked("dial")) == (["after"], [])


def test_a_number_as_text_may_be_written_as_people_write_it(world: Any) -> None:
    call = world.ring("<Dial>+1 (555) 222-0001</Dial>")
    assert world.children(call)[0].to == ANN


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [("busy", "busy", 486), ("failed", "failed", 404), ("no-answer", "no-answer", 487)],
)
def test_a_phone_that_does_not_answer(world: Any, outcome: Any, status: Any, code: Any) -> None:
    world.handsets[ANN] = Handset(outcome)
    world.page("/done", "<Say>later</Say>")
    call = world.ring(f"<Dial action='/done' timeout='10'>{ANN}</Dial>{AFTER}")
    world.run(15)
    [fields] = world.asked("dial")
    [child] = world.children(call)
    assert (fields["DialCallStatus"], fields["DialBridged"]) == (status, "false")
    assert (fields["DialCallDuration"], fields["DialCallSid"]) == ("0", child.sid)
    assert (child.status, child.sip_code, world.said(call)) == (status, code, ["later"])


def test_the_ring_time_is_the_timeout(world: Any) -> None:
    world.handsets[ANN] = Handset("manual")
    call = world.ring(f"<Dial timeout='12'>{ANN}</Dial>")
    world.run(12.4)
    assert world.children(call)[0].status == "ringing"
    world.run(0.2)
    assert world.children(call)[0].status == "no-answer"


def test_people_pick_up_or_decline(world: Any) -> None:
    world.handsets[ANN] = world.handsets[BOB] = Handset("manual")
    call = world.ring(f"<Dial>{ANN}</Dial><Dial>{BOB}</Dial>{AFTER}")
    world.run(2)
    world.exchange.decline(world.children(call)[0].sid)
    world.run(2)
    world.exchange.pick_up(world.children(call)[1].sid)
    world.run()
    first, second = world.children(call)
    assert (first.status, second.status, world.state(call)) == ("busy", "in-progress", "bridged")


def test_the_first_to_answer_wins_and_the_others_are_cancelled(world: Any) -> None:
    world.handsets[ANN] = Handset(ring_seconds=9)
    world.handsets[BOB] = Handset(ring_seconds=4)
    world.handsets[CID] = Handset("busy")
    numbers = "".join(f"<Number {EVENTS}>{number}</Number>" for number in (ANN, BOB, CID))
    call = world.ring(f"<Dial>{numbers}</Dial>")
    world.run(20)
    assert [child.status for child in world.children(call)] == ["canceled", "in-progress", "busy"]
    ends = [f["CallStatus"] for f in world.notified("call-status") if "CallDuration" in f]
    assert ends == ["busy", "canceled"]


def test_when_all_fail_the_action_hears_of_it_once(world: Any) -> None:
    world.handsets = {ANN: Handset("no-answer"), BOB: Handset("busy"), CID: Handset("failed")}
    world.page("/done", "<Hangup/>")
    numbers = "".join(f"<Number>{number}</Number>" for number in (ANN, BOB, CID))
    world.ring(f"<Dial action='/done' timeout='8'>{numbers}</Dial>")
    world.run(20)
    assert [f["DialCallStatus"] for f in world.asked("dial")] == ["busy"]


def test_sequential_tries_one_after_the_other(world: Any) -> None:
    world.handsets = {ANN: Handset("busy"), BOB: Handset("no-answer")}
    numbers = "".join(f"<Number>{number}</Number>" for number in (ANN, BOB, CID))
    call = world.ring(f"<Dial sequential='true' timeout='5'>{numbers}</Dial>")
    assert len(world.children(call)) == 1
    world.run(3)
    assert [child.status for child in world.children(call)] == ["busy", "ringing"]
    world.run(10)
    assert [child.status for child in world.children(call)] == ["busy", "no-answer", "in-progress"]


def test_at_most_ten_phones_ring(world: Any) -> None:
    numbers = "".join(f"<Number>+155544400{n:02}</Number>" for n in range(12))
    call = world.ring(f"<Dial>{numbers}</Dial>")
    assert (len(world.children(call)), world.codes()) == (10, [12200])


def test_what_cannot_be_dialled_is_reported_and_failed(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    world.ring("<Dial action='/done'>call me maybe</Dial>")
    assert world.codes() == [13223]
    assert world.asked("dial")[0]["DialCallStatus"] == "failed"
    assert "DialCallSid" not in world.asked("dial")[0]
    world.ring("<Dial><Sip>no-host</Sip></Dial>")
    assert world.codes()[-1] == 13243


def test_an_empty_dial_falls_through(world: Any) -> None:
    call = world.ring(f"<Dial/>{AFTER}")
    world.run(2)
    assert world.said(call) == ["after"]


def test_special_channels_have_addresses_too(world: Any) -> None:
    call = world.ring(
        "<Dial><Application><ApplicationSid>APx</ApplicationSid></Application><Sim>DE1</Sim>"
        "<WhatsApp>+15552220001</WhatsApp><Application/><Sim/><Client/></Dial>"
    )
    to = [child.to for child in world.children(call)]
    assert to == ["app:APx", "sim:DE1", "whatsapp:+15552220001"]
    assert world.codes() == [13223, 13223, 13223]


def test_clients_and_sip_have_their_own_addresses(world: Any) -> None:
    call = world.ring(
        "<Dial><Client>ann</Client><Client><Identity>bob</Identity>"
        "<Parameter name='unit' value='7'/></Client><Sip>sip:x@pbx.test</Sip></Dial>"
    )
    children = world.children(call)
    assert [child.to for child in children] == ["client:ann", "client:bob", "sip:x@pbx.test"]
    assert children[1].extra == (("unit", "7"),)


def test_caller_id_must_be_ours_or_the_callers(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    shown = world.ring(f"<Dial callerId='{OURS}'>{ANN}</Dial>")
    assert world.children(shown)[0].from_ == OURS
    refused = world.ring(f"<Dial callerId='+15558887777' action='/done'>{ANN}</Dial>")
    assert (world.codes(), world.children(refused)) == ([13214], [])
    assert world.asked("dial")[0]["DialCallStatus"] == "failed"


def test_answer_on_bridge_lets_the_caller_ring_on(world: Any) -> None:
    call = world.ring(f"<Dial answerOnBridge='true'>{ANN}</Dial>")
    world.run(3)
    assert call.status == "ringing"
    world.run(1)
    assert (call.status, call.answered_at - call.created_at) == ("in-progress", 3.5)


def test_without_it_the_caller_is_answered_at_once(world: Any) -> None:
    call = world.ring(f"<Dial>{ANN}</Dial>")
    assert call.status == "in-progress"


def test_the_caller_who_gives_up_cancels_the_ringing(world: Any) -> None:
    world.page("/done", "<Say>never heard</Say>")
    call = world.ring(f"<Dial action='/done'>{ANN}</Dial>")
    world.run(2)
    world.exchange.hang_up(call.sid)
    world.run(5)
    [fields] = world.asked("dial")
    assert (fields["DialCallStatus"], fields["CallStatus"]) == ("canceled", "completed")
    assert world.children(call)[0].status == "canceled"
    assert world.said(call) == []


def test_the_caller_who_hangs_up_ends_the_talk(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring(f"<Dial action='/done'>{ANN}</Dial>")
    world.run(13.5)
    world.exchange.hang_up(call.sid)
    world.run(5)
    [fields] = world.asked("dial")
    assert (fields["DialCallStatus"], fields["DialCallDuration"]) == ("completed", "10")
    assert fields["DialBridged"] == "true"
    assert [child.status for child in world.children(call)] == ["completed"]


def test_a_star_ends_the_dialled_leg_if_allowed(world: Any) -> None:
    call = world.ring(f"<Dial hangupOnStar='true'>{ANN}</Dial>{AFTER}")
    world.run(5)
    world.exchange.press(world.children(call)[0].sid, "*")
    assert world.state(call) == "bridged"
    world.exchange.press(call.sid, "1*")
    world.run(2)
    assert (world.children(call)[0].status, world.said(call)) == ("completed", ["after"])
    deaf = world.ring(f"<Dial>{ANN}</Dial>")
    world.run(5)
    world.exchange.press(deaf.sid, "*")
    assert world.state(deaf) == "bridged"


def test_the_time_limit_ends_the_talk(world: Any) -> None:
    call = world.ring(f"<Dial timeLimit='30'>{ANN}</Dial>{AFTER}")
    world.run(40)
    assert (world.children(call)[0].duration, world.said(call)) == (30, ["after"])


def test_a_phone_that_hangs_up_by_itself(world: Any) -> None:
    world.handsets[ANN] = Handset(talk_seconds=20)
    call = world.ring(f"<Dial>{ANN}</Dial>{AFTER}")
    world.run(30)
    assert (world.children(call)[0].duration, world.said(call)) == (20, ["after"])


def test_a_status_callback_by_get(world: Any) -> None:
    noun = f"<Number statusCallback='/leg' statusCallbackMethod='get'>{ANN}</Number>"
    call = world.ring(f"<Dial>{noun}</Dial>")
    world.run(5)
    world.exchange.hang_up(call.sid)
    notify = next(notify for notify in world.notices if notify.url == f"{SITE}/leg")
    assert (notify.method, dict(notify.fields)["CallStatus"]) == ("GET", "completed")


# --- whispers ---


def test_the_whisper_runs_on_the_callees_leg_before_the_bridge(world: Any) -> None:
    world.page("/whisper", "<Say>A caller from the web</Say>")
    call = world.ring(f"<Dial><Number url='/whisper' method='GET'>{ANN}</Number></Dial>")
    world.run(4)
    [child] = world.children(call)
    [fields] = world.asked("whisper")
    assert (fields["CallSid"], fields["ParentCallSid"]) == (child.sid, call.sid)
    assert (fields["From"], fields["To"], fields["Direction"]) == (CALLER, ANN, "outbound-dial")
    assert fields["CallStatus"] == "in-progress"
    assert world.asks[-1].method == "GET"
    assert (world.state(call), world.said(child)) == ("dialing", ["A caller from the web"])
    world.run(2)
    assert (world.state(call), world.said(call)) == ("bridged", [])


def test_a_screening_callee_may_refuse(world: Any) -> None:
    world.page("/whisper", "<Gather numDigits='1' action='/screen'><Say>1 to take</Say></Gather>")
    world.page("/screen", lambda ask: "" if dict(ask.fields)["Digits"] == "1" else "<Hangup/>")
    world.page("/done", "<Say>voicemail</Say>")
    dial = f"<Dial action='/done'><Number url='/whisper'>{ANN}</Number></Dial>"
    world.handsets[ANN] = Handset(keys="2")
    refused = world.ring(dial)
    world.run(10)
    [fields] = world.asked("dial")
    assert (fields["DialCallStatus"], fields["DialBridged"]) == ("no-answer", "false")
    assert (world.said(refused), world.children(refused)[0].status) == (["voicemail"], "completed")
    world.handsets[ANN] = Handset(keys="1")
    taken = world.ring(dial)
    world.run(10)
    assert world.state(taken) == "bridged"


def test_a_callee_who_hangs_up_in_the_whisper_is_not_bridged(world: Any) -> None:
    world.page("/whisper", "<Pause length='20'/>")
    call = world.ring(f"<Dial><Number url='/whisper'>{ANN}</Number></Dial>{AFTER}")
    world.run(6)
    world.exchange.hang_up(world.children(call)[0].sid)
    world.run(2)
    assert world.said(call) == ["after"]


def test_a_caller_who_hangs_up_in_the_whisper_ends_the_callee(world: Any) -> None:
    world.page("/whisper", "<Pause length='20'/>")
    call = world.ring(f"<Dial><Number url='/whisper'>{ANN}</Number></Dial>")
    world.run(6)
    world.exchange.hang_up(call.sid)
    world.run()
    assert world.children(call)[0].status == "completed"


def test_dial_inside_a_whisper_is_refused(world: Any) -> None:
    world.page("/whisper", f"<Dial>{BOB}</Dial><Record/><Say>ok</Say>")
    call = world.ring(f"<Dial><Number url='/whisper'>{ANN}</Number></Dial>")
    world.run(10)
    assert world.codes() == [13201, 13238]
    assert world.state(call) == "bridged"


def test_a_whisper_that_cannot_be_had_drops_the_callee(world: Any) -> None:
    call = world.ring(f"<Dial><Number url='/missing'>{ANN}</Number></Dial>{AFTER}")
    world.run(10)
    assert (world.codes(), world.said(call)) == ([11200], ["after"])


# --- recording, digits, machines ---


def test_a_recorded_dial_reports_to_its_action(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring(
        f"<Dial action='/done' record='record-from-answer-dual' recordingStatusCallback='/rec'>"
        f"{ANN}</Dial>"
    )
    world.run(13.5)
    world.exchange.hang_up(world.children(call)[0].sid)
    world.run(5)
    [fields] = world.asked("dial")
    [recording] = world.exchange.recordings.values()
    assert (fields["RecordingSid"], fields["RecordingDuration"]) == (recording.sid, "10")
    assert (recording.source, recording.channels, recording.call_sid) == ("DialVerb", 2, call.sid)
    [notices] = world.notified("recording-status")
    assert (notices["RecordingStatus"], notices["RecordingDuration"]) == ("completed", "10")


def test_recording_from_the_ringing_is_longer(world: Any) -> None:
    world.handsets[ANN] = Handset(talk_seconds=10)
    world.ring(f"<Dial record='record-from-ringing'>{ANN}</Dial>")
    world.run(30)
    [recording] = world.exchange.recordings.values()
    assert recording.duration == 14


def test_digits_are_sent_after_the_answer(world: Any) -> None:
    call = world.ring(f"<Dial><Number sendDigits='ww12'>{ANN}</Number></Dial>")
    world.run(5)
    assert world.heard(world.children(call)[0]) == [("tones", "ww12")]


def test_without_callback_detection_delays_the_whisper_and_comes_with_it(world: Any) -> None:
    world.page("/whisper", "<Say>A caller</Say>")
    world.handsets[ANN] = Handset("machine")
    noun = f"<Number url='/whisper' machineDetection='Enable'>{ANN}</Number>"
    call = world.ring(f"<Dial>{noun}</Dial>")
    world.run(7.4)
    assert (world.asked("whisper"), world.state(call)) == ([], "dialing")
    world.run(2)
    assert world.asked("whisper")[0]["AnsweredBy"] == "machine_start"
    assert (world.state(call), world.notified("amd")) == ("bridged", [])


def test_a_machine_is_noticed_on_a_noun(world: Any) -> None:
    world.handsets[ANN] = Handset("machine")
    call = world.ring(
        f"<Dial><Number machineDetection='Enable' amdStatusCallback='/amd'>{ANN}</Number></Dial>"
    )
    world.run(4)
    assert world.state(call) == "bridged"
    world.run(6)
    [child] = world.children(call)
    [fields] = world.notified("amd")
    assert (fields["AnsweredBy"], fields["CallSid"]) == ("machine_start", child.sid)


# --- REST ---


def test_rest_takes_the_caller_out_of_a_dial(world: Any) -> None:
    world.page("/new", "<Say>new</Say>")
    call = world.ring(f"<Dial action='/done'>{ANN}</Dial>")
    world.run(10)
    world.exchange.update(call.sid, script=Script(f"{SITE}/new"))
    world.run(3)
    assert (world.said(call), world.asked("dial")) == (["new"], [])
    assert world.children(call)[0].status == "completed"


def test_a_bad_action_is_reported_when_the_caller_has_hung_up(world: Any) -> None:
    call = world.ring(f"<Dial action='ftp://x/y'>{ANN}</Dial>")
    world.run(10)
    world.exchange.hang_up(call.sid)
    world.run(2)
    assert (world.codes(), world.asked("dial"), call.status) == ([11100], [], "completed")


def test_rest_gives_the_dialled_party_a_document_of_its_own(world: Any) -> None:
    world.page("/new", "<Say>just you</Say><Pause length='60'/>")
    world.page("/done", "<Say>they left</Say><Pause length='60'/>")
    call = world.ring(f"<Dial action='/done'>{ANN}</Dial>")
    world.run(10)
    [child] = world.children(call)
    world.exchange.update(child.sid, script=Script(f"{SITE}/new"))
    world.run(3)
    assert world.asked("dial")[0]["DialCallStatus"] == "completed"
    assert (world.said(call), world.said(child)) == (["they left"], ["just you"])
    assert (call.status, child.status) == ("in-progress", "in-progress")
    world.run(100)
    assert (call.status, child.status) == ("completed", "completed")


def test_rest_takes_a_callee_away_in_the_middle_of_the_whisper(world: Any) -> None:
    world.page("/whisper", "<Pause length='60'/>")
    world.page("/new", "<Say>elsewhere</Say><Pause length='9'/>")
    call = world.ring(f"<Dial><Number url='/whisper'>{ANN}</Number></Dial>{AFTER}")
    world.run(6)
    [child] = world.children(call)
    world.exchange.update(child.sid, script=Script(f"{SITE}/new"))
    world.run(3)
    assert (world.said(call), world.said(child)) == (["after"], ["elsewhere"])
    assert child.status == "in-progress"


def test_what_is_said_in_a_talk_is_heard_and_recorded(world: Any) -> None:
    call = world.ring(f"<Dial record='record-from-answer'>{ANN}</Dial>")
    world.run(5)
    [child] = world.children(call)
    world.exchange.speak(call.sid, "Hello?")
    world.exchange.speak(child.sid, "Yes?")
    assert (world.heard(child), world.heard(call)) == ([("text", "Hello?")], [("text", "Yes?")])
    [recording] = world.exchange.recordings.values()
    assert recording.words == ["Hello?", "Yes?"]


def test_both_hang_up_at_once(world: Any) -> None:
    world.page("/done", "<Hangup/>")
    call = world.ring(f"<Dial action='/done'>{ANN}</Dial>")
    world.run(13.5)
    [child] = world.children(call)
    exchange = world.exchange
    leg, other = exchange.switch.legs[call.sid], exchange.switch.legs[child.sid]

    def at_once() -> None:
        exchange.lifecycle.hang_up(other)
        exchange.lifecycle.hang_up(leg)

    exchange.switch.post(at_once)
    world.run(1)
    [fields] = world.asked("dial")
    assert (fields["DialCallStatus"], fields["DialCallDuration"]) == ("completed", "10")


def test_rest_ends_the_dialled_party(world: Any) -> None:
    call = world.ring(f"<Dial>{ANN}</Dial>{AFTER}")
    world.run(10)
    world.exchange.update(world.children(call)[0].sid, status="completed")
    world.run(2)
    assert world.said(call) == ["after"]


def test_mixing_a_conference_with_numbers_is_reported(world: Any) -> None:
    call = world.ring(f"<Dial><Number>{ANN}</Number><Conference>team</Conference></Dial>")
    world.run()
    assert (world.codes(), world.state(call)) == ([13000], "conference")
    assert world.children(call) == []


@pytest.mark.parametrize(
    ("caller_id", "noun", "codes"),
    [
        ("front-desk", "<Sip>sip:ann@pbx.test</Sip>", []),
        ("front-desk", "<Client>ann</Client>", []),
        ("front-desk", "<Number>+15552220001</Number>", [13214]),
        ("front desk", "<Sip>sip:ann@pbx.test</Sip>", [13214]),
        ("+15553330000", "<Number>+15552220001</Number>", []),
    ],
)
def test_a_name_is_shown_to_sip_and_clients_and_a_verified_number_to_all(
    world: Any, caller_id: str, noun: str, codes: list[int]
) -> None:
    world.verified_numbers.add("+15553330000")
    call = world.ring(f"<Dial callerId='{caller_id}'>{noun}</Dial>")
    assert world.codes() == codes
    assert [child.from_ for child in world.children(call)] == ([] if codes else [caller_id])
