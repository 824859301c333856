"""Memo: the answers of plugins that one pass over rules needs, asked for in batches.

Conditions, texts and steps are evaluated at once, and code of plugins runs in another process. So
a pass looks answers up: what is not there yet is noted, and fails. After the pass the missing ones
are asked, and the pass, which is pure, is made again until nothing is missing.
"""

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ringback.actions import Action
from ringback.events import Event

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FunctionQuestion:
    """A call of a plugin's function with these arguments."""

    plugin: str
    name: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class StepQuestion:
    """A step of a plugin, for this event and with these parameters."""

    plugin: str
    name: str
    event: Event
    params: Mapping[str, Any]


Question = FunctionQuestion | StepQuestion
Known = tuple[bool, Any]
"""`(True, value)`, or `(False, exception)`: what is raised wherever the answer is looked up."""


class Unasked(Exception):
    """Nobody knows the answer in this pass."""


@dataclass(slots=True)
class Memo:
    """What is known, and what was looked up in vain in the pass that is being made."""

    known: dict[Hashable, Known] = field(default_factory=dict)
    missing: dict[Hashable, Question] = field(default_factory=dict)
    lacked: list[Hashable] = field(default_factory=list)
    """The same in the order of the look-ups, each time that it was looked up."""

    def answer(self, key: Hashable, question: Question) -> Any:
        """The answer to a question. Raises Unasked without one, and what it is when an error."""
        found = self.known.get(key)
        if found is None:
            self.missing[key] = question
            self.lacked.append(key)
            raise Unasked("a plugin was not asked yet")
        good, value = found
        if not good:
            raise value
        return value

    def within(self, work: Callable[..., T]) -> Callable[..., T]:
        """The same work, as one pass that looks its answers up here."""

        def one_pass(*args: Any) -> T:
            self.missing.clear()
            self.lacked.clear()
            token = _CURRENT.set(self)
            try:
                return work(*args)
            finally:
                _CURRENT.reset(token)

        return one_pass


_CURRENT: ContextVar[Memo] = ContextVar("memo")


def lacked() -> Sequence[Hashable]:
    """What this pass has looked up in vain so far, in order."""
    found = _CURRENT.get(None)
    return found.lacked if found is not None else ()


def ask_function(plugin: str, name: str, *args: Any) -> Any:
    """The value of a plugin's function, from the memo of this pass."""
    key = (plugin, name, *map(_frozen, args))
    return _memo().answer(key, FunctionQuestion(plugin, name, args))


def ask_step(plugin: str, name: str, event: Event, params: Mapping[str, Any]) -> tuple[Action, ...]:
    """The actions of a plugin's step, from the memo of this pass."""
    key = (plugin, name, event.uid, json.dumps(params, sort_keys=True, default=repr))
    actions: tuple[Action, ...] = _memo().answer(key, StepQuestion(plugin, name, event, params))
    return actions


def _memo() -> Memo:
    found = _CURRENT.get(None)
    if found is None:
        raise Unasked("plugins are asked while rules are judged and run, and not before")
    return found


def _frozen(value: Any) -> Hashable:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
