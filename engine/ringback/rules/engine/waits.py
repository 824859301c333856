"""Waits: the runs that wait, by the events that would wake or end them. In memory only."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ringback.events import Event, matches_type
from ringback.rules.engine.admission import Woken
from ringback.rules.engine.answers import TEXT, answers
from ringback.rules.engine.continuation import scope_of
from ringback.rules.engine.ruleset import RuleSet, triggered
from ringback.rules.language.scope import Facts
from ringback.rules.model import Trigger


def home(event: Event) -> str:
    """The key under which everything about an event is done in order."""
    return event.conversation or event.subject_sid or event.uid


@dataclass(frozen=True, slots=True)
class Waiter:
    """One waiting run, what would wake it, and the rule whose `cancel_on` may end it. `place` is
    of the rule and the run's key; `watches` says that it waits to see an `unless`."""

    run_uid: str
    rule: str
    types: tuple[str, ...]
    key: str
    home: str
    place: str
    watches: bool


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
    """The waiting runs by what they wait under: a conversation, a call, the SID of a subject, or
    the key of a rule.

    `ruleset` is the one in use, for the conditions of `cancel_on`.
    """

    def __init__(self) -> None:
        self.ruleset = RuleSet(())
        self._by_key: dict[str, dict[str, Waiter]] = {}
        self._waiters: dict[str, Waiter] = {}

    def add(self, run_uid: str, rule: str, state: Mapping[str, Any], home: str, key: str) -> None:
        """This run waits from now on, or again after a restart, for the `wait` that its state
        holds. `home` is the conversation or subject that it began with, `key` its own."""
        saved, watches = state["wait"], state.get("phase") == "unless"
        waiter = Waiter(
            run_uid, rule, tuple(saved["types"]), saved["key"] or home, home, _place(rule, key),
            watches,
        )  # fmt: skip
        self.drop(run_uid)
        self._waiters[run_uid] = waiter
        for each in {waiter.key, waiter.home, waiter.place}:
            self._by_key.setdefault(each, {})[run_uid] = waiter

    def drop(self, run_uid: str) -> None:
        """This run waits no longer."""
        waiter = self._waiters.pop(run_uid, None)
        for key in {waiter.key, waiter.home, waiter.place} if waiter else ():
            left = self._by_key[key]
            left.pop(run_uid, None)
            if not left:
                del self._by_key[key]

    def woken_by(self, event: Event, facts: Facts, standing: Where) -> list[Woken]:
        """The runs that this event wakes, in the order in which they began to wait."""
        keys = self._keys(event, facts)
        return [
            Woken(waiter.run_uid, waiter.rule, self._answers(waiter, event, facts, standing))
            for waiter in self._near(keys)
            if (waiter.place if self._by_place(waiter) else waiter.key) in keys
            and any(matches_type(name, event.type) for name in waiter.types)
        ]

    def cancelled_by(self, event: Event, facts: Facts, standing: Where) -> list[str]:
        """The runs that this event ends, because their rule says `cancel_on`."""
        keys = self._keys(event, facts)
        return [
            waiter.run_uid
            for waiter in self._near(keys)
            if self._ends(waiter, event, keys, facts, standing)
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

    def _by_place(self, waiter: Waiter) -> bool:
        """Whether the `unless` of this run is looked for by the key that its rule says."""
        rule = self.ruleset.by_name.get(waiter.rule)
        return waiter.watches and rule is not None and rule.key is not None

    def _ends(
        self, waiter: Waiter, event: Event, keys: Collection[str], facts: Facts, standing: Where
    ) -> bool:
        rule = self.ruleset.by_name.get(waiter.rule)
        trigger = rule.cancel_on if rule is not None else None
        if rule is None or trigger is None or not _listens(trigger, event):
            return False
        if rule.key is not None and waiter.place not in keys:
            return False
        found = standing(waiter.run_uid) if trigger.conditions else None
        if found is None:
            return not trigger.conditions
        now, places = event.received_at, self.ruleset.places
        scope = scope_of(rule, found.began, facts, found.state, now, places, event)
        return not triggered(trigger, scope)

    def _keys(self, event: Event, facts: Facts) -> Collection[str]:
        """What an event is found by: its conversation, call and subject, and for each rule with a
        `key` whose runs look out for it the key that it has itself."""
        if not self._by_key:
            return ()
        keys = dict.fromkeys((event.conversation, event.call_sid, event.subject_sid))
        for rule in self.ruleset.watching:
            triggers = (rule.cancel_on, rule.unless)
            if any(trigger and _listens(trigger, event) for trigger in triggers):
                keys[_place(rule.name, self.ruleset.key_of(rule, event, facts))] = None
        return [key for key in keys if key]

    def _near(self, keys: Collection[str]) -> list[Waiter]:
        near: dict[str, Waiter] = {}
        for key in keys:
            near.update(self._by_key.get(key, {}))
        return list(near.values())


def _place(rule: str, key: str) -> str:
    return f"rule {rule}\0{key}"


def _listens(trigger: Trigger, event: Event) -> bool:
    return any(matches_type(name, event.type) for name in trigger.types)
