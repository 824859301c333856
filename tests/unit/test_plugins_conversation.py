"""Conversations: plain async functions that survive between any two questions."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.actions import Action, Notify, SendMessage, notify
from ringback.errors import PluginError
from ringback.events import Event
from ringback.plugins.context import Context, context_for
from ringback.plugins.conversation import (
    Conversation,
    Left,
    NoAnswer,
    Undelivered,
    conversation,
)
from ringback.plugins.conversation_replay import MOST_QUESTIONS, begin, resume
from ringback.plugins.loader import load_plugins
from ringback.rules.interpreter.answers import LISTENS
from ringback.rules.interpreter.machine import Progress, Wake
from ringback.rules.language.scope import NoFacts
from ringback.testing import NOON, Bench, incoming_call, message_status, sms
from ringback.testing.memory import SteppedClock

Handler = Callable[..., Any]


class Talk:
    """One conversation, driven as the worker does it: the state goes through JSON every time."""

    def __init__(self, handler: Handler, event: Event | None = None) -> None:
        self.handler = handler
        self.event = event or sms("book")
        self.clock = SteppedClock(NOON)
        self.said: list[str] = []
        self.actions: list[Action] = []
        self.progress = self._take(begin(handler, self.event, self.context))

    @property
    def context(self) -> Context:
        """A fresh one each time, as after a restart."""
        return context_for("plugin", {}, clock=self.clock, store=NoFacts())

    def hears(self, event: Event | str | None) -> Progress:
        """An event comes, or (None) the time for an answer is over."""
        came = sms(event) if isinstance(event, str) else event
        self.clock.advance(timedelta(minutes=1))
        state = json.loads(json.dumps(self.progress.state))
        self.progress = self._take(
            resume(self.handler, self.event, self.context, state, Wake(event=came))
        )
        return self.progress

    def _take(self, progress: Progress) -> Progress:
        self.actions += progress.actions
        self.said += [each.body for each in progress.actions if isinstance(each, SendMessage)]
        return progress


async def book(convo: Conversation) -> Notify:
    """Three questions, then a notice."""
    day = await convo.ask("Which day?", timeout="1h")
    convo.tell(f"Good, {day}.")
    hour = await convo.ask("Which hour?", timeout="2h")
    name = await convo.ask("What is your name?")
    convo.tell(f"See you on {day} at {hour}, {name}.")
    return notify(f"{name}: {day} {hour}")


def test_three_questions_and_answers() -> None:
    """Each turn sends what is new and nothing twice; the end is the function's result."""
    talk = Talk(book)
    assert talk.progress.wait is not None
    assert talk.progress.wait.event_types == LISTENS
    assert talk.progress.wait.key == talk.event.conversation
    assert talk.progress.wait.due_at == NOON + timedelta(hours=1)
    talk.hears("Monday")
    assert talk.said == ["Which day?", "Good, Monday.", "Which hour?"]
    assert talk.progress.wait.due_at == NOON + timedelta(hours=2, minutes=1)
    talk.hears("9")
    end = talk.hears("Ada")
    assert talk.said[-1] == "See you on Monday at 9, Ada."
    assert len(talk.said) == 5
    assert (end.wait, end.end) == (None, "")
    assert talk.actions[-1] == notify("Ada: Monday 9")


@pytest.mark.slow
@given(answers=st.lists(st.text(min_size=1, max_size=40), max_size=6), data=st.data())
def test_what_is_heard_decides_and_nothing_else(answers: list[str], data: st.DataObject) -> None:
    """Whatever is answered, and wherever the process is replaced by another: each message is sent
    exactly once, in the same order as in a run that was never interrupted."""

    async def loop(convo: Conversation) -> None:
        total = 0
        while total < 4:
            text = await convo.ask(f"Question {total}?")
            convo.tell(f"You said {text}")
            total += 2 if len(text) > 20 else 1

    straight = Talk(loop)
    for answer in answers:
        if straight.progress.wait is not None:
            straight.hears(answer + "!")
    crashing = Talk(loop)
    for answer in answers:
        if crashing.progress.wait is None:
            break
        lost = json.loads(json.dumps(crashing.progress.state))
        for _ in range(data.draw(st.integers(0, 2))):  # a crash before the commit: done again
            resume(loop, crashing.event, crashing.context, lost, Wake(sms(answer + "!")))
        crashing.hears(answer + "!")
    assert crashing.said == straight.said


