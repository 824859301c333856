"""Story of a case: what happened in it line by line, what each rule did, and why others did not."""

from collections.abc import Iterator
from typing import Any

from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.interpreter.answers import taken
from ringback.testing.expectations import plain_steps, shown
from ringback.testing.reaction import Reaction

MOST = 12
"""So many rules that did not fire are named for each line of `given`."""


def story_of(given: Any, reaction: Reaction, ruleset: RuleSet) -> Iterator[str]:
    """The lines of one thing that happened: `✓` what a rule did, `✗` why one did not fire."""
    event = reaction.event
    caused = f", then {event.type}" if event and event.type.startswith("action.") else ""
    yield f"{said(given)}{caused}"
    held = {id(each.action): f"  ({each.state}: {each.reason})" for each in reaction.held}
    questions = {turn.rule: turn.question for turn in reaction.woke}
    type_, fields = (event.type, event.fields) if event else ("", {})
    for rule, question in questions.items():
        yield f"  ✓ {rule} {taken(question, type_, fields)}"
    for rule in reaction.fired:
        if rule not in reaction.by:
            yield f"  ✓ {rule} did nothing yet"
    for rule, actions in reaction.by.items():
        for action in actions:
            for step in plain_steps(action, event):
                yield f"  ✓ {rule}: {shown(step)}{held.get(id(action), '')}"
    silent = {name: why for name, why in reaction.verdicts.items() if name not in questions}
    for name in list(silent)[:MOST]:
        yield f"  ✗ {name}: {silent[name]}{_line(name, silent[name], ruleset)}"
    if len(silent) > MOST:
        yield f"  ✗ and {len(silent) - MOST} rules more"
    for end in reaction.ended:
        if end.reason:
            yield f"  {end.rule} ended {end.state}: {end.reason}"


def said(given: Any) -> str:
    """A line of `given` in short, as YAML writes it."""
    if isinstance(given, dict) and len(given) == 1:
        ((word, value),) = given.items()
        return f"{word}: {_written(value)}" if value not in ({}, None) else str(word)
    return _written(given)


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_written(each)}' for name, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)


def _line(name: str, verdict: str, ruleset: RuleSet) -> str:
    """The line of `if` that a verdict is about."""
    rule = ruleset.get(name)
    number = verdict.split(":")[1] if verdict.startswith(("if:", "error:")) else ""
    if rule is None or not number.isdecimal() or not 0 < int(number) <= len(rule.conditions):
        return ""
    return f"  {rule.conditions[int(number) - 1].source}"
