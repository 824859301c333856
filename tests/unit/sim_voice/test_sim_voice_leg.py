"""Tests of a leg's program by itself: its effects, step by step, without an exchange."""

from typing import Any

import pytest

from ringback.simulator.voice.documents import Finish
from ringback.simulator.voice.effects import (
    AbandonDial,
    Bridge,
    Capture,
    Complain,
    Fetch,
    Hear,
    JoinConference,
    JoinQueue,
    LeaveConference,
    LeaveQueue,
    Look,
    Now,
    Opened,
    PickUp,
    Ring,
    Send,
    Stay,
    StopCapture,
)
from ringback.simulator.voice.leg import call, whisper
from ringback.simulator.voice.ports import Answer, Script
from ringback.simulator.voice.results import (
    Bridged,
    ConferenceChanged,
    Dequeued,
    Dialed,
    Elapsed,
    HungUp,
    Interrupted,
    Joined,
    Key,
    Queued,
    Recorded,
    Rescripted,
    Standing,
)

SITE = "https://app.test"
URL = f"{SITE}/voice"


def answer(verbs: Any, url: Any = URL) -> Any:
    return Answer(200, "text/xml", f"<Response>{verbs}</Response>".encode(), url)


INSTANT = (Opened, PickUp, Complain, Send, LeaveQueue, LeaveConference, Now)


