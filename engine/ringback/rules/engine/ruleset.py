"""Rule set: which rules match an event, and why the others do not. Fast, and never raises.

An index by type stands first, addresses and states second, and CEL last: the first `if` lines of
all rules that reach it are evaluated as one program, because a call into CEL costs more than a
comparison does. A line that fails takes the others with it, so it is from then on evaluated alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ringback.events import Event, matches_type
from ringback.rules.language.cel import Fault, Language, Program
from ringback.rules.language.scope import Facts, Scope
from ringback.rules.model import DEFAULT_TRUST, Condition, Rule, Trigger
from ringback.rules.timing.calendar import Hours
from ringback.rules.timing.cron import RULE_FIELD

_MOST_PLANS = 256


@dataclass(frozen=True, slots=True)
class Match:
    """The rules that want an event, highest priority first, and why each other one does not.

    A verdict is `off`, `from`, `to`, `trust:claimed`, `if:2` (the second line was false), or
    `error:2: why` (the second line failed). Only rules on this type of event have one.
    """

    fired: tuple[Rule, ...]
    verdicts: dict[str, str]


class _Addresses:
    """Whom a rule is for: exact addresses, and beginnings of addresses (`+1555*`)."""

    __slots__ = ("beginnings", "exact")

    def __init__(self, wanted: Iterable[str]) -> None:
        self.exact = frozenset(each for each in wanted if not each.endswith("*"))
        self.beginnings = tuple(each[:-1] for each in wanted if each.endswith("*"))

    def has(self, address: str) -> bool:
        return address in self.exact or address.startswith(self.beginnings)


@dataclass(slots=True)
class _Row:
    """One rule of a plan. `place` is where the value of its first line stands, -1 for nowhere."""

    rule: Rule
    anybody: bool
    from_: _Addresses | None
    to: _Addresses | None
    place: int = -1

    def refuses(self, event: Event) -> str:
        """Why the rule is not for this event, before any condition; empty when it is."""
        rule = self.rule
        if event.trust not in rule.trust and event.source != "internal":
            return f"trust:{event.trust}"
        if self.from_ is not None and not self.from_.has(event.sender):
            return "from"
        if self.to is not None and not self.to.has(event.recipient):
            return "to"
        if rule.schedule is not None and event.fields.get(RULE_FIELD) != rule.name:
            return "schedule"
        return ""


def _row(rule: Rule) -> _Row:
    return _Row(
        rule,
        rule.trust >= DEFAULT_TRUST and not (rule.from_ or rule.to or rule.schedule),
        _Addresses(rule.from_) if rule.from_ else None,
        _Addresses(rule.to) if rule.to else None,
    )


@dataclass(slots=True)
class _Plan:
    """What is known about one type of event before any event comes.

    `lines` are the first lines of rules for anybody, by their text; `alone` those that failed once.
    """

    rows: tuple[_Row, ...]
    verdicts: dict[str, str]
    lines: dict[str, Program]
    alone: set[str] = field(default_factory=set)
    together: Program | None = None
    order: tuple[str, ...] = ()

    def join(self, language: Language) -> None:
        """Make one program of all first lines that may stand together."""
        self.order = tuple(source for source in self.lines if source not in self.alone)
        programs = [self.lines[source] for source in self.order]
        self.together = language.batch(programs) if len(programs) > 1 else None
        if self.together is None:
            self.order = ()
        places = {source: place for place, source in enumerate(self.order)}
        for row in self.rows:
            if row.anybody and row.rule.conditions:
                row.place = places.get(row.rule.conditions[0].source, -1)

    def values(self, scope: Scope, language: Language) -> Sequence[object]:
        """The values of the first lines in their order; empty when there is no common program."""
        if self.together is None:
            return ()
        values = self.together.evaluate(scope)
        if isinstance(values, list):
            return values
        order = self.order
        single = [self.lines[source].evaluate(scope) for source in order]
        failed = {
            source for source, value in zip(order, single, strict=True) if isinstance(value, Fault)
        }
        if failed:
            self.alone |= failed
            self.join(language)
        known = dict(zip(order, single, strict=True))
        return [known[source] for source in self.order]


class RuleSet:
    """All live rules of a project. Build a new one to change them."""

    def __init__(self, rules: Iterable[Rule], language: Language | None = None) -> None:
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda rule: -rule.priority))
        self.by_name: dict[str, Rule] = {rule.name: rule for rule in self.rules}
        found = next((rule.language for rule in self.rules if rule.language), None)
        self.language: Language = language or found or Language()
        self.watching = tuple(
            rule for rule in self.rules if rule.key is not None and (rule.cancel_on or rule.unless)
        )
        self._plans: dict[str, _Plan] = {}

    @property
    def places(self) -> Mapping[str, Hours]:
        """The opening hours that rules may ask for."""
        return self.language.hours

    def get(self, name: str) -> Rule | None:
        """The rule of this name."""
        return self.by_name.get(name)

    def wants(self, type_: str) -> bool:
        """Whether any rule that is not `off` listens to this type of event."""
        plan = self._plans.get(type_) or self._plan(type_)
        return bool(plan.rows)

    def steers(self, type_: str) -> bool:
        """The same of rules that are not in shadow: only these may change the course of a call."""
        plan = self._plans.get(type_) or self._plan(type_)
        return any(not row.rule.in_shadow for row in plan.rows)

    def in_shadow(self, name: str) -> bool:
        """Whether the rule of this name is in shadow; one that is not there is not."""
        rule = self.by_name.get(name)
        return rule is not None and rule.in_shadow

    def scope(self, event: Event, facts: Facts) -> Scope:
        """What a condition on this event can see."""
        return Scope(event, facts, places=self.language.hours)

    def match(self, event: Event, facts: Facts) -> Match:
        """Which rules want this event. Timing, overlap and backstop are judged by the worker."""
        plan = self._plans.get(event.type) or self._plan(event.type)
        verdicts = dict(plan.verdicts)
        if not plan.rows:
            return Match((), verdicts)
        scope = self.scope(event, facts)
        values = plan.values(scope, self.language)
        trusted = event.trust in DEFAULT_TRUST or event.source == "internal"
        fired = []
        for row in plan.rows:
            rule = row.rule
            value = values[row.place] if row.place >= 0 and values else None
            if not (trusted and row.anybody):
                why = row.refuses(event) or holds(rule.conditions, scope, value)
            elif value is False:
                why = "if:1"
            else:
                why = holds(rule.conditions, scope, value) if rule.conditions else ""
            if why:
                verdicts[rule.name] = why
            else:
                fired.append(rule)
        return Match(tuple(fired), verdicts)

    def _plan(self, type_: str) -> _Plan:
        wanted = [rule for rule in self.rules if any(matches_type(on, type_) for on in rule.on)]
        rows = tuple(_row(rule) for rule in wanted if rule.state != "off")
        firsts = [row.rule.conditions[0] for row in rows if row.anybody and row.rule.conditions]
        plan = _Plan(
            rows,
            {rule.name: "off" for rule in wanted if rule.state == "off"},
            {first.source: first.program for first in firsts},
        )
        plan.join(self.language)
        if len(self._plans) < _MOST_PLANS:
            self._plans[type_] = plan
        return plan

    def key_of(self, rule: Rule, event: Event, facts: Facts) -> str:
        """What the rule's timing and overlap count by: its `key`, else the conversation."""
        if rule.key is not None:
            key = rule.key.render(self.scope(event, facts))
            if isinstance(key, str):
                return key
        return event.conversation or event.subject_sid


def holds(conditions: tuple[Condition, ...], scope: Scope, first: object = None) -> str:
    """Empty when every line holds, else the verdict of the first that does not.

    `first` is the value of the first line when it is known already.
    """
    for number, condition in enumerate(conditions, 1):
        value = first if number == 1 and first is not None else condition.program.evaluate(scope)
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
