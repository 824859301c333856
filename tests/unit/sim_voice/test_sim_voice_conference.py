"""Tests of conferences: waiting, starting, leaving, ending, and their events."""

from typing import Any

import pytest

from ringback.simulator.voice.ports import Callback, CallOptions, Handset
from ringback.simulator.voice.switch import ExchangeError

SITE = "https://app.test"
ALL = "statusCallback='/conf' statusCallbackEvent='start end join leave mute hold modify'"
AFTER = "<Say>after</Say>"


def joining(attributes: str = "", dial: str = "action='/done'", name: str = "team") -> Any:
    return f"<Dial {dial}><Conference {attributes}>{name}</Conference></Dial>{AFTER}"


@pytest.fixture(autouse=True)
def action(world: Any) -> None:
    world.page("/done", "<Say>left</Say>")


def events(world: Any) -> Any:
    return [fields["StatusCallbackEvent"] for fields in world.notified("conference")]


def test_one_alone_waits_with_music_and_the_second_starts_it(world: Any) -> None:
    first = world.ring(joining(ALL))
    world.run(30)
    [conference] = world.exchange.conferences.values()
    assert (conference.status, world.heard(first)[1][0]) == ("init", "music")
    second = world.ring(joining())
    world.run(10)
    assert conference.status == "in-progress"
    assert list(conference.participants) == [first.sid, second.sid]
    assert events(world) == ["participant-join", "participant-join", "conference-start"]
    assert [world.state(call) for call in (first, second)] == ["conference"] * 2


def test_leaving_asks_the_dial_action_as_answered(world: Any) -> None:
    first, second = (
        world.ring(joining(ALL)),
        world.ring(joining("endConferenceOnExit='true'")),
    )
    world.run(10)
    world.exchange.hang_up(second.sid)
    world.run(5)
    by_call = {fields["CallSid"]: fields for fields in world.asked("dial")}
    assert {fields["DialCallStatus"] for fields in by_call.values()} == {"answered"}
    assert all("DialCallSid" not in fields for fields in by_call.values())
    assert set(by_call) == {first.sid, second.sid}
    assert world.said(first) == ["left"]
    [conference] = world.exchange.conferences.values()
    assert conference.status == "completed"
    assert conference.reason_ended == "participant-with-end-conference-on-exit-left"
    assert conference.call_sid_ending == second.sid


def test_every_event_carries_what_it_is_about(world: Any) -> None:
    first = world.ring(joining(ALL + " participantLabel='ann' muted='true'"))
    world.run(1)
    second = world.ring(joining())
    world.run(1)
    world.exchange.hang_up(second.sid)
    world.exchange.hang_up(first.sid)
    world.run(1)
    [conference] = world.exchange.conferences.values()
    notices = world.notified("conference")
    assert events(world) == [
        "participant-join",
        "participant-join",
        "conference-start",
        "participant-leave",
        "participant-leave",
        "conference-end",
    ]
    assert [fields["SequenceNumber"] for fields in notices] == list("123456")
    wanted = {
        "ConferenceSid": conference.sid,
        "FriendlyName": "team",
        "AccountSid": "AC" + "0" * 32,
        "Timestamp": "Sat, 14 Mar 2026 15:09:26 +0000",
        "CallSid": first.sid,
        "Muted": "true",
        "Hold": "false",
        "Coaching": "false",
        "StartConferenceOnEnter": "true",
        "EndConferenceOnExit": "false",
        "ParticipantLabel": "ann",
    }
    assert {name: notices[0][name] for name in wanted} == wanted
    assert "CallSid" not in notices[2]
    assert notices[3]["ParticipantCallStatus"] == "completed"
    assert notices[3]["ReasonParticipantLeft"] == "participant_hung_up"
    assert notices[5]["ReasonConferenceEnded"] == "last-participant-left"
    assert notices[5]["CallSidEndingConference"] == first.sid


def test_only_the_events_that_were_asked_for(world: Any) -> None:
    world.ring(joining("statusCallback='/conf' statusCallbackEvent='start'"))
    world.ring(joining())
    world.run(5)
    assert events(world) == ["conference-start"]
    silent = world.ring(joining("statusCallback='/conf'", name="other"))
    world.exchange.hang_up(silent.sid)
    world.run(5)
    assert events(world) == ["conference-start"]


