"""Rendering of a step's parameters, with every text in them evaluated."""

from collections.abc import Mapping
from typing import Any

from ringback.rules.language.cel import Fault
from ringback.rules.language.scope import Scope
from ringback.rules.language.templates import Template
from ringback.rules.model import Step
from ringback.rules.steps.kinds import STEPS


class _Failed(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def render(step: Step, scope: Scope) -> dict[str, Any] | Fault:
    """The step's parameters as plain values; the first `Fault` when a text fails or a
    list is too long: none is cut. Who stands there twice is reached once, and counted once."""
    try:
        given = {name: _value(value, scope) for name, value in step.params.items()}
    except _Failed as failed:
        return Fault(failed.fault.message)
    if step.kind in STEPS:
        given = STEPS[step.kind].told_once(scope.event, given)
    for name, most in step.most.items():
        if len(given[name]) > most:
            return Fault(f"{name!r} has {len(given[name])} entries, {most} at most")
    return given


def render_call(step: Step, scope: Scope) -> tuple[dict[str, Any] | Fault, Step]:
    """The same of a call, with what the callee hears; and the step that it is about."""
    given = render(step, scope)
    if isinstance(given, Fault):
        return given, step
    verbs: list[Any] = []
    for inner in step.branches.get("do", ()):
        rendered = render(inner, scope)
        if isinstance(rendered, Fault):
            return rendered, inner
        verbs += STEPS[inner.kind].plan(scope.event, rendered)
    return {**given, "verbs": verbs}, step


def _value(value: Any, scope: Scope) -> Any:
    if isinstance(value, Template):
        return _good(value.render_value(scope))
    if isinstance(value, list):
        items: list[Any] = []
        for item in value:
            if isinstance(item, Template):
                items += _good(item.render_list(scope))
            else:
                items.append(_value(item, scope))
        return items
    if isinstance(value, Mapping):
        return {name: _value(item, scope) for name, item in value.items()}
    return value


def _good(value: Any) -> Any:
    if isinstance(value, Fault):
        raise _Failed(value)
    return value
