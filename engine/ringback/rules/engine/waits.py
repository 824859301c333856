"""Waits: the runs that wait, by the events that would wake or end them. In memory only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ringback.events import Event, matches_type
from ringback.rules.engine.admission import Woken
from ringback.rules.engine.answers import TEXT, answers
from ringback.rules.engine.continuation import scope_of
from ringback.rules.engine.interpreter import Wait
from ringback.rules.engine.ruleset import RuleSet, triggered
from ringback.rules.language.scope import Facts
from ringback.rules.model import Rule, Trigger


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


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a waiting run stands: the event that it began with, the state that its last step left,
    and whether it is `busy`: has events that it has yet to take."""

    began: Event
    state: Mapping[str, Any]
    busy: bool


Where = Callable[[str], Standing | None]
"""Where a run (uid) stands; None when its beginning is not kept."""


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

    def woken_by(self, event: Event, facts: Facts, standing: Where) -> list[Woken]:
        """The runs that this event wakes, in the order in which they began to wait."""
        return [
            Woken(waiter.run_uid, waiter.rule, self._answers(waiter, event, facts, standing))
            for waiter in self._near(event)
            if waiter.key in _keys(event)
            and any(matches_type(name, event.type) for name in waiter.types)
        ]

    def cancelled_by(self, event: Event, facts: Facts, standing: Where) -> list[str]:
        """The runs that this event ends, because their rule says `cancel_on`."""
        return [
            waiter.run_uid
            for waiter in self._near(event)
            if self._ends(waiter, event, facts, standing)
        ]

    def _answers(self, waiter: Waiter, event: Event, facts: Facts, standing: Where) -> bool:
        """Whether an event is the answer that a run has asked for. When something else came for the
        run first, nobody knows what it will ask then: others are not kept from the event."""
        rule = self.ruleset.by_name.get(waiter.rule)
        if rule is None or event.type != TEXT:
            return False
        found = standing(waiter.run_uid)
        if found is None or found.busy:
            return False
        return answers(rule, found.began, found.state, event, facts, self.ruleset.places)

    def _ends(self, waiter: Waiter, event: Event, facts: Facts, standing: Where) -> bool:
        rule = self.ruleset.by_name.get(waiter.rule)
        trigger = rule.cancel_on if rule is not None else None
        if rule is None or trigger is None or not _listens(trigger, event):
            return False
        found = standing(waiter.run_uid) if trigger.conditions else None
        if found is None:
            return not trigger.conditions
        now, places = event.received_at, self.ruleset.places
        scope = scope_of(rule, found.began, facts, found.state, now, places, event)
        return not triggered(trigger, scope)

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


def _listens(trigger: Trigger, event: Event) -> bool:
    return any(matches_type(name, event.type) for name in trigger.types)


def _keys(event: Event) -> list[str]:
    keys = (event.conversation, event.call_sid, event.subject_sid)
    return [key for key in dict.fromkeys(keys) if key]
