"""Rule set: which rules match an event, and why the others do not. Fast, and never raises.

An index stands first (`type_index`): type, trust, addresses and words select, and CEL comes last. A
line that several rules have is evaluated once for an event.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

from ringback.events import RULE_FIELD, STARTED, Event, matches_type
from ringback.rules.engine.type_index import FIRST_LINE, OWN, Row, TypeIndex
from ringback.rules.language.cel import Fault, Language, plain_language
from ringback.rules.language.scope import Facts, Scope
from ringback.rules.model import Condition, Rule, Trigger, every_step, waits
from ringback.rules.timing.calendar import Hours

_MOST_TYPES = 256


@dataclass(frozen=True, slots=True)
class Match:
    """The rules that want an event, highest priority first, and why each other one does not.

    A verdict is `off`, `from`, `to`, `schedule`, `trust:claimed`, `if:2` (the second line was
    false), or `error:2: why` (the second line failed). Only rules on this type of event have one.
    `looked_at` leaves out the rules that the index has passed over, for their addresses or their
    schedule: there may be thousands, and `elsewhere` makes their verdicts when somebody asks.
    """

    fired: tuple[Rule, ...]
    looked_at: dict[str, str]
    elsewhere: Callable[[], Mapping[str, str]]

    @property
    def verdicts(self) -> dict[str, str]:
        """The verdict of every rule that did not fire."""
        return {**self.looked_at, **self.elsewhere()}


class RuleSet:
    """All live rules of a project. Build a new one to change them."""

    def __init__(self, rules: Iterable[Rule], language: Language | None = None) -> None:
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda rule: -rule.priority))
        self.by_name: dict[str, Rule] = {rule.name: rule for rule in self.rules}
        found = next((rule.language for rule in self.rules if rule.language), None)
        self.language: Language = language or found or plain_language()
        self.watching = tuple(
            rule for rule in self.rules if any(map(rule.finds_by_key, rule.triggers))
        )
        self._calls = any(
            step.kind == "call" and waits(step)
            for rule in self.rules if rule.state != "off" for step in every_step(rule.steps)
        )  # fmt: skip
        self._indexes: dict[tuple[str, str], TypeIndex] = {}
        self._listening: dict[str, tuple[Rule, ...]] = {}
        self._shared: dict[str, tuple[str, ...]] = {}

    @property
    def places(self) -> Mapping[str, Hours]:
        """The opening hours that rules may ask for."""
        return self.language.hours

    def get(self, name: str) -> Rule | None:
        """The rule of this name."""
        return self.by_name.get(name)

    def wants(self, type_: str) -> bool:
        """Whether any rule that is not `off` listens to this type of event, or has runs that go on
        in calls of ours, and so have to know of one that was never made."""
        if self._calls and type_ in ("action.failed", "action.refused"):
            return True
        return any(rule.state != "off" for rule in self.listening(type_))

    def steers(self, type_: str) -> bool:
        """The same of rules that are not in shadow: only these may change the course of a call."""
        return any(rule.state not in ("off", "shadow") for rule in self.listening(type_))

    def listening(self, type_: str) -> tuple[Rule, ...]:
        """The rules on this type of event, in their order."""
        found = self._listening.get(type_)
        if found is None:
            found = tuple(
                rule for rule in self.rules if any(matches_type(on, type_) for on in rule.on)
            )
            if len(self._listening) < _MOST_TYPES:
                self._listening[type_] = found
        return found

    def shared(self, type_: str) -> tuple[str, ...]:
        """Names of the rules with a `key` that this type of event starts runs of, ends or keeps
        from beginning: what they make of one conversation may depend on another."""
        found = self._shared.get(type_)
        if found is None:
            found = tuple(
                f"rule {rule.name}"
                for rule in self.rules
                if _counts_by_key(rule) and any(matches_type(on, type_) for on in _heard(rule))
            )
            if len(self._shared) < _MOST_TYPES:
                self._shared[type_] = found
        return found

    def in_shadow(self, name: str) -> bool:
        """Whether the rule of this name is in shadow; one that is not there is not."""
        rule = self.by_name.get(name)
        return rule is not None and rule.in_shadow

    def scope(self, event: Event, facts: Facts, rule: Rule | None = None) -> Scope:
        """What a condition on this event can see. A rule in shadow sees a past of its own."""
        if rule is not None and rule.in_shadow:
            facts = facts.of_shadow(rule.name)
        return Scope(event, facts, places=self.language.hours)

    def match(self, event: Event, facts: Facts) -> Match:
        """Which rules want this event. Timing, overlap and backstop are judged by the worker."""
        if event.type == STARTED:
            return self._started(event)
        trust = OWN if event.source == "internal" else event.trust
        index = self._indexes.get((event.type, trust)) or self._index(event.type, trust)
        found = index.addressed(event)
        verdicts = dict(index.otherwise)
        fired: list[Rule] = []  # `list[Rule]()` takes a microsecond more
        searches = index.searches(found)
        if found or index.open or searches:
            scope = self.scope(event, facts)
            said = index.said(scope) if searches else _NOTHING
            known = index.values(scope)
            for row in index.rows(found, said, known):
                if row.plain:
                    why = holds(row.rule.conditions, scope, known)
                else:
                    why = self._why_not(row, scope, said, known)
                if why:
                    verdicts[row.rule.name] = why
                else:
                    verdicts.pop(row.rule.name, None)
                    fired.append(row.rule)
        elsewhere = partial(index.elsewhere, found) if index.by_address else dict
        return Match(tuple(fired), verdicts, elsewhere)

    def _started(self, event: Event) -> Match:
        """Of a start: the one rule that it names, whatever that listens to and asks of an event."""
        rule = self.by_name.get(event.fields.get(RULE_FIELD, ""))
        fired = (rule,) if rule is not None and rule.state != "off" else ()
        off = {rule.name: "off"} if rule is not None and not fired else {}
        return Match(fired, off, dict)

    def _why_not(self, row: Row, scope: Scope, said: Set[str], known: dict[str, Any]) -> str:
        """The verdict on a rule that was found by an address or a word, or is in shadow."""
        event, rule = scope.event, row.rule
        if why := row.refuses(event) if row.found_by else "":
            return why
        if rule.in_shadow and row.first:
            return holds(rule.conditions, self.scope(event, scope.facts, rule))
        if (row.guard and row.guard.isdisjoint(said)) or known.get(row.first) is False:
            return FIRST_LINE
        return holds(rule.conditions, scope, known)

    def _index(self, type_: str, trust: str) -> TypeIndex:
        index = TypeIndex(self.listening(type_), trust, self.language)
        if len(self._indexes) < _MOST_TYPES:
            self._indexes[type_, trust] = index
        return index

    def key_of(self, rule: Rule, event: Event, facts: Facts, trigger: Trigger | None = None) -> str:
        """What the rule's timing and overlap count by: its `key`, else the conversation. For an
        event that a `trigger` of it names that may be a key of its own."""
        template = trigger.key if trigger is not None and trigger.key is not None else rule.key
        if template is not None:
            scope = self.scope(event, facts, rule)
            if trigger is not None and trigger.key is not None:
                scope = Scope(event, scope.facts, places=scope.places, reply=event)
            key = template.render(scope)
            if isinstance(key, str):
                return key
        return event.conversation or event.subject_sid

    def is_own(self, rule: Rule, trigger: Trigger, event: Event, facts: Facts, key: str) -> bool:
        """Whether an event has the key of a run, where its rule or the trigger says one."""
        return not rule.finds_by_key(trigger) or self.key_of(rule, event, facts, trigger) == key


_NOTHING: frozenset[str] = frozenset()


def _counts_by_key(rule: Rule) -> bool:
    restrains = rule.once_within or rule.collects or rule.mode == "queued" or rule.lasts
    keyed = rule.key is not None or any(map(rule.finds_by_key, rule.triggers))
    return keyed and bool(restrains)


def _heard(rule: Rule) -> Iterator[str]:
    """The types of events that a rule looks out for, from any conversation."""
    yield from rule.on
    for trigger in rule.triggers:
        yield from trigger.types


def holds(
    conditions: tuple[Condition, ...], scope: Scope, known: dict[str, Any] | None = None
) -> str:
    """Empty when every line holds, else the verdict of the first that does not.

    `known` are the values in this scope of lines (by their text) that were evaluated already; the
    others are added to it.
    """
    known = {} if known is None else known
    for number, condition in enumerate(conditions, 1):
        source = condition.source
        if source not in known:
            known[source] = condition.program.evaluate(scope)
        value = known[source]
        if value is False:
            return f"if:{number}"
        if isinstance(value, Fault):
            return f"error:{number}: {value.message}"
        if value is not True:
            return f"error:{number}: not a bool"
    return ""


def triggered(trigger: Trigger, scope: Scope) -> str:
    """Whether the scope's `reply` is what a trigger waits for: empty, or the verdict why not."""
    if not any(matches_type(type_, scope.reply.type) for type_ in trigger.types):
        return "type"
    return holds(trigger.conditions, scope)
