"""Answers: a text that a run has asked for is not offered to other rules, on a bench and a node."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from admission.compare import Seen, difference
from admission.node import Loaded
from admission.stories import PEOPLE, Step, Story, text
from ringback.plugins.loader import load_plugins
from ringback.testing import Bench, sms
from ringback.testing.assembly import ruleset_of

ANN, BOB = PEOPLE[:2]
BOOK = """
- name: book
  on: message.received
  if: event.body == 'book'
  do:
    - reply: Which day?
    - wait_for: {if: reply.body.endsWith('day'), timeout: 1h, as: day, else: [{reply: Too late.}]}
    - reply: "Noted ${{ vars.day }}."
"""
ANY_DAY = BOOK.replace("reply.body.endsWith('day')", "'true'")
NIGHT = "- {name: night, on: message.received, do: [{reply: We are closed.}]}"
LOG = "- {name: log, on: message.received, also_answers: true, do: [{notify: '${{ event.body }}'}]}"
REST = "- {name: rest, on: message.received, backstop: true, do: [{reply: Thanks.}]}"


async def seen(folder: Path, rules: str, *steps: Step, loaded: Loaded | None = None) -> Seen:
    """What both sides make of a story."""
    found = await difference(Story(f"rules:\n{rules}\n", steps), folder, loaded)
    assert found.why == ""
    return found.node


def verdicts(seen: Seen, number: int = -1) -> Mapping[str, str]:
    """Why each rule did or did not fire for the text of this number."""
    return list(seen.verdicts.values())[number]


def told(seen: Seen, who: str = ANN) -> list[str]:
    """What somebody was texted, in order."""
    said = [line for lines in seen.told.values() for line in lines]
    return [
        line.removeprefix(f"send_message {who} ").partition(" | ")[0]
        for line in said
        if line.startswith(f"send_message {who} ")
    ]


async def test_the_answer_to_a_question_is_not_offered_to_other_rules(tmp_path: Path) -> None:
    """But to those that ask for it."""
    rules = f"{BOOK}{NIGHT}\n{LOG}\n{REST}"
    found = await seen(tmp_path, rules, text("book"), 9.0, text("Monday"))
    held = "answer: book has asked for it, run_1"
    rest = "backstop: book took it"
    assert verdicts(found) == {"book": "if:1", "night": held, "log": "fired", "rest": rest}
    assert told(found)[-1] == "Noted Monday."


async def test_a_text_that_is_no_answer_is_everybodys(tmp_path: Path) -> None:
    """The question stays open."""
    steps = (text("book"), 9.0, text("Are you open?"), 9.0, text("Sunday"))
    found = await seen(tmp_path, f"{BOOK}{NIGHT}\n{REST}", *steps)
    assert verdicts(found, 1)["night"] == "fired"
    assert verdicts(found, 1)["rest"] == "backstop: night took it"
    assert verdicts(found, 2)["night"].startswith("answer: ")
    assert told(found)[-1] == "Noted Sunday."


@pytest.mark.parametrize(
    "watch",
    [
        "- {name: w, on: message.received, if: event.body == 'book', unless: message.received, "
        "within: 1h, do: [{notify: N}]}",
        "- {name: w, on: message.received, if: event.body == 'book', do: [{wait: 1h}]}",
        "- {name: w, on: message.received, if: event.body == 'book', do: [{wait_for: "
        "{on: message.delivered, timeout: 1h}}]}",
        "- {name: w, on: message.received, if: event.body == 'book', state: shadow, "
        "do: [{wait_for: {timeout: 1h}}]}",
    ],
    ids=["unless", "wait", "a delivery", "in shadow"],
)
async def test_a_run_that_asks_nothing_takes_no_text_from_others(
    tmp_path: Path, watch: str
) -> None:
    found = await seen(tmp_path, f"{watch}\n{REST}", text("book"), 9.0, text("Monday"))
    assert verdicts(found)["rest"] == "fired"


async def test_a_rule_does_not_begin_anew_with_the_answer_to_its_own_question(
    tmp_path: Path,
) -> None:
    ask = "- {name: ask, on: message.received, do: [{reply: Which?}, {wait_for: {timeout: 1h}}]}"
    found = await seen(tmp_path, ask, text("a"), 9.0, text("b"))
    assert verdicts(found)["ask"] == "answer: ask has asked for it, run_1"
    assert told(found) == ["Which?"]


async def test_a_rule_that_restarts_begins_anew_with_any_text(tmp_path: Path) -> None:
    ask = (
        "- {name: ask, on: message.received, mode: restart, do: [{reply: Which?}, {wait_for: {}}]}"
    )
    found = await seen(tmp_path, ask, text("a"), 9.0, text("b"))
    assert told(found) == ["Which?", "Which?"]


async def test_another_person_s_text_is_no_answer(tmp_path: Path) -> None:
    found = await seen(tmp_path, f"{BOOK}{NIGHT}", text("book"), 9.0, text("Monday", BOB))
    assert verdicts(found)["night"] == "fired"


async def test_the_second_of_two_quick_texts_is_not_lost(tmp_path: Path) -> None:
    """Nobody knows yet what the run asks when it has the first."""
    both = (text("Monday"), text("at 9"))
    found = await seen(tmp_path, f"{BOOK}{REST}", text("book"), 9.0, both)
    assert verdicts(found, 1)["rest"] == "backstop: book took it"
    assert verdicts(found)["rest"] == "fired"


CONVERSATION = """
from ringback import Conversation, reply, rule


