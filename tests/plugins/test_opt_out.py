"""The bundled plugin opt_out, with what an author has: the kit."""

from pathlib import Path
from typing import Any

import pytest

from ringback import Stop
from ringback.testing import Bench, sms

PLUGIN = Path(__file__).parents[2] / "plugins" / "opt_out.py"
RULE = "opt_out.opt_out"


@pytest.fixture
def bench() -> Bench:
    """The plugin alone."""
    return Bench.load(PLUGIN)


@pytest.mark.parametrize(
    "text",
    ["STOP", "stop", " Stop \n", "STOPALL", "Unsubscribe", "cancel", "END", "Quit", "revoke",
     "OptOut", "Stop."],
)  # fmt: skip
def test_nobody_answers_a_stop(bench: Bench, text: str) -> None:
    """Twilio confirms it and blocks what follows; we are silent and stop every other rule."""
    reaction = bench.react(sms(text))
    assert reaction.texts == []
    assert isinstance(reaction.actions[-1], Stop)


@pytest.mark.parametrize(
    "text",
    ["STOP 12345", "please stop", "Stop it!!1", "the end", "", "STOP\nSTOP", "STΟP", "stopp"],
)
def test_a_text_that_only_contains_the_word_is_an_ordinary_text(bench: Bench, text: str) -> None:
    """The word must be the whole text; a Greek letter makes another word."""
    assert bench.react(sms(text)).why_not(RULE) == "if:1"


WHATSAPP: dict[str, Any] = {"from_": "whatsapp:+14155550123", "to": "whatsapp:+12025550100"}


@pytest.mark.parametrize("text", ["START", "unstop", "HELP", "info"])
def test_on_sms_twilio_answers_and_nobody_else(bench: Bench, text: str) -> None:
    """Two answers to one word would be one too many."""
    reaction = bench.react(sms(text))
    assert reaction.texts == []
    assert isinstance(reaction.actions[-1], Stop)


@pytest.mark.parametrize("text", ["START", "unstop", "Start"])
def test_start_is_confirmed_where_twilio_does_not(bench: Bench, text: str) -> None:
    """On WhatsApp the person hears from us that texts will come again."""
    reaction = bench.react(sms(text, **WHATSAPP))
    assert reaction.texts == ["You will get our texts again. Reply STOP to end them."]
    assert isinstance(reaction.actions[-1], Stop)


@pytest.mark.parametrize("text", ["HELP", "info"])
def test_help_is_answered_where_twilio_does_not(bench: Bench, text: str) -> None:
    """Carriers demand an answer to HELP that says how to leave."""
    assert "STOP" in bench.react(sms(text, **WHATSAPP)).texts[0]


def test_yes_is_an_answer_unless_the_person_has_left(bench: Bench) -> None:
    """YES brings somebody back who said STOP; to everybody else it answers a question."""
    assert bench.react(sms("yes")).why_not(RULE) == "if:2"
    bench.react(sms("STOP"))
    assert bench.react(sms("yes")).fired == [RULE]
    assert bench.react(sms("yes")).why_not(RULE) == "if:2"


def test_one_persons_stop_is_not_anothers(bench: Bench) -> None:
    """What is remembered belongs to one conversation."""
    bench.react(sms("STOP"))
    assert bench.react(sms("yes", from_="+14155550199")).why_not(RULE) == "if:2"


def test_silent_where_advanced_opt_out_answers(bench: Bench) -> None:
    """Twilio says so in the webhook, on every channel."""
    assert bench.react(sms("HELP", OptOutType="HELP", **WHATSAPP)).texts == []


def test_texts_are_configured_and_an_empty_one_is_silence() -> None:
    """`[plugins.opt_out]` has both texts, and whether Twilio answers on SMS."""
    config = {"twilio_answers": False, "help": "Call 555.", "started": ""}
    bench = Bench.load(PLUGIN, config={"opt_out": config})
    assert bench.react(sms("help")).texts == ["Call 555."]
    assert bench.react(sms("start")).texts == []


def test_no_other_plugin_answers_a_stop() -> None:
    """Together with all the others it is first, and the last."""
    bench = Bench.load(PLUGIN.parents[1])
    reaction = bench.react(sms("stop"))
    assert reaction.texts == []
    assert reaction.fired[0] == RULE
    assert reaction.why_not("auto_reply.received").startswith("backstop")
