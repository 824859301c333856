"""Waits: the runs that wait, by the events that would wake or end them. In memory only."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.events import CALL_OVER, Event, matches_type
from ringback.rules.engine.admission import Woken
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.interpreter.answers import TEXT, answers, heeds
from ringback.rules.interpreter.progress import keys_of
from ringback.rules.language.scope import Facts
from ringback.rules.model import PLACED, Rule, Trigger


def home(event: Event) -> str:
    """The key under which everything about an event is done in order."""
    return event.conversation or event.subject_sid or event.uid


def turn_of(rule: Rule | None, key: str) -> str:
    """The key under which the runs of a rule take turns. A rule in shadow has turns of its own:
    nobody waits for what is not done."""
    return shadow_turn(key) if rule is not None and rule.in_shadow else key


def shadow_turn(key: str) -> str:
    """The key for rules in shadow beside this one."""
    return f"shadow {key}"


@dataclass(frozen=True, slots=True)
class Waiter:
    """One waiting run, what would wake it, and the rule whose `cancel_on` may end it. `place` is
    of the rule and the run's key; `watches` says that it waits to see an `unless`, `due` until when
    it waits."""

    run_uid: str
    rule: str
    types: tuple[str, ...]
    key: str
    home: str
    place: str
    watches: bool
    due: datetime | None

    def in_time(self, event: Event) -> bool:
        """Whether an event was sent, or came, before the time of this run was over."""
        return self.due is None or min(event.at, event.received_at) <= self.due


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
        self._hung_up: set[str] = set()
        self._placed: set[str] = set()

    def add(self, run_uid: str, rule: str, state: Mapping[str, Any], home: str, key: str) -> None:
        """This run waits from now on, or again after a restart, for the `wait` that its state
        holds. `home` is the conversation or subject that it began with, `key` its own."""
        saved, watches = state["wait"], state.get("phase") == "unless"
        waiter = Waiter(
            run_uid, rule, tuple(saved["types"]), saved["key"] or home, home, place_of(rule, key),
            watches, datetime.fromisoformat(saved["due"]) if saved["due"] else None,
        )  # fmt: skip
        self.drop(run_uid)
        if state.get("over"):
            self._hung_up.add(run_uid)
        self._waiters[run_uid] = waiter
        if waiter.key.startswith(PLACED):
            self._placed.add(waiter.key)
        for each in {*keys_of(waiter.key), waiter.home, waiter.place}:
            self._by_key.setdefault(each, {})[run_uid] = waiter

    def drop(self, run_uid: str) -> None:
        """This run waits no longer."""
        self._hung_up.discard(run_uid)
        waiter = self._waiters.pop(run_uid, None)
        self._placed.discard(waiter.key if waiter else "")
        for key in {*keys_of(waiter.key), waiter.home, waiter.place} if waiter else ():
            left = self._by_key[key]
            left.pop(run_uid, None)
            if not left:
                del self._by_key[key]

    def where(self, run_uid: str) -> tuple[str, str]:
        """The place of a waiting run and its home; empty when it does not wait."""
        waiter = self._waiters.get(run_uid)
        return (waiter.place, waiter.home) if waiter else ("", "")

    def busy(self, runs: Sequence[str], call: Event | None) -> Sequence[str]:
        """Those of the runs that may keep others of their key from starting: all but such whose
        caller has hung up, and that look out for the recording alone. So has who makes this new
        `call`: how their last one ended is told later, or never."""
        if not self._hung_up and call is None:
            return runs
        return [uid for uid in runs if uid not in self._hung_up and not self._left(uid, call)]

    def _left(self, run_uid: str, event: Event | None) -> bool:
        """Whether a run waits for what is said in another call of this caller."""
        waiter = self._waiters.get(run_uid)
        if waiter is None or event is None or waiter.home != home(event):
            return False
        if waiter.key in self._placed:
            return False
        return waiter.key != event.call_sid and set(CALL_OVER).issubset(waiter.types)

    def concerned(self, events: Sequence[Event]) -> set[str]:
        """The runs that these events may wake or end, before anybody has looked at a condition or
        made the key of a rule: rather too many than too few."""
        keys = {key for event in events for key in (
            event.conversation, event.call_sid, event.subject_sid,
            event.fields.get("ParentCallSid", ""),
        ) if key}  # fmt: skip
        if any(event.type.startswith(_OF_CALLS) for event in events):
            keys |= self._placed
        types = {event.type for event in events}
        keyed = {rule.name for rule in self.ruleset.watching if _hears(rule, types)}
        found = {waiter.run_uid for waiter in self._near(keys)}
        if keyed:
            found |= {uid for uid, waiter in self._waiters.items() if waiter.rule in keyed}
        return found

    def woken_by(self, event: Event, facts: Facts, standing: Where) -> list[Woken]:
        """The runs that this event wakes, in the order in which they began to wait."""
        if not self._by_key:
            return []
        places, keys = self._places(event, facts), [*_keys(event), *self._call(event, facts)]
        return [
            Woken(waiter.run_uid, waiter.rule, self._answers(waiter, event, facts, standing))
            for waiter in self._near([*keys, *places.values()])
            if (
                places.get((waiter.rule, False)) == waiter.place
                if self._by_place(waiter)
                else any(key in keys for key in keys_of(waiter.key))
            )
            and any(matches_type(name, event.type) for name in waiter.types)
            and waiter.in_time(event)
        ]

    def cancelled_by(self, event: Event, facts: Facts, standing: Where) -> list[str]:
        """The runs that this event ends, because their rule says `cancel_on`."""
        if not self._by_key:
            return []
        places = self._places(event, facts)
        return [
            waiter.run_uid
            for waiter in self._near([*_keys(event), *places.values()])
            if self._ends(waiter, event, places, facts, standing)
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
        unless = rule.unless if rule is not None and waiter.watches else None
        return rule is not None and unless is not None and rule.finds_by_key(unless)

    def _ends(
        self, waiter: Waiter, event: Event, places: "_Places", facts: Facts, standing: Where
    ) -> bool:
        rule = self.ruleset.by_name.get(waiter.rule)
        trigger = rule.cancel_on if rule is not None else None
        if rule is None or trigger is None or not _listens(trigger, event):
            return False
        if rule.finds_by_key(trigger) and waiter.place != places.get((rule.name, True)):
            return False
        found = standing(waiter.run_uid) if trigger.conditions else None
        if found is None:
            return not trigger.conditions
        return heeds(trigger, rule, found.began, found.state, event, facts, self.ruleset.places)

    def _call(self, event: Event, facts: Facts) -> list[str]:
        """The nonce of the call that an event is about, when some run waits for a call of ours; or
        the call that has led to this one, of whoever picks up a `dial`."""
        if parent := event.fields.get("ParentCallSid", ""):
            return [parent]
        if not self._placed or not event.type.startswith(_OF_CALLS):
            return []
        return [event.tag if event.tag in self._placed else facts.placed_call(event)]

    def _places(self, event: Event, facts: Facts) -> "_Places":
        """Where the runs are that look out for an event by its key, for each rule that has one."""
        return {
            (rule.name, trigger is rule.cancel_on): place_of(
                rule.name, self.ruleset.key_of(rule, event, facts, trigger)
            )
            for rule in self.ruleset.watching
            for trigger in rule.triggers
            if rule.finds_by_key(trigger) and _listens(trigger, event)
        }

    def _near(self, keys: Collection[str]) -> list[Waiter]:
        near: dict[str, Waiter] = {}
        for key in keys:
            near.update(self._by_key.get(key, {}))
        return list(near.values())


_Places = Mapping[tuple[str, bool], str]
"""By the name of a rule, and whether its `cancel_on` is meant or its `unless`."""
_OF_CALLS = ("call.", "action.")
"""How the types begin of what may come of a call that a run waits for."""


def _keys(event: Event) -> list[str]:
    """What an event is found by: its conversation, call and subject."""
    keys = dict.fromkeys((event.conversation, event.call_sid, event.subject_sid))
    return [key for key in keys if key]


def place_of(rule: str, key: str) -> str:
    """The name of what a rule counts its runs by: its own name, and their key."""
    return f"rule {rule}\0{key}"


def _hears(rule: Rule, types: Collection[str]) -> bool:
    """Whether the `cancel_on` or `unless` of a rule looks out for one of these types."""
    names = [name for each in rule.triggers for name in each.types]
    return any(matches_type(name, type_) for name in names for type_ in types)


def _listens(trigger: Trigger, event: Event) -> bool:
    return any(matches_type(name, event.type) for name in trigger.types)