@rule("message.received", if_="event.body == 'book'")
async def book(convo: Conversation):
    day = await convo.ask("Which day?", timeout="1h")
    convo.tell(f"Noted {day}.")


@rule("message.received")
def night(event):
    return reply(event, "We are closed.")


@rule("message.received", also_answers=True)
def always(event):
    return reply(event, "Hm.")
"""


async def test_the_answer_in_a_python_conversation_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "shop.py").write_text(CONVERSATION)
    plugins = load_plugins(tmp_path / "plugins")
    ruleset, problems = ruleset_of(plugins, tmp_path / "rules")
    assert problems == []
    loaded = Loaded(ruleset, plugins)
    found = await seen(tmp_path, "[]", text("book"), 9.0, text("Monday"), loaded=loaded)
    assert verdicts(found) == {
        "shop.book": "if:1",
        "shop.night": "answer: shop.book has asked for it, run_1",
        "shop.always": "fired",
    }


@pytest.mark.parametrize("word", ["STOP", "stop.", " Unsubscribe ", "QUIT!"])
async def test_a_stop_ends_a_question_and_is_everybodys(tmp_path: Path, word: str) -> None:
    """It is no answer, though the condition would take it."""
    rules = f"{ANY_DAY}{LOG}\n{NIGHT}"
    found = await seen(tmp_path, rules, text("book"), 9.0, text(word))
    assert [end for (_, rule), end in found.ends.items() if rule == "book"] == [
        "done: stopped: they sent STOP"
    ]
    assert verdicts(found)["night"] == "fired"


HELPED = [text("HELP"), text("info!"), text("Hilfe", OptOutType="HELP"), text(" Help. ")]


@pytest.mark.parametrize("helped", HELPED, ids=range(len(HELPED)))
@pytest.mark.parametrize("question", ["'true'", "reply.body.size() > 2"])
async def test_help_is_no_answer_and_leaves_the_question_open(
    tmp_path: Path, helped: Step, question: str
) -> None:
    """Whatever the condition says of any text: it is everybody's, as a STOP is."""
    book = BOOK.replace("reply.body.endsWith('day')", question)
    rules = f"{book}{LOG}\n{NIGHT.replace('do:', 'if: event.body != ' + repr('book') + ', do:')}"
    found = await seen(tmp_path, rules, text("book"), 9.0, helped, 9.0, text("Monday"))
    assert verdicts(found, 1)["night"] == "fired"
    assert verdicts(found)["night"].startswith("answer: ")
    assert told(found) == ["Which day?", "We are closed.", "Noted Monday."]


async def test_help_is_an_answer_where_the_question_names_it(tmp_path: Path) -> None:
    """A menu that offers it wants it."""
    question = "reply.body.is_phrase('help')"
    menu = BOOK.replace("reply.body.endsWith('day')", question)
    found = await seen(tmp_path, f"{menu}{NIGHT}", text("book"), 9.0, text("Help"))
    assert told(found)[-1] == "Noted Help."