def test_no_answer_in_time_ends_it_quietly() -> None:
    """Left alone; the reason is in the trace."""
    talk = Talk(book)
    assert talk.hears(None).end == "stopped: no answer to 'Which day?'"
    assert talk.said == ["Which day?"]


def test_a_function_may_take_up_the_missing_answer() -> None:
    """All ways of ending are exceptions, which can be caught."""

    async def patient(convo: Conversation) -> None:
        try:
            await convo.ask("Still there?", timeout=timedelta(minutes=5))
        except NoAnswer:
            convo.tell("Another time, then.")

    talk = Talk(patient)
    assert talk.hears(None).end == ""
    assert talk.said == ["Still there?", "Another time, then."]


def test_an_undelivered_question_ends_it() -> None:
    """With the code in the reason, and the class for the function that wants to do better."""
    talk = Talk(book)
    end = talk.hears(message_status("undelivered", error_code=30003)).end
    assert end == "stopped: 'Which day?' was not delivered (error 30003)"

    async def calls_instead(convo: Conversation) -> Any:
        try:
            await convo.ask("Which day?")
        except Undelivered as error:
            return notify(error.error_class)

    talk = Talk(calls_instead)
    talk.hears(message_status("failed", error_code=30003))
    assert talk.actions[-1] == notify("recipient_unreachable")


@pytest.mark.parametrize("text", ["STOP", " stop.", "Unsubscribe", "QUIT"])
def test_stop_ends_it_and_is_no_answer(text: str) -> None:
    """Twilio lets nothing more through to them."""
    talk = Talk(book)
    assert talk.hears(text).end == "stopped: they sent STOP"
    assert talk.said == ["Which day?"]

    async def tidy(convo: Conversation) -> Any:
        try:
            await convo.ask("?")
        except Left:
            return notify("left")

    talk = Talk(tidy)
    talk.hears("stop")
    assert talk.actions[-1] == notify("left")


def test_what_is_not_for_it_changes_nothing() -> None:
    """Another kind of event gives the same wait again, and no action."""
    talk = Talk(book)
    before = talk.progress
    again = resume(book, talk.event, talk.context, before.state, Wake(incoming_call()))
    assert (again.actions, again.wait, again.state) == ((), before.wait, before.state)


def test_the_state_says_which_event_was_taken_last() -> None:
    """So that a text which came before the question can be given to it: the mailbox."""
    talk = Talk(book)
    assert talk.progress.state["after"] == talk.event.uid
    answer = sms("Monday")
    assert talk.hears(answer).state["after"] == answer.uid


def test_an_answer_knows_its_event() -> None:
    """A picture may be the answer."""

    async def picture(convo: Conversation) -> Any:
        answer = await convo.ask("Send a picture.")
        return notify(answer.event.media[0])

    talk = Talk(picture)
    talk.hears(sms("", media=("https://api.twilio.com/x.jpg",)))
    assert talk.actions[-1] == notify("https://api.twilio.com/x.jpg")


def test_the_clock_tells_the_same_time_when_played_again() -> None:
    """A function may look at the time without breaking its replay."""

    async def timed(convo: Conversation, clock: Any) -> Any:
        times = [clock.now()]
        for _ in range(2):
            await convo.ask("?", key=clock.now().isoformat())
            times.append(clock.now())
        return notify(" ".join(f"{moment:%H:%M}" for moment in times))

    talk = Talk(timed)
    talk.hears("a")
    talk.hears("b")
    assert talk.actions[-1] == notify("17:00 17:01 17:02")


