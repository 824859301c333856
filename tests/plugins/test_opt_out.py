"""The bundled plugin opt_out, with what an author has: the kit."""

from pathlib import Path

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


@pytest.mark.parametrize("text", ["START", "unstop", "Start"])
def test_start_is_confirmed(bench: Bench, text: str) -> None:
    """The person hears that texts will come again, and how to end them."""
    reaction = bench.react(sms(text))
    assert reaction.texts == ["You will get our texts again. Reply STOP to end them."]
    assert isinstance(reaction.actions[-1], Stop)


@pytest.mark.parametrize("text", ["HELP", "info"])
def test_help_is_answered(bench: Bench, text: str) -> None:
    """Carriers demand an answer to HELP that says how to leave."""
    assert "STOP" in bench.react(sms(text)).texts[0]


def test_yes_is_an_answer_unless_the_person_has_left(bench: Bench) -> None:
    """YES brings somebody back who said STOP; to everybody else it answers a question."""
    assert bench.react(sms("yes")).why_not(RULE) == "if:2"
    bench.react(sms("STOP"))
    assert bench.react(sms("yes")).texts == [
        "You will get our texts again. Reply STOP to end them."
    ]
    assert bench.react(sms("yes")).why_not(RULE) == "if:2"


def test_one_persons_stop_is_not_anothers(bench: Bench) -> None:
    """What is remembered belongs to one conversation."""
    bench.react(sms("STOP"))
    assert bench.react(sms("yes", from_="+14155550199")).why_not(RULE) == "if:2"


def test_silent_where_twilio_answers_by_itself(bench: Bench) -> None:
    """With Advanced Opt-Out Twilio answers START and HELP, and says so in the webhook."""
    assert bench.react(sms("HELP", OptOutType="HELP")).texts == []
    assert bench.react(sms("START", OptOutType="START")).texts == []


def test_texts_are_configured_and_an_empty_one_is_silence() -> None:
    """`[plugins.opt_out]` has both texts."""
    bench = Bench.load(PLUGIN, config={"opt_out": {"help": "Call 555.", "started": ""}})
    assert bench.react(sms("help")).texts == ["Call 555."]
    assert bench.react(sms("start")).texts == []


def test_no_other_plugin_answers_a_stop() -> None:
    """Together with all the others it is first, and the last."""
    bench = Bench.load(PLUGIN.parents[1])
    reaction = bench.react(sms("stop"))
    assert reaction.texts == []
    assert reaction.fired[0] == RULE
    assert reaction.why_not("auto_reply.received").startswith("backstop")
