"""The bundled plugin missed_call, with what an author has: the kit."""

from pathlib import Path
from typing import Any

import pytest

from ringback import Event
from ringback.testing import Bench, call_status, call_step, incoming_call, sms

PLUGIN = Path(__file__).parents[2] / "plugins" / "missed_call.py"
RULE = "missed_call.missed_call"
SORRY = "Sorry that we missed your call. Reply here and we will get back to you."


@pytest.fixture
def bench() -> Bench:
    """The plugin alone."""
    return Bench.load(PLUGIN)


def after(bench: Bench, event: Event) -> list[str]:
    """The texts of an event, soon after it."""
    return bench.react(event).texts + bench.wait("10s").texts


MISSED = {
    "no answer": call_status("no-answer"),
    "busy": call_status("busy"),
    "failed": call_status("failed"),
    "hung up while ringing": call_status("canceled"),
    "over at once": call_status("completed", CallDuration=0),
    "nobody picked up": call_step(DialCallStatus="no-answer"),
    "line busy": call_step(DialCallStatus="busy"),
    "left the queue": call_step(QueueResult="hangup", QueueTime=40),
    "full queue": call_step(QueueResult="queue-full"),
}

REACHED = {
    "talked": call_status("completed", CallDuration=63),
    "connected": call_step(DialCallStatus="completed", DialCallDuration=30),
    "bridged": call_step(QueueResult="bridged", QueueTime=12),
    "still ringing": call_status("ringing"),
    "we called": call_status("no-answer", from_="+12025550100", to="+14155550123",
                             direction="outbound-api"),
    "hidden number": call_status("no-answer", from_="anonymous"),
    "UNAVAILABLE on a keypad": call_status("no-answer", from_="+86282452253"),
    "ANONYMOUS on a keypad": call_status("no-answer", from_="+266696687"),
    "RESTRICTED on a keypad": call_status("no-answer", from_="+7378742833"),
    "zeros": call_status("no-answer", from_="+10000000000"),
    "text": sms("hello"),
}  # fmt: skip


@pytest.mark.parametrize("event", MISSED.values(), ids=list(MISSED))
def test_a_caller_whom_nobody_spoke_with_gets_a_text(bench: Bench, event: Event) -> None:
    """From the number that they called."""
    assert bench.react(event).texts == []
    reaction = bench.wait("10s")
    assert reaction.texts == [SORRY]
    (text,) = reaction.actions
    assert (text.sender, text.to) == ("+12025550100", "+14155550123")


@pytest.mark.parametrize("event", REACHED.values(), ids=list(REACHED))
def test_everybody_else_gets_none(bench: Bench, event: Event) -> None:
    """Who was spoken with, whom we called ourselves, and who hides the number."""
    assert after(bench, event) == []


GREETED: list[tuple[list[Event], int, list[str]]] = [
    ([incoming_call()], 7, [SORRY]),
    ([incoming_call()], 29, [SORRY]),
    ([incoming_call()], 30, []),
    ([incoming_call()], 240, []),
    ([], 7, []),
    ([incoming_call(), call_step(Digits="1")], 7, []),
    ([incoming_call(), call_step(SpeechResult="hello")], 7, []),
    ([incoming_call(), call_step(RecordingUrl="https://e.org/RE1")], 12, []),
    ([incoming_call(), call_step(DialCallStatus="completed")], 25, []),
    ([incoming_call(), call_step(QueuePosition="1"), call_step(QueueResult="bridged")], 25, []),
    ([incoming_call(from_="anonymous")], 7, []),
    ([incoming_call(), call_step(Result="success", PaymentToken="TK1")], 25, []),
    ([incoming_call(), call_step(SessionId="VX1", SessionStatus="ended")], 25, []),
    ([incoming_call(), call_step(UnstableSpeechResult="my")], 25, []),
    ([incoming_call(), call_step()], 12, [SORRY]),  # said nothing when asked
]


