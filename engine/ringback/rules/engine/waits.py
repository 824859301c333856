"""Waits: the runs that wait, by the events that would wake or end them. In memory only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ringback.events import Event, matches_type
from ringback.rules.engine.admission import Woken
from ringback.rules.engine.interpreter import Wait
from ringback.rules.engine.ruleset import RuleSet, triggered
from ringback.rules.language.scope import Facts, Scope
from ringback.rules.model import Rule


def home(event: Event) -> str:
    """The key under which everything about an event is done in order."""
    return event.conversation or event.subject_sid or event.uid


@dataclass(frozen=True, slots=True)
class Waiter:
    """One waiting run, what would wake it, and the rule whose `cancel_on` may end it."""

    run_uid: str
    rule: str
    types: tuple[str, ...]
    key: str
    home: str


class Waits:
    """The waiting runs by what they wait under: a conversation, a call, or the SID of a subject.

    `ruleset` is the one in use, for the conditions of `cancel_on`.
    """

    def __init__(self) -> None:
        self.ruleset = RuleSet(())
        self._by_key: dict[str, dict[str, Waiter]] = {}
        self._waiters: dict[str, Waiter] = {}

    def add(self, run_uid: str, rule: Rule, wait: Wait, home: str) -> None:
        """This run waits from now on. `home` is the conversation or subject that it began with."""
        self._put(Waiter(run_uid, rule.name, wait.event_types, wait.key or home, home))

    def restore(self, run_uid: str, rule: str, saved: Mapping[str, Any], home: str) -> None:
        """A waiting run again, after a restart. `saved` is the `wait` that its state holds."""
        self._put(Waiter(run_uid, rule, tuple(saved["types"]), saved["key"], home))

    def drop(self, run_uid: str) -> None:
        """This run waits no longer."""
        waiter = self._waiters.pop(run_uid, None)
        for key in {waiter.key, waiter.home} if waiter else ():
            left = self._by_key[key]
            left.pop(run_uid, None)
            if not left:
                del self._by_key[key]

    def woken_by(self, event: Event) -> list[Woken]:
        """The runs that this event wakes, in the order in which they began to wait."""
        return [
            Woken(waiter.run_uid, waiter.rule)
            for waiter in self._near(event)
            if waiter.key in _keys(event)
            and any(matches_type(name, event.type) for name in waiter.types)
        ]

    def cancelled_by(
        self, event: Event, facts: Facts, began: Callable[[str], Event | None]
    ) -> list[str]:
        """The runs that this event ends, because their rule says `cancel_on`. `began` gives the
        event that a run (uid) began with, None when it is not kept: conditions call it `event`."""
        return [
            waiter.run_uid
            for waiter in self._near(event)
            if self._ends(waiter, event, facts, began)
        ]

    def _ends(
        self, waiter: Waiter, event: Event, facts: Facts, began: Callable[[str], Event | None]
    ) -> bool:
        rule = self.ruleset.by_name.get(waiter.rule)
        trigger = rule.cancel_on if rule is not None else None
        if trigger is None or not any(matches_type(name, event.type) for name in trigger.types):
            return False
        first = began(waiter.run_uid) if trigger.conditions else event
        if first is None:
            return False
        now, places = event.received_at, self.ruleset.places
        return not triggered(trigger, Scope(first, facts, now=now, places=places, reply=event))

    def _put(self, waiter: Waiter) -> None:
        self.drop(waiter.run_uid)
        self._waiters[waiter.run_uid] = waiter
        for key in {waiter.key, waiter.home}:
            self._by_key.setdefault(key, {})[waiter.run_uid] = waiter

    def _near(self, event: Event) -> list[Waiter]:
        if not self._by_key:
            return []
        near: dict[str, Waiter] = {}
        for key in _keys(event):
            near.update(self._by_key.get(key, {}))
        return list(near.values())


def _keys(event: Event) -> list[str]:
    keys = (event.conversation, event.call_sid, event.subject_sid)
    return [key for key in dict.fromkeys(keys) if key]