@pytest.mark.parametrize("reaction", ["Liked “Which day?”", "👍 to “Which day?”"])
async def test_a_reaction_is_an_answer_unless_the_question_leaves_it_out(
    tmp_path: Path, reaction: str
) -> None:
    """It may mean yes."""
    for number, (question, noted) in enumerate(
        [("reply.body != ''", f"Noted {reaction}."), ("reply.reaction == ''", "Noted Monday.")]
    ):
        book = BOOK.replace("if: reply.body.endsWith('day')", f'if: "{question}"')
        steps = (text("book"), 9.0, text(reaction), 9.0, text("Monday"))
        (tmp_path / str(number)).mkdir()
        found = await seen(tmp_path / str(number), book, *steps)
        assert told(found)[-1] == noted


ASKS = """
from ringback import rule, reply

@rule("message.received", if_="event.body == 'book'")
async def book(event, convo):
    day = await convo.ask("Which day?", timeout="1h")
    about = await convo.choose("Prices or info?", ["prices", "info"])
    return reply(event, f"Noted {day}, {about}.")
"""


def test_help_is_no_answer_to_a_question_in_python(tmp_path: Path) -> None:
    """But where it is one of the options."""
    (tmp_path / "shop.py").write_text(ASKS)
    bench = Bench.load(tmp_path / "shop.py")
    assert bench.react(sms("book")).texts == ["Which day?"]
    assert bench.react(sms("HELP")).texts == []
    assert bench.react(sms("Monday")).texts == ["Prices or info?"]
    assert bench.react(sms("Info")).texts == ["Noted Monday, info."]


async def test_a_stop_that_twilio_names_ends_a_question(tmp_path: Path) -> None:
    """Advanced Opt-Out has words of its own."""
    leaves = text("arret", OptOutType="STOP")
    found = await seen(tmp_path, BOOK, text("book"), 9.0, leaves)
    assert "done: stopped: they sent STOP" in found.ends.values()


async def test_a_stop_of_another_person_who_was_asked_is_no_answer(tmp_path: Path) -> None:
    """The run is with somebody else, who is still there."""
    ask = f"""
- name: ask
  on: message.received
  if: event.body == 'help me'
  do:
    - send: {{to: "{BOB}", body: Can you?}}
    - wait_for: {{key: "+12025550100/{BOB}", timeout: 1h, else: [{{reply: Nobody can.}}]}}
"""
    found = await seen(tmp_path, ask, text("help me"), 9.0, text("STOP", BOB))
    assert told(found)[-1] == "Nobody can."


def test_opt_out_sees_help_while_a_question_is_open(tmp_path: Path) -> None:
    """It wants answers too: where Twilio is silent, it is the one that helps."""
    plugin = Path(__file__).parents[2] / "plugins" / "opt_out.py"
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "opt_out.py").write_text(plugin.read_text())
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "book.yaml").write_text(f"rules:\n{ANY_DAY}")
    (tmp_path / "ringback.toml").write_text("")
    bench = Bench.load(tmp_path)
    bench.react(sms("book", from_="whatsapp:+14155550123", to="whatsapp:+14155550100"))
    helped = bench.react(sms("HELP", from_="whatsapp:+14155550123", to="whatsapp:+14155550100"))
    assert helped.fired == ["opt_out.opt_out"]
    assert helped.texts == ["Reply STOP to get no more texts, START to get them again."]


def test_the_booking_recipe_beside_the_starter_rules_gives_one_answer_at_night(
    tmp_path: Path,
) -> None:
    """Each text of the conversation gets its next question and nothing else."""
    root = Path(__file__).parents[2]
    for folder in ("rules", "plugins"):
        shutil.copytree(root / folder, tmp_path / folder)
    shutil.copy(root / "ringback.toml", tmp_path)
    manual = (root / "docs" / "cookbook.md").read_text("utf-8")
    recipe = manual.partition("### Book a table")[2].partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "rules" / "table.yaml").write_text(recipe)
    bench = Bench.load(tmp_path, now=datetime.fromisoformat("2026-11-20T22:00-05:00"))
    assert bench.react(sms("Table")).texts == ["Which day?"]
    bench.wait("1m")
    for said, next_question in (("Friday", "At what time?"), ("at 8", "For how many?")):
        answered = bench.react(sms(said))
        assert answered.texts == [next_question]
        assert answered.why_not("after-hours") == "backstop: table took it"
        assert answered.why_not("auto_reply.received") == "backstop: table took it"
        bench.wait("1m")
    assert bench.react(sms("6")).texts == ["Noted: Friday, at 8, 6."]