def test_once_keeps_what_chance_gave() -> None:
    """The value is made once and is the same in every later turn."""
    made = iter(range(100))

    async def code(convo: Conversation) -> Any:
        number = convo.once(lambda: next(made))
        convo.tell(f"Your code is {number}.")
        await convo.ask(f"What is your code, {number}?")
        other = convo.once(lambda: next(made))
        return notify(f"{number} {other}")

    talk = Talk(code)
    assert talk.hears("0").end == ""
    assert talk.actions[-1] == notify("0 1")

    async def bad(convo: Conversation) -> None:
        convo.once(lambda: object())

    with pytest.raises(PluginError, match="JSON only"):
        Talk(bad)


def test_choose_asks_again_until_the_answer_is_an_option() -> None:
    """The option itself in any case, or its number."""

    async def size(convo: Conversation) -> Any:
        return notify(await convo.choose("Size?", ["Small", "Large"]))

    talk = Talk(size)
    talk.hears("enormous")
    assert talk.said[-1] == "Please answer one of these: Small, Large."
    talk.hears("large!")
    assert talk.actions[-1] == notify("Large")
    talk = Talk(size)
    talk.hears("1")
    assert talk.actions[-1] == notify("Small")
    talk = Talk(size)
    for _ in range(3):
        talk.hears("99999999999999999999999")
    assert talk.progress.end == ("stopped: none of 3 answers to 'Size?' was one of Small, Large")


# -- a deploy under a waiting conversation


def changed_book(**policy: Any) -> Handler:
    """The code of a newer version: the first question reads differently."""

    @conversation(**policy)
    async def newer(convo: Conversation) -> Any:
        day = await convo.ask("What day suits you?")
        hour = await convo.ask("Which hour?")
        return notify(f"{day} {hour}")

    return newer


def deploy(talk: Talk, handler: Handler) -> None:
    """From now on the other code is there."""
    talk.handler = handler


def test_changed_code_ends_a_waiting_conversation() -> None:
    """The reason tells both questions; the person hears `sorry` when there is one."""
    talk = Talk(book)
    talk.hears("Monday")
    deploy(talk, changed_book(sorry="Please write BOOK again."))
    end = talk.hears("9")
    assert end.end == (
        "failed: the code changed under the conversation: "
        "it asked 'Which day?', now it asks 'What day suits you?'"
    )
    assert talk.said[-1] == "Please write BOOK again."
    assert end.wait is None


def test_changed_code_may_begin_again() -> None:
    """`restart`: the first question anew; texts that were taken are not taken again."""
    talk = Talk(book)
    answer = sms("Monday")
    talk.hears(answer)
    deploy(talk, changed_book(changed="restart"))
    late = sms("9")
    assert talk.hears(late).state["after"] == late.uid
    assert talk.said[-1] == "What day suits you?"
    talk.hears("Tuesday")
    talk.hears("10")
    assert talk.actions[-1] == notify("Tuesday 10")


def test_changed_code_may_keep_the_answers() -> None:
    """`keep`: right when only the wording was changed."""
    talk = Talk(book)
    talk.hears("Monday")
    deploy(talk, changed_book(changed="keep"))
    talk.hears("9")
    assert talk.actions[-1] == notify("Monday 9")


def test_code_that_changed_elsewhere_goes_on() -> None:
    """Only the questions that were asked count: what stands behind them may be new."""

    async def newer(convo: Conversation) -> Any:
        day = await convo.ask("Which day?", timeout="9h")
        return notify(f"all of {day}")

    talk = Talk(book)
    deploy(talk, newer)
    assert talk.hears("Monday").end == ""
    assert talk.actions[-1] == notify("all of Monday")


def test_code_that_asks_less_than_before_has_changed() -> None:
    """A function that ends before the kept answers are used up is another one."""

    async def none(convo: Conversation) -> None: ...

    talk = Talk(book)
    deploy(talk, none)
    assert talk.hears("Monday").end.endswith("it asked 'Which day?', now it asks nothing")


def test_a_key_lets_the_wording_change() -> None:
    """The question is recognised by its key."""

    async def first(convo: Conversation) -> Any:
        return notify(await convo.ask("Which day?", key="day") + await convo.ask("?"))

    async def second(convo: Conversation) -> Any:
        return notify(await convo.ask("What day?", key="day") + await convo.ask("?"))

    talk = Talk(first)
    talk.hears("Mon")
    deploy(talk, second)
    talk.hears("day")
    assert talk.actions[-1] == notify("Monday")