def test_nobody_who_may_start_it_means_waiting(world: Any) -> None:
    attributes = "startConferenceOnEnter='false' waitUrl='/wait'"
    world.page("/wait", "<Say>hold the line</Say><Pause length='20'/>")
    first, second = world.ring(joining(attributes)), world.ring(joining(attributes))
    world.run(25)
    assert world.said(first) == ["hold the line"] * 2
    [fields] = [f for f in world.asked("conference") if f["CallSid"] == second.sid][:1]
    [conference] = world.exchange.conferences.values()
    assert (fields["ConferenceSid"], fields["FriendlyName"]) == (conference.sid, "team")
    world.ring(joining())
    world.run(30)
    assert conference.status == "in-progress"
    assert world.said(first) == ["hold the line"] * 2


def test_an_empty_wait_url_is_silence_and_a_broken_one_is_music(world: Any) -> None:
    silent = world.ring(joining("waitUrl=''"))
    broken = world.ring(joining("waitUrl='/missing'", name="other"))
    world.run(30)
    assert [kind for kind, _ in world.heard(silent)] == ["beep"]
    assert [kind for kind, _ in world.heard(broken)] == ["beep", "music"]
    assert world.codes() == [11200]


def test_a_full_conference_has_no_place(world: Any) -> None:
    for _ in range(2):
        world.ring(joining("maxParticipants='2'"))
    late = world.ring(joining())
    world.run(3)
    assert (world.codes(), world.said(late)) == ([16020], ["left"])
    assert world.asked("dial")[0]["DialCallStatus"] == "failed"


def test_a_conference_without_a_name_is_reported(world: Any) -> None:
    call = world.ring(joining(name=""))
    world.run(3)
    assert (world.codes(), world.said(call)) == ([13237], ["left"])


def test_a_bad_wait_url_breaks_the_document(world: Any) -> None:
    world.page("/fallback", "<Say>sorry</Say>")
    call = world.ring(joining("waitUrl='ftp://x/y'"))
    world.run(3)
    assert (world.codes(), world.said(call)) == ([13233], ["sorry"])
    assert world.exchange.conferences == {}


def test_who_leaves_and_lives_on_was_not_hung_up(world: Any) -> None:
    world.ring(joining(ALL))
    second = world.ring(joining(dial="hangupOnStar='true'") + "<Pause length='60'/>")
    world.run(2)
    world.exchange.press(second.sid, "*")
    world.run(1)
    left = world.notified("conference")[-1]
    assert (left["CallSid"], left["ParticipantCallStatus"]) == (second.sid, "in-progress")
    assert left["ReasonParticipantLeft"] == "participant_updated"


def test_a_star_leaves_the_conference_if_allowed(world: Any) -> None:
    first = world.ring(joining())
    second = world.ring(joining(dial="hangupOnStar='true'"))
    world.run(2)
    world.exchange.press(first.sid, "*")
    world.exchange.press(second.sid, "*")
    world.run(2)
    assert (world.state(first), world.said(second)) == ("conference", ["after"])


def test_names_are_free_again_when_a_conference_has_ended(world: Any) -> None:
    call = world.ring(joining())
    world.exchange.hang_up(call.sid)
    world.ring(joining())
    world.run()
    first, second = world.exchange.conferences.values()
    assert (first.status, second.status) == ("completed", "init")


def test_beeps_are_heard_by_all(world: Any) -> None:
    first = world.ring(joining("beep='onEnter' waitUrl=''"))
    second = world.ring(joining("beep='false'"))
    third = world.ring(joining("beep='onExit'"))
    world.run(1)
    world.exchange.hang_up(third.sid)
    world.run(1)
    assert [kind for kind, _ in world.heard(first)] == ["beep", "beep"]
    assert [kind for kind, _ in world.heard(second)] == ["beep"]


def test_a_recorded_conference(world: Any) -> None:
    first = world.ring(joining("record='record-from-start' recordingStatusCallback='/rec'"))
    world.run(5)
    second = world.ring(joining())
    world.run(5)
    world.exchange.hang_up(first.sid)
    world.exchange.hang_up(second.sid)
    world.run(5)
    [recording] = world.exchange.recordings.values()
    [conference] = world.exchange.conferences.values()
    assert (recording.conference_sid, recording.call_sid) == (conference.sid, "")
    assert (recording.source, recording.duration) == ("Conference", 10)
    [notices] = world.notified("recording-status")
    assert (notices["ConferenceSid"], notices["RecordingStatus"]) == (conference.sid, "completed")


# --- REST ---


