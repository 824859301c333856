"""The bundled plugin auto_reply, with what an author has: the kit."""

from pathlib import Path

import pytest

from ringback import RingbackError
from ringback.testing import Bench, sms

PLUGIN = Path(__file__).parents[2] / "plugins" / "auto_reply.py"
HOURS = "auto_reply.opening_hours"
RECEIVED = "auto_reply.received"
THANKS = "Thanks, we got your text and will answer soon."


@pytest.fixture
def bench() -> Bench:
    """The plugin alone."""
    return Bench.load(PLUGIN)


@pytest.mark.parametrize("text", ["hours", "Hours?", "OPEN today?", "When are you open"])
def test_questions_about_hours_are_answered(bench: Bench, text: str) -> None:
    """A text that begins with one of the words gets the hours, from the number that it wrote to."""
    reaction = bench.react(sms(text, to="+12025550177"))
    (answer,) = reaction.actions
    assert reaction.texts == ["We are open Mon-Fri 9-17."]
    assert (answer.sender, answer.to) == ("+12025550177", "+14155550123")
    assert reaction.why_not(RECEIVED) == "backstop: auto_reply.opening_hours took it"


def test_other_texts_are_told_to_have_arrived_once_in_a_while(bench: Bench) -> None:
    """The backstop answers once within twelve hours, and again after them."""
    assert bench.react(sms("my sink leaks")).texts == [THANKS]
    assert bench.react(sms("very much")).why_not(RECEIVED).startswith("once_within")
    bench.wait("12h")
    assert bench.react(sms("still")).texts == [THANKS]


def test_each_conversation_has_its_own_span(bench: Bench) -> None:
    """Another person, or another number of ours, is another conversation."""
    bench.react(sms("hello"))
    assert bench.react(sms("hello", from_="+14155550188")).texts == [THANKS]
    assert bench.react(sms("hello", to="+12025550177")).texts == [THANKS]


@pytest.mark.parametrize("sender", ["32665", "BANK", "", "alerts@example.org"])
def test_machines_get_no_answer(bench: Bench, sender: str) -> None:
    """Short codes and names may answer in turn, for ever."""
    reaction = bench.react(sms("hours", from_=sender))
    assert reaction.texts == []
    assert reaction.why_not(HOURS) == "if:1"


def test_a_first_text_may_get_its_own_answer() -> None:
    """`first` greets somebody who never wrote before; the second time it is `received`."""
    bench = Bench.load(PLUGIN, config={"auto_reply": {"first": "Welcome!"}})
    assert bench.react(sms("hi")).texts == ["Welcome!"]
    bench.wait("13h")
    assert bench.react(sms("hi")).texts == [THANKS]


def test_an_empty_text_switches_a_rule_off() -> None:
    """Nothing is sent for it."""
    bench = Bench.load(PLUGIN, config={"auto_reply": {"hours": "", "received": ""}})
    assert bench.react(sms("hours")).actions == ()
    assert bench.react(sms("hello")).actions == ()


def test_a_text_that_is_too_long_is_refused_at_load() -> None:
    """Twilio refuses more than 1,600 characters; better to hear it from `check`."""
    with pytest.raises(RingbackError, match=r"\[plugins.auto_reply\] hours: "):
        Bench.load(PLUGIN, config={"auto_reply": {"hours": "x" * 1601}})
