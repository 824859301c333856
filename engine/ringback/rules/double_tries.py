"""Double tries: rules of which each tries the same failed texts again, so that people get several.

Each step `retry` makes its own tries, and the plugin `retry_failed` does, too. What is meant may
differ by their conditions, which nobody can decide before an event comes: so it is said, not
refused.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import combinations
from typing import NamedTuple

from ringback.rules.model import Rule, every_step

ANY = frozenset({"*"})


class _Tries(NamedTuple):
    """What one rule tries again: texts of these `rules`, with errors of these `classes`."""

    rule: Rule
    rules: frozenset[str]
    classes: frozenset[str]


def double_tries(rules: Iterable[Rule], plugin: Collection[str] = ()) -> Iterator[tuple[Rule, str]]:
    """Each rule whose texts another one tries again as well, and how that is. `plugin` are the
    rules whose texts the plugin `retry_failed` tries again (`*` is any)."""
    found = [tries for rule in rules if rule.state == "live" for tries in _tries(rule)]
    for first, second in combinations(found, 2):
        texts = _common(first.rules, second.rules)
        if first.rule is not second.rule and texts and _common(first.classes, second.classes):
            yield second.rule, f"tries texts of {_named(texts)} again, as {first.rule.name!r} does"
    for each in found:
        if texts := _common(each.rules, frozenset(plugin)):
            yield (
                each.rule,
                f"tries texts of {_named(texts)} again, as the plugin retry_failed does",
            )


def _tries(rule: Rule) -> Iterator[_Tries]:
    for step in every_step(rule.steps):
        if step.kind == "retry":
            rules, classes = step.params.get("rules"), step.params.get("classes")
            yield _Tries(rule, frozenset(rules or ANY), frozenset(classes or ANY))


def _common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    if one >= ANY:
        return other
    return one if other >= ANY else one & other


def _named(rules: frozenset[str]) -> str:
    return "any rule" if rules >= ANY else ", ".join(sorted(rules))