def test_rest_mutes_holds_and_modifies(world: Any) -> None:
    first, second = (
        world.ring(joining(ALL + " participantLabel='ann'")),
        world.ring(joining()),
    )
    world.page("/hold", "<Say>one moment</Say>")
    world.run(1)
    before = len(events(world))
    exchange, [conference] = world.exchange, world.exchange.conferences.values()
    exchange.update_participant(conference.sid, "ann", muted=True)
    exchange.update_participant(conference.sid, "ann", muted=True)
    exchange.update_participant(conference.sid, first.sid, muted=False)
    exchange.update_participant(conference.sid, second.sid, hold=True, hold_url=f"{SITE}/hold")
    exchange.update_participant("team", second.sid, hold=False, end_on_exit=True)
    exchange.update_participant("team", second.sid, coaching=True, call_sid_to_coach=first.sid)
    world.run(5)
    assert events(world)[before:] == [
        "participant-mute",
        "participant-unmute",
        "participant-hold",
        "participant-unhold",
        "participant-modify",
        "participant-modify",
    ]
    assert world.said(second) == ["one moment"]
    assert exchange.participant("team", second.sid).end_on_exit
    with pytest.raises(ExchangeError) as missing:
        exchange.participant("team", "nobody")
    assert missing.value.http_status == 404


def test_rest_announces_to_all(world: Any) -> None:
    world.page("/news", "<Say>Time is up</Say>")
    first = world.ring(joining("statusCallback='/conf' statusCallbackEvent='announcement'"))
    second = world.ring(joining())
    world.run(1)
    world.exchange.announce("team", f"{SITE}/news", "GET")
    world.run(3)
    assert world.said(first) == world.said(second) == ["Time is up"]
    assert events(world) == ["announcement-end"]


def test_an_announcement_to_one_and_to_nobody(world: Any) -> None:
    world.page("/news", "<Say>Only you</Say>")
    first, second = world.ring(joining()), world.ring(joining())
    world.run(1)
    world.exchange.announce("team", f"{SITE}/news", call_or_label=second.sid)
    world.run(3)
    assert (world.said(first), world.said(second)) == ([], ["Only you"])
    [conference] = world.exchange.conferences.values()
    world.exchange.end_conference("team")
    world.run(3)
    asked = len(world.asks)
    world.exchange.announce(conference.sid, f"{SITE}/news")
    world.run(3)
    assert len(world.asks) == asked
    with pytest.raises(ExchangeError) as missing:
        world.exchange.announce("team", f"{SITE}/news")
    assert missing.value.http_status == 404


def test_rest_ends_a_conference_and_everyone_goes_on(world: Any) -> None:
    first, second = world.ring(joining(ALL)), world.ring(joining())
    world.run(1)
    [conference] = world.exchange.conferences.values()
    world.exchange.end_conference(conference.sid)
    world.run(0.2)
    assert world.said(first) == world.said(second) == ["left"]
    assert conference.reason_ended == "conference-ended-via-api"
    assert conference.participants == {}


def test_rest_ends_a_conference_that_has_not_started(world: Any) -> None:
    call = world.ring(joining())
    world.run(1)
    world.exchange.end_conference("team")
    world.run(3)
    assert world.said(call) == ["left"]


def test_rest_removes_a_participant_and_ends_the_call(world: Any) -> None:
    first, second = world.ring(joining(ALL)), world.ring(joining())
    world.run(1)
    world.exchange.kick("team", second.sid)
    world.run(1)
    [conference] = world.exchange.conferences.values()
    assert (second.status, world.state(first)) == ("completed", "conference")
    world.exchange.kick("team", first.sid)
    world.run(1)
    assert conference.reason_ended == "last-participant-kicked"


def test_rest_calls_somebody_into_a_conference(world: Any) -> None:
    world.handsets["+15556660001"] = Handset(ring_seconds=2)
    options = CallOptions(status=Callback(f"{SITE}/leg", "POST", frozenset({"answered"})))
    call = world.exchange.add_participant(
        "A & B",
        "+15556660001",
        "+15559990000",
        attributes=(("participantLabel", 'ann "x"'), ("muted", "true")),
        options=options,
        events=Callback(f"{SITE}/conf", "POST", frozenset({"join"})),
    )
    world.run(10)
    [conference] = world.exchange.conferences.values()
    who = conference.participants[call.sid]
    assert (conference.friendly_name, who.label, who.muted) == ("A & B", 'ann "x"', True)
    assert (call.direction, events(world)) == ("outbound-api", ["participant-join"])
    assert [fields["CallStatus"] for fields in world.notified("call-status")] == ["in-progress"]
