"""Linker: each `run` step gets the steps of the rule that it names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ringback.rules.files.reader import Reader
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.model import Rule, Step


@dataclass(frozen=True, slots=True)
class Run:
    """A `run` step in the rule of this name, with the place where it names another."""

    rule: str
    step: Step
    target: Node
    reader: Reader

    @property
    def other(self) -> str:
        """The name of the rule whose steps are to be done."""
        return str(self.target.value)


def link(rules: dict[str, Rule], named: Mapping[str, str], runs: Sequence[Run]) -> None:
    """Fill the branches of all `run` steps. `named` are all rules, `rules` those that are right.

    A name that is not there and a circle are problems. A rule that cannot do what it names is
    taken out of `rules`, and so is every rule that names it.
    """
    wanted: dict[str, set[str]] = {}
    for run in runs:
        wanted.setdefault(run.rule, set()).add(run.other)
    for run in runs:
        if run.other not in named:
            hint = did_you_mean(run.other, named)
            run.reader.fail(run.target, "name", f"no rule is named {run.other!r}", hint)
            rules.pop(run.rule, None)
        elif run.rule in reached(wanted, run.other):
            text = f"running {run.other!r} here goes in a circle"
            run.reader.fail(run.target, "name", text)
            rules.pop(run.rule, None)
    for name in [name for name in rules if not reached(wanted, name) <= rules.keys()]:
        del rules[name]
    for run in runs:
        if run.other in rules and isinstance(run.step.branches, dict):
            run.step.branches["run"] = rules[run.other].steps


def unnamed(
    rules: dict[str, Rule], named: Mapping[str, str], names: Sequence[tuple[str, Reader, Node]]
) -> None:
    """Problems for `names` that rules use of others and that no rule has. Those of plugins have a
    dot. The rules that use them are taken out of `rules`."""
    for rule, reader, node in names:
        if node.value not in named and "." not in str(node.value):
            hint = did_you_mean(str(node.value), named)
            reader.fail(node, "name", f"no rule is named {node.value!r}", hint)
            rules.pop(rule, None)


def reached(wanted: Mapping[str, set[str]], start: str) -> set[str]:
    """The rules that a rule runs, itself and those that they run included."""
    seen: set[str] = set()
    open_ = [start]
    while open_:
        name = open_.pop()
        if name not in seen:
            seen.add(name)
            open_ += wanted.get(name, ())
    return seen