# -- what a conversation may not do


async def sleeps(convo: Conversation) -> None:
    """Waits for something that no journal knows."""
    await asyncio.sleep(0)


async def clings(convo: Conversation) -> None:
    """Does not let itself be put down."""
    try:
        await convo.ask("?")
    finally:
        await convo.ask("??")


async def endless(convo: Conversation) -> None:
    """Never has enough."""
    while True:
        await convo.ask("And?")


async def wrong(convo: Conversation) -> str:
    """Returns what is no action."""
    return "thanks"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (sleeps, "may await convo.ask"),
        (clings, "must not ask in `finally`"),
        (wrong, "plugin plugin: returned str"),
        (lambda convo: None, "must be async"),
    ],
)
def test_what_cannot_be_replayed_is_refused(handler: Handler, words: str) -> None:
    """In words, with the plugin's name."""
    with pytest.raises(PluginError, match=words):
        Talk(handler)


def test_a_conversation_has_an_end() -> None:
    """One that asks for ever is stopped by an error."""
    talk = Talk(endless)
    for _ in range(MOST_QUESTIONS - 1):
        talk.hears("more")
    with pytest.raises(PluginError, match=f"more than {MOST_QUESTIONS} questions"):
        talk.hears("more")


def test_there_must_be_somebody_to_ask() -> None:
    """An event without another side cannot begin a conversation."""
    with pytest.raises(PluginError, match="no other side"):
        Talk(book, replace(sms(), conversation="", sender="", recipient=""))


# -- as a plugin

PLUGIN = """
from ringback import Conversation, rule

@rule("message.received", if_="event.body.keyword('book')")
async def book(convo: Conversation):
    day = await convo.ask("Which day?", timeout="1h")
    convo.tell(f"See you on {day}.")

@rule("message.received", backstop=True)
def thanks(event):
    from ringback import reply
    return reply(event, "Thanks.")
"""


def test_a_conversation_in_a_plugin(tmp_path: Path) -> None:
    """One at a time for each person; its answers are nobody else's to thank for."""
    (tmp_path / "booking.py").write_text(PLUGIN)
    bench = Bench.load(tmp_path / "booking.py")
    assert bench.react(sms("book")).texts == ["Which day?"]
    assert bench.react(sms("book", from_="+14155550188")).texts == ["Which day?"]
    answered = bench.react(sms("Monday"))
    assert answered.texts == ["See you on Monday."]
    assert answered.why_not("booking.thanks") == "backstop: booking.book took it"
    assert answered.waiting == ["booking.book"]
    assert bench.react(sms("Tuesday")).texts == ["Thanks."]


def test_a_second_start_is_an_answer_to_the_first(tmp_path: Path) -> None:
    """BOOK while the question is open answers the question, and begins nothing new."""
    (tmp_path / "booking.py").write_text(PLUGIN)
    bench = Bench.load(tmp_path / "booking.py")
    bench.react(sms("book"))
    second = bench.react(sms("book"))
    assert second.texts == ["See you on book."]
    assert second.why_not("booking.book") == "answer: booking.book has asked for it, run_1"


def test_a_question_lapses_on_the_bench(tmp_path: Path) -> None:
    """`wait` brings the moment."""
    (tmp_path / "booking.py").write_text(PLUGIN)
    bench = Bench.load(tmp_path / "booking.py")
    bench.react(sms("book"))
    assert bench.wait("59m").waiting == ["booking.book"]
    assert bench.wait("1m").waiting == []


def test_a_conversation_must_be_async(tmp_path: Path) -> None:
    """Found when the plugin loads, at the parameter."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "bad.py").write_text(
        "from ringback import rule\n@rule('message.received')\ndef f(convo): pass\n"
    )
    found = load_plugins(folder)
    (problem,) = found.problems
    assert (problem.line, problem.column) == (3, 7)
    assert str(problem).endswith("a function with `convo` must be async; write async def")
