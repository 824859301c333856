"""Tests of a call from one of our numbers to another: two documents, one talk, no endless chain."""

from typing import Any

import pytest

from ringback.simulator.voice.ports import NumberSetup, Script

OURS, OTHER, SITE = "+15559990000", "+15559990001", "https://app.test"
EVERY = ("initiated", "ringing", "answered", "completed")


@pytest.fixture(autouse=True)
def other(world: Any) -> None:
    world.numbers[OTHER] = NumberSetup("PN" + "2" * 32, Script(f"{SITE}/other"))


def inbound(world: Any) -> Any:
    return next(call for call in world.exchange.calls.values() if call.direction == "inbound")


def test_both_documents_run_and_hear_each_other(world: Any) -> None:
    world.page("/other", "<Gather numDigits='2' action='/choice'><Say>Press</Say></Gather>")
    world.page("/choice", "<Gather input='speech' action='/words' speechTimeout='1'/>")
    world.page("/words", "<Hangup/>")
    verbs = "<Pause length='2'/><Play digits='42'/><Pause length='1'/><Say>I am a machine</Say>"
    call = world.place(OTHER, verbs + "<Pause length='60'/>", options=world.events(*EVERY))
    world.run(30)
    far = inbound(world)
    assert (far.from_, far.to) == (OURS, OTHER)
    digits, words = world.asked("gather")
    assert (digits["Digits"], words["SpeechResult"]) == ("42", "I am a machine")
    assert (call.status, far.status) == ("completed", "completed")
    notices = [fields["CallStatus"] for fields in world.notified("call-status")]
    assert notices == ["initiated", "ringing", "in-progress", "completed"]


@pytest.mark.parametrize(
    ("verbs", "status"),
    [("<Reject reason='busy'/>", "busy"), ("<Reject/>", "no-answer")],
)
def test_the_other_number_may_refuse(world: Any, verbs: Any, status: Any) -> None:
    world.page("/other", verbs)
    call = world.place(OTHER, "<Say>Hello</Say>")
    world.run(5)
    assert (call.status, world.said(call)) == (status, [])


def test_a_number_that_never_answers_times_out(world: Any) -> None:
    world.page("/other", "<Pause length='600'/>")
    call = world.place(OTHER, "<Say>Hello</Say>")
    world.run(70)
    assert (call.status, inbound(world).status) == ("no-answer", "no-answer")


def test_the_end_of_one_is_the_end_of_the_other(world: Any) -> None:
    world.page("/other", "<Say>Hello</Say><Pause length='600'/>")
    call = world.ring(f"<Dial>{OTHER}</Dial><Say>after</Say>")
    world.run(10)
    [child] = world.children(call)
    assert world.state(call) == "bridged"
    far = list(world.exchange.calls.values())[-1]
    world.exchange.hang_up(far.sid)
    world.run(2)
    assert (child.status, world.said(call)) == ("completed", ["after"])


def test_a_number_that_calls_itself_stops_somewhere(world: Any) -> None:
    world.page("/other", f"<Dial callerId='{OTHER}'>{OTHER}</Dial>")
    call = world.place(OTHER, "<Pause length='600'/>")
    world.run(60)
    calls = list(world.exchange.calls.values())
    assert len([each for each in calls if each.direction == "inbound"]) == 5
    assert any(each.status == "failed" for each in calls)
    assert call.ended