class Drive:
    """Steps through a program; instant effects without a result are answered by None."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.seen: list[Any] = []
        self.end: Any = None
        self.effect = self._on(next, program)

    def _on(self, step: Any, *arguments: Any) -> Any:
        try:
            effect = step(*arguments)
            while isinstance(
                effect, Opened | PickUp | Complain | Send | LeaveQueue | LeaveConference | Now
            ):
                self.seen.append(effect)
                effect = self.program.send(0.0 if isinstance(effect, Now) else None)
        except StopIteration as stop:
            self.end = stop.value
            return None
        self.seen.append(effect)
        return effect

    def send(self, result: Any) -> Any:
        self.effect = self._on(self.program.send, result)
        return self.effect

    def kinds(self) -> Any:
        return [type(effect).__name__ for effect in self.seen]


def test_a_program_begins_with_its_document_and_ends_with_a_reason() -> None:
    leg = Drive(call(Script(URL, "get")))
    assert leg.effect == Fetch(URL, "GET", (), "call")
    assert leg.send(answer("<Say>Hi</Say>")) == Hear("say", "Hi", 0.5)
    assert leg.send(Elapsed()) is None
    assert leg.end == Finish()
    assert leg.kinds() == ["Fetch", "Opened", "PickUp", "Hear", "PickUp"]


def test_reject_is_reported_by_the_end_alone() -> None:
    leg = Drive(call(Script(twiml="<Response><Reject reason='busy'/></Response>")))
    assert (leg.end, leg.kinds()) == (Finish("busy"), ["Opened"])


def test_a_hang_up_ends_it_wherever_it_is() -> None:
    leg = Drive(call(Script(URL)))
    assert leg.send(HungUp()) is None
    assert leg.end == Finish()


def test_a_rescript_starts_over_wherever_it_is() -> None:
    leg = Drive(call(Script(URL)))
    leg.send(answer("<Pause length='60'/>"))
    assert leg.send(Rescripted(Script(f"{SITE}/new"))) == Fetch(f"{SITE}/new", "POST", (), "update")
    assert leg.send(Rescripted(Script(twiml="<Response/>"))) is None
    assert leg.end == Finish()


def test_gather_asks_for_keys_in_prompt_and_silence() -> None:
    leg = Drive(call(Script(URL)))
    prompt = leg.send(answer("<Gather numDigits='2' timeout='7'><Say>Hello</Say></Gather>"))
    assert (prompt.kind, prompt.keys, prompt.speech) == ("say", True, False)
    silence = leg.send(Key("1"))
    assert (silence.kind, silence.seconds, silence.keys) == ("silence", 7.0, True)
    fetch = leg.send(Key("2"))
    assert (fetch.purpose, dict(fetch.fields)["Digits"], fetch.url) == ("gather", "12", URL)


def test_record_closes_its_recording_when_it_is_interrupted() -> None:
    leg = Drive(call(Script(URL)))
    leg.send(answer("<Record playBeep='false' action='/a' timeout='3' maxLength='9'/>"))
    assert (type(leg.effect), leg.effect.silence, leg.effect.limit) == (Capture, 3.0, 9.0)
    assert leg.send(HungUp()) == StopCapture()
    leg.send(Recorded("RE1", "https://r.test", 4))
    [sent] = [effect for effect in leg.seen if isinstance(effect, Send)]
    assert dict(sent.fetch.fields)["Digits"] == "hangup"
    assert leg.end == Finish()


def test_dial_lets_go_when_it_is_interrupted() -> None:
    leg = Drive(call(Script(URL)))
    leg.send(answer("<Dial action='/a' timeout='9'>+15550001</Dial>"))
    assert (type(leg.effect), leg.effect.timeout) == (Ring, 9.0)
    assert leg.send(Rescripted(Script(f"{SITE}/new"))) == AbandonDial()
    assert leg.send(Dialed("canceled")).url == f"{SITE}/new"
    assert not any(isinstance(effect, Send) for effect in leg.seen)


def test_answer_on_bridge_does_not_pick_up() -> None:
    leg = Drive(call(Script(URL)))
    leg.send(answer("<Dial answerOnBridge='true'>+15550001</Dial>"))
    assert leg.kinds() == ["Fetch", "Opened", "Ring"]


def test_the_life_of_a_queued_caller() -> None:
    leg = Drive(call(Script(URL)))
    leg.send(answer("<Enqueue waitUrl='/wait' action='/left'>line</Enqueue>"))
    assert leg.effect == JoinQueue("line", 0)
    assert leg.send(Queued("QU1")) == Look()
    wait = leg.send(Standing("QU1", 2, 0, 0, 2, 1000))
    assert (wait.purpose, dict(wait.fields)["QueuePosition"]) == ("wait", "2")
    assert leg.send(answer("<Say>Wait</Say>", f"{SITE}/wait")).text == "Wait"
    whisper_to = Script(f"{SITE}/whisper", "GET")
    fetch = leg.send(Dequeued("QU1", 12, "CA9", whisper_to))
    assert (fetch.purpose, fetch.method, dict(fetch.fields)["DequeingCallSid"]) == (
        "whisper",
        "GET",
        "CA9",
    )
    assert leg.send(answer("", f"{SITE}/whisper")) == Bridge()
    action = leg.send(Bridged(talked=True))
    assert (action.url, dict(action.fields)) == (
        f"{SITE}/left",
        {"QueueResult": "bridged", "QueueSid": "QU1", "QueueTime": "12"},
    )


def test_the_life_of_a_conference_participant() -> None:
    leg = Drive(call(Script(URL)))
    leg.send(answer("<Dial><Conference waitUrl=''>team</Conference></Dial>"))
    assert isinstance(leg.effect, JoinConference)
    assert leg.send(Joined("CF1", waiting=True)) == Hear("silence")
    assert leg.send(ConferenceChanged(running=True)) == Stay()
    assert leg.send(HungUp()) is None
    assert "LeaveConference" in leg.kinds()


def test_a_whisper_says_whether_to_bridge() -> None:
    yes = Drive(whisper(Script(twiml="<Response/>")))
    assert yes.end is True
    no = Drive(whisper(Script(twiml="<Response><Hangup/></Response>")))
    assert no.end is False
    broken = Drive(whisper(Script(URL)))
    broken.send(Answer(500, None, b"", URL))
    assert broken.end is False


def test_a_whisper_that_is_interrupted_says_by_what() -> None:
    leg = Drive(whisper(Script(URL)))
    with pytest.raises(Interrupted) as cut:
        leg.send(Rescripted(Script(f"{SITE}/new")))
    assert cut.value.event == Rescripted(Script(f"{SITE}/new"))


def test_an_interrupt_that_has_no_business_here_is_not_swallowed() -> None:
    leg = Drive(call(Script(URL)))
    with pytest.raises(Interrupted):
        leg.send(ConferenceChanged(running=True))
