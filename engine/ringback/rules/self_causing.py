"""Self-causing rules: rules whose actions lead, by the events of their own ends, back to them.

What an action may lead to is known by its step; whether the next rule wants that event is judged by
its type and by those of its conditions that read what such an event says in any case: its type and
status, the kind of action and the rule behind it. Rules in Python and steps of plugins say nothing
of what they do until they are run, so they are left out. So is what the step `retry` tries again:
its tries are counted.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from ringback.action_kinds import kind_named, kinds
from ringback.events import CALL_STATUSES, MESSAGE_STATUSES, Event, matches_type
from ringback.rules.language.scope import NoFacts, Scope
from ringback.rules.model import Rule, every_step

_WORDS = {"reply": "send_message", "enqueue": "enqueue_call"}
"""The steps that make an action without being the word of its kind."""
_STATUSES = {"message": MESSAGE_STATUSES, "call": CALL_STATUSES, "": ()}
_KNOWN = re.compile(r"event\.(?:type|status|cause\.rule)\b|['\"](?:Kind|State|Rule)['\"]")
_THEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Circle:
    """A rule, the way back to it (the rules between, in their order), and the event on which it
    hears of itself. `surely`: nothing that any of them says keeps it from happening each time."""

    rule: Rule
    between: tuple[str, ...]
    type: str
    surely: bool

    def __str__(self) -> str:
        way = f" by way of {', '.join(self.between)}" if self.between else ""
        can = "causes" if self.surely else "can cause"
        return f"rule {self.rule.name!r} {can} itself{way}: it hears {self.type} of what it does"


def circles(rules: Iterable[Rule]) -> list[Circle]:
    """Each rule that can cause itself, once, by the shortest way."""
    live = [rule for rule in rules if rule.state == "live" and rule.schedule is None]

    @cache
    def listening(type_: str) -> list[Rule]:
        return [rule for rule in live if any(matches_type(on, type_) for on in rule.on)]

    leads = {rule.name: dict(_led(rule, listening)) for rule in live}
    found = (_circle(rule, leads) for rule in live)
    return [circle for circle in found if circle is not None]


def _led(
    rule: Rule, listening: Callable[[str], list[Rule]]
) -> Iterator[tuple[str, tuple[str, bool]]]:
    """The rules that an action of this one may start, by which event, and whether it surely does.
    What is sure comes last, so that it counts. `listening` gives the rules on a type."""
    found = []
    for event in _ends(rule):
        for other in listening(event.type):
            if not _guarded(other, event):
                surely = event.type == "action.settled" and _always(other)
                found.append((other.name, (event.type, surely)))
    yield from sorted(found, key=lambda each: each[1][1])


def _ends(rule: Rule) -> Iterator[Event]:
    """The events that may follow on what a rule does."""
    made = {kind.step: kind for kind in kinds() if kind.step and not kind.at_once}
    made |= {word: kind_named(name) for word, name in _WORDS.items()}
    steps = [step.kind for step in every_step(rule.steps)]
    for kind in dict.fromkeys(made[step] for step in steps if step in made):
        for status in _STATUSES[kind.effect]:
            yield _event(f"{kind.effect}.{status}", status, {})
        for state in ("settled", "failed", "refused", "unknown"):
            outcome = {"message": "delivered", "call": "completed"}.get(kind.effect, "")
            fields = {"Kind": kind.name, "State": state, "Rule": rule.name}
            yield _event(f"action.{state}", outcome if state == "settled" else "", fields)


def _event(type_: str, status: str, fields: dict[str, str]) -> Event:
    return Event("", type_, _THEN, _THEN, source="internal", status=status, fields=fields)


def _guarded(rule: Rule, event: Event) -> bool:
    """Whether a condition says that the rule does not want such an event."""
    if rule.steps and rule.steps[0].kind == "retry" and event.type == "action.failed":
        tried = rule.steps[0].params["rules"]  # of other texts, and of no texts, it ends
        if event.fields["Kind"] != "send_message" or (tried and event.fields["Rule"] not in tried):
            return True
    scope = Scope(event, NoFacts(), places=rule.language.hours if rule.language else {})
    return any(
        _KNOWN.search(condition.source) and condition.program.evaluate(scope) is False
        for condition in rule.conditions
    )


def _always(rule: Rule) -> bool:
    """Whether a rule starts on each event of its types, as long as there is one."""
    limited = rule.once_within or rule.collects or rule.mode != "parallel" or rule.backstop
    return not (limited or rule.conditions or rule.from_ or rule.to or rule.unless)


def _circle(rule: Rule, leads: dict[str, dict[str, tuple[str, bool]]]) -> Circle | None:
    ways: list[tuple[tuple[str, ...], bool]] = [((rule.name,), True)]
    seen = set()
    for names, surely in ways:
        for name, (type_, sure) in leads[names[-1]].items():
            if name == rule.name:
                return Circle(rule, names[1:], type_, surely and sure)
            if name not in seen:
                seen.add(name)
                ways.append(((*names, name), surely and sure))
    return None