@pytest.mark.parametrize(("before", "seconds", "texts"), GREETED)
def test_who_hangs_up_in_the_greeting_was_missed(
    bench: Bench, before: list[Event], seconds: int, texts: list[str]
) -> None:
    """Our greeting, and nothing of theirs after it. A call that others answered says nothing."""
    for event in before:
        assert bench.react(event).texts == []
    who = before[0].sender if before else "+14155550123"
    assert after(bench, call_status("completed", from_=who, CallDuration=seconds)) == texts


def test_the_greeting_of_an_earlier_call_is_no_greeting_of_this_one(bench: Bench) -> None:
    bench.react(incoming_call())
    bench.wait("20m")
    assert after(bench, call_status("completed", CallDuration=7)) == []


@pytest.mark.parametrize(
    "answered",
    [call_step(Digits="1"), call_step(SpeechResult="hello"), call_step(QueueResult="bridged"),
     call_step(DialCallStatus="completed"), call_step(RecordingUrl="https://e.org/RE1")],
)  # fmt: skip
def test_a_caller_who_rings_again_is_missed_though_the_first_call_was_not(
    bench: Bench, answered: Event
) -> None:
    """What they pressed or said ten minutes ago is of another call."""
    bench.react(incoming_call())
    bench.react(answered)
    assert after(bench, call_status("completed", CallDuration=25)) == []
    bench.wait("10m")
    bench.react(incoming_call())
    assert after(bench, call_status("completed", CallDuration=7)) == [SORRY]


CALL = "CA" + "7" * 32
TOLD_LATE: list[tuple[dict[str, str], list[str]]] = [
    ({"Digits": "1"}, []),
    ({"SpeechResult": "hello"}, []),
    ({"RecordingUrl": "https://e.org/RE1"}, []),
    ({"DialCallStatus": "completed", "DialCallDuration": "5"}, []),
    ({"QueueResult": "bridged"}, []),
    ({"Result": "success", "PaymentToken": "TK1"}, []),
    ({"SessionId": "VX1", "SessionStatus": "ended"}, []),
    ({"DialCallStatus": "no-answer"}, [SORRY]),
    ({"QueueResult": "hangup"}, [SORRY]),
    ({"Digits": "1", "CallSid": "CA" + "8" * 32}, [SORRY]),  # of another call
]


def step_of(fields: dict[str, Any]) -> Event:
    """A step of that call, or of another one that the fields name."""
    return call_step(**({"CallSid": CALL} | fields))


@pytest.mark.parametrize(("late", "texts"), TOLD_LATE)
def test_the_end_of_a_call_may_be_told_before_what_was_in_it(
    bench: Bench, late: dict[str, str], texts: list[str]
) -> None:
    """Twilio posts both at one moment: a short talk is none that was missed."""
    bench.react(incoming_call(CallSid=CALL))
    assert bench.react(call_status("completed", CallSid=CALL, CallDuration=12)).texts == []
    assert bench.wait("2s").texts == []
    assert bench.react(step_of(late)).texts == []
    assert bench.wait("1m").texts == texts


def test_a_call_that_turned_out_answered_leaves_the_hour_to_the_next(bench: Bench) -> None:
    bench.react(incoming_call(CallSid=CALL))
    bench.react(call_status("completed", CallSid=CALL, CallDuration=12))
    assert after(bench, call_step(CallSid=CALL, Digits="1")) == []
    assert after(bench, call_status("no-answer")) == [SORRY]


def test_one_text_an_hour_whatever_the_reason(bench: Bench) -> None:
    """One call gives several events, and people call again: that is still one text."""
    assert after(bench, call_step(QueueResult="hangup")) == [SORRY]
    assert bench.react(call_status("no-answer")).why_not(RULE).startswith("once_within")
    bench.wait("1h")
    assert after(bench, call_status("busy")) == [SORRY]


def test_a_call_that_was_answered_does_not_use_up_the_hour(bench: Bench) -> None:
    """Only a missed call counts for the span."""
    bench.react(call_status("completed", CallDuration=63))
    assert after(bench, call_status("no-answer")) == [SORRY]


def test_the_text_is_configured() -> None:
    """`[plugins.missed_call] text`."""
    bench = Bench.load(PLUGIN, config={"missed_call": {"text": "Call later."}})
    assert after(bench, call_status("busy")) == ["Call later."]
