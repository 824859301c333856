"""Conversation: questions and answers as one plain async function that survives restarts.

This is the page that authors see: what `convo` can do. How it survives is in `replay`. It works as
long as the function asks the same questions when it is given the same answers. What may differ from
one time to the next (chance, the past) goes through `once`, and the clock that the function gets
stands at the moment of each turn.
"""

import json
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from ringback.actions import Action, reply
from ringback.errors import PluginError
from ringback.events import Event
from ringback.keywords import folded, opt_out_word
from ringback.plugins.invoke import parameters
from ringback.rules.timing.durations import parse_duration

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

POLICY = "__ringback_conversation__"
Changed = Literal["end", "restart", "keep"]


class ConversationEnd(Exception):
    """No answer will come. Left alone it ends the conversation quietly; the message says why."""


class NoAnswer(ConversationEnd):
    """The time for an answer is over, or none of the tries was one of the choices."""


class Undelivered(ConversationEnd):
    """The question could not be delivered. `error_class` says why, in our words for it."""

    def __init__(self, message: str, error_class: str = "") -> None:
        super().__init__(message)
        self.error_class = error_class


class Left(ConversationEnd):
    """The person sent STOP. Nothing can be sent to them any more."""


class Answer(str):
    """What somebody answered: a text like any other, with the `event` that brought it."""

    __slots__ = ("event",)
    event: Event

    @classmethod
    def of(cls, event: Event) -> "Answer":
        """The answer in this event."""
        answer = cls(event.body)
        answer.event = event
        return answer


def conversation(*, changed: Changed = "end", sorry: str = "") -> Callable[[F], F]:
    """Say what happens to conversations that wait when their code has changed in between.

    It stands below `@rule`. `changed="end"` (also without this decorator) ends them, with the text
    `sorry` to the person if there is one; `"restart"` asks from the first question again; `"keep"`
    gives the kept answers to the new questions in their order, which is right when only the wording
    was changed.
    """

    def mark(function: F) -> F:
        setattr(function, POLICY, (changed, sorry))
        return function

    return mark


def is_conversation(function: Callable[..., Any]) -> bool:
    """Whether a rule's function is a conversation: it names `convo`."""
    return "convo" in parameters(function)


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as the function asked it. `key` is what it is recognised by; `takes_help` says
    that HELP is one of its answers."""

    text: str
    seconds: float
    media: tuple[str, ...]
    key: str
    takes_help: bool = False

    def __await__(self) -> Generator["Question", "Heard", "Heard"]:
        heard = yield self
        return heard


class Asked(Generic[T]):
    """The answer to come, to be awaited. Whatever else is done with it raises PluginError: a
    forgotten `await` would text the name of this class to a customer."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, Any, T]:
        return self._begin().__await__()

    def _forgotten(self, *_: object) -> Any:
        raise PluginError("", "the answer is not there yet: write `await` before the question")

    __str__ = __format__ = __bool__ = __eq__ = __add__ = __radd__ = __iter__ = __len__ = _forgotten
    __contains__ = __getitem__ = __getattr__ = __lt__ = __int__ = __float__ = _forgotten
    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a question: a reply, or one of the ways in which none will come."""

    kind: str
    at: datetime
    event: Event | None = None


@dataclass
class TurnClock:
    """The time of the turn that is being played: the same again when it is played again."""

    moment: datetime

    def now(self) -> datetime:
        """The moment at which this turn began, UTC."""
        return self.moment


@dataclass
class Conversation:
    """What a conversation's function gets as `convo`."""

    event: Event
    clock: TurnClock
    kept: list[Any] = field(default_factory=list)
    planned: list[Action] = field(default_factory=list)
    _next: int = 0

    def ask(
        self,
        question: str,
        *,
        timeout: str | float | timedelta = "24h",
        media: tuple[str, ...] = (),
        key: str = "",
    ) -> "Asked[Answer]":
        """Text a question and wait for the next text of this person.

        `key` names the question, so that its wording may change while somebody thinks about it.
        HELP is no answer: the question stays open.
        Raises NoAnswer after `timeout`, Undelivered when the question cannot be delivered, Left
        when the answer is STOP; a function that lets them pass simply ends there.
        """
        return Asked(lambda: self._ask(question, timeout, media, key))

    async def _ask(
        self, question: str, timeout: str | float | timedelta, media: tuple[str, ...], key: str,
        takes_help: bool = False,
    ) -> Answer:  # fmt: skip
        heard = await Question(question, _seconds(timeout), media, key or question, takes_help)
        if heard.kind == "reply" and heard.event is not None:
            return Answer.of(heard.event)
        if heard.kind == "undelivered" and heard.event is not None:
            why = f"{question!r} was not delivered (error {heard.event.error_code})"
            raise Undelivered(why, heard.event.error_class)
        if heard.kind == "left":
            raise Left("they sent STOP")
        raise NoAnswer(f"no answer to {question!r}")

    def choose(
        self,
        question: str,
        options: Sequence[str],
        *,
        timeout: str | float | timedelta = "24h",
        tries: int = 3,
        again: str = "",
    ) -> "Asked[str]":
        """Ask until the answer is one of the options, or its number, and return that option.

        `again` is what to say to another answer; without it the options are listed. Raises NoAnswer
        when none of the tries was an option, and what `ask` raises.
        """
        return Asked(lambda: self._choose(question, options, timeout, tries, again))

    async def _choose(
        self,
        question: str,
        options: Sequence[str],
        timeout: str | float | timedelta,
        tries: int,
        again: str,
    ) -> str:
        listed = ", ".join(options)
        text = question
        takes_help = any(opt_out_word(option) == "HELP" for option in options)
        for _ in range(tries):
            chosen = _option(await self._ask(text, timeout, (), "", takes_help), options)
            if chosen is not None:
                return chosen
            text = again or f"Please answer one of these: {listed}."
        raise NoAnswer(f"none of {tries} answers to {question!r} was one of {listed}")

    def tell(self, text: str, *, media: tuple[str, ...] = ()) -> None:
        """Text something, and wait for nothing."""
        self.planned.append(reply(self.event, text, media=media))

    def do(self, *actions: Action) -> None:
        """Ask for other actions on the way: a notice, a call, something to remember."""
        self.planned.extend(actions)

    def once(self, make: Callable[[], T]) -> T:
        """A value that may differ from one time to the next: made once and kept.

        It must be JSON: text, number, bool, None, lists and dicts of them. Raises PluginError else.
        """
        if self._next == len(self.kept):
            value = make()
            try:
                self.kept.append(json.loads(json.dumps(value)))
            except (TypeError, ValueError) as error:
                raise PluginError("", f"once() keeps JSON only: {error}") from None
        self._next += 1
        found: T = self.kept[self._next - 1]
        return found


def _option(answer: str, options: Sequence[str]) -> str | None:
    said = folded(answer).strip(" \t\r\n.!?'\"“”‘’")
    if said.isdecimal() and said not in options and 0 < int(said[:4]) <= len(options):
        return options[int(said[:4]) - 1]
    return next((option for option in options if folded(option) == said), None)


def _seconds(span: str | float | timedelta) -> float:
    if isinstance(span, str):
        return parse_duration(span)
    return span.total_seconds() if isinstance(span, timedelta) else float(span)
