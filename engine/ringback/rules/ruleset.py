"""Rule set: which rules want an event, and why the others do not. Fast, and never raises.

An index by type stands first, addresses and states second, and CEL last: the first `if` lines of
all rules that reach it are evaluated as one program, because a call into CEL costs more than a
comparison does. A line that fails takes the others with it, so it is from then on evaluated alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ringback.events import Event, matches_type
from ringback.rules.calendar import Hours
from ringback.rules.cel import Fault, Language, Program
from ringback.rules.model import Condition, Rule, Trigger
from ringback.rules.schedule import RULE_FIELD
from ringback.rules.scope import Facts, Scope

_MOST_PLANS = 256


@dataclass(frozen=True, slots=True)
class Match:
    """The rules that want an event, highest priority first, and why each other one does not.

    A verdict is `off`, `from`, `to`, `trust:claimed`, `if:2` (the second line was false), or
    `error:2: why` (the second line failed). Only rules on this type of event have one.
    """

    fired: tuple[Rule, ...]
    verdicts: dict[str, str]


@dataclass(slots=True)
class _Plan:
    """What is known about one type of event before any event comes."""

    rules: tuple[Rule, ...]
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


class RuleSet:
    """All live rules of a project. Build a new one to change them."""

    def __init__(self, rules: Iterable[Rule], language: Language | None = None) -> None:
        self.rules: tuple[Rule, ...] = tuple(sorted(rules, key=lambda rule: -rule.priority))
        self.by_name: dict[str, Rule] = {rule.name: rule for rule in self.rules}
        found = next((rule.language for rule in self.rules if rule.language), None)
        self.language: Language = language or found or Language()
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
        return bool(plan.rules)

    def scope(self, event: Event, facts: Facts) -> Scope:
        """What a condition on this event can see."""
        return Scope(event, facts, places=self.language.hours)

    def match(self, event: Event, facts: Facts) -> Match:
        """Which rules want this event. Timing, overlap and backstop are judged by the worker."""
        plan = self._plans.get(event.type) or self._plan(event.type)
        if not plan.rules:
            return Match((), dict(plan.verdicts))
        verdicts = dict(plan.verdicts)
        scope = self.scope(event, facts)
        known = self._first_lines(plan, scope)
        fired = []
        for rule in plan.rules:
            why = _addressed(rule, event) or holds(rule.conditions, scope, known)
            if why:
                verdicts[rule.name] = why
            else:
                fired.append(rule)
        return Match(tuple(fired), verdicts)

    def _first_lines(self, plan: _Plan, scope: Scope) -> dict[str, object]:
        if plan.together is None:
            return {}
        values = plan.together.evaluate(scope)
        if isinstance(values, list):
            return dict(zip(plan.order, values, strict=True))
        known: dict[str, object] = {}
        for source in plan.order:
            known[source] = plan.lines[source].evaluate(scope)
            if isinstance(known[source], Fault):
                plan.alone.add(source)
        plan.join(self.language)
        return known

    def _plan(self, type_: str) -> _Plan:
        wanted = [rule for rule in self.rules if any(matches_type(on, type_) for on in rule.on)]
        ready = tuple(rule for rule in wanted if rule.state != "off")
        plan = _Plan(
            ready,
            {rule.name: "off" for rule in wanted if rule.state == "off"},
            {
                rule.conditions[0].source: rule.conditions[0].program
                for rule in ready
                if rule.conditions and not (rule.from_ or rule.to)
            },
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


def _addressed(rule: Rule, event: Event) -> str:
    if event.trust not in rule.trust and event.source != "internal":
        return f"trust:{event.trust}"
    if rule.from_ and not _among(event.sender, rule.from_):
        return "from"
    if rule.to and not _among(event.recipient, rule.to):
        return "to"
    if rule.schedule is not None and event.fields.get(RULE_FIELD) != rule.name:
        return "schedule"
    return ""


def _among(address: str, wanted: tuple[str, ...]) -> bool:
    return address in wanted or any(
        each.endswith("*") and address.startswith(each[:-1]) for each in wanted
    )


def holds(
    conditions: tuple[Condition, ...], scope: Scope, known: Mapping[str, object] | None = None
) -> str:
    """Empty when every line holds, else the verdict of the first that does not."""
    for number, condition in enumerate(conditions, 1):
        value = known.get(condition.source) if known and number == 1 else None
        if value is None:
            value = condition.program.evaluate(scope)
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
