"""Manifest: what a process that has loaded the plugins tells of them to one that never does.

Plain data, JSON in both directions: names, types, places and problems, and no code. The set of
plugins that is made of it can be compiled into rules like the real one; its functions and steps
only ask (`memo`), and its handlers only name themselves.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ringback.errors import PluginError, Problem
from ringback.plugins.loader import Plugin, PluginSet, hook_callers
from ringback.plugins.memo import ask_function, ask_step
from ringback.rules.files.decorated import code_of
from ringback.rules.functions.function import Function
from ringback.rules.model import RuleSpec, StepKind


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The function of a rule that is loaded in another process. It is named and never called."""

    rule: str
    plugin: str

    def __call__(self) -> None:
        raise PluginError(self.plugin, f"{self.rule} runs in a plugin host")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The plugins of a project without their code.

    `rules` are the names of all rules that are right, those of rule files too: their parameters
    for steps of plugins were checked where the plugins are. `asyncs` are the rules and hooks
    (`plugin.hook`) whose function is async. `problems` are all of the project, `warnings` what was
    seen while the plugins were imported. `data` is all of it as JSON has it; empty where there was
    nothing to import.
    """

    plugins: PluginSet = field(default_factory=PluginSet)
    rules: frozenset[str] = frozenset()
    asyncs: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def brings_the_same(self, other: "Manifest") -> bool:
        """Whether the plugins of both have the same names, types and places."""
        told = ("plugins", "specs", "functions", "steps", "order")
        return all(self.data[name] == other.data[name] for name in told)


def manifest_of(
    plugins: PluginSet,
    rules: Iterable[str],
    problems: Iterable[Problem],
    warnings: Iterable[str] = (),
) -> dict[str, Any]:
    """The manifest of plugins that are loaded here, as JSON has it."""
    return {
        "plugins": [_plugin(each) for each in plugins.plugins],
        "specs": [_spec(each) for each in plugins.specs],
        "functions": [
            {"name": each.name, "args": list(each.args), "returns": each.returns, "doc": each.doc,
             "plugin": each.plugin}
            for each in plugins.functions
        ],
        "steps": [_step(each) for each in plugins.steps],
        "order": {name: list(owners) for name, owners in plugins.order.items()},
        "disabled": list(plugins.disabled),
        "faults": [asdict(each) for each in plugins.problems],
        "rules": list(rules),
        "asyncs": sorted(_asyncs(plugins)),
        "problems": [asdict(each) for each in problems],
        "warnings": list(warnings),
    }  # fmt: skip


def read_manifest(data: Mapping[str, Any]) -> Manifest:
    """The manifest that `manifest_of` wrote."""
    plugins = PluginSet(
        plugins=tuple(_read_plugin(each) for each in data["plugins"]),
        problems=[Problem(**each) for each in data["faults"]],
        specs=tuple(_read_spec(each) for each in data["specs"]),
        functions=tuple(_read_function(each) for each in data["functions"]),
        steps=tuple(_read_step(each) for each in data["steps"]),
        disabled=tuple(data["disabled"]),
        order={name: tuple(owners) for name, owners in data["order"].items()},
    )
    return Manifest(
        plugins, frozenset(data["rules"]), frozenset(data["asyncs"]),
        tuple(Problem(**each) for each in data["problems"]), tuple(data["warnings"]), data,
    )  # fmt: skip


def _asyncs(plugins: PluginSet) -> set[str]:
    """The rules and hooks whose function is async. A conversation is none: it never waits."""
    rules = {
        spec.name
        for spec in plugins.specs
        if inspect.iscoroutinefunction(spec.handler) and not spec.converses
    }
    return rules | {
        f"{plugin.name}.{hook}"
        for hook in ("on_event", "on_settled")
        for plugin, function in hook_callers(plugins, hook)
        if inspect.iscoroutinefunction(inspect.unwrap(function))
    }


def _plugin(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name, "path": str(plugin.path), "origin": plugin.origin,
        "version": plugin.version, "doc": plugin.doc, "hooks": list(plugin.hooks),
        "rules": list(plugin.rules), "functions": list(plugin.functions),
        "steps": list(plugin.steps), "extends": plugin.extends,
    }  # fmt: skip


def _read_plugin(data: Mapping[str, Any]) -> Plugin:
    words = {name: tuple(data[name]) for name in ("hooks", "rules", "functions", "steps")}
    return Plugin(**{**data, **words, "path": Path(data["path"])})


def _spec(spec: RuleSpec) -> dict[str, Any]:
    return {
        "name": spec.name, "plugin": spec.plugin, "words": _plain(spec.words), "file": spec.file,
        "line": spec.line, "column": spec.column, "code": spec.code or code_of(spec.handler),
        "converses": spec.converses,
    }  # fmt: skip


def _read_spec(data: Mapping[str, Any]) -> RuleSpec:
    return RuleSpec(handler=Elsewhere(data["name"], data["plugin"]), **data)


def _read_function(data: Mapping[str, Any]) -> Function:
    call = partial(ask_function, data["plugin"], data["name"])
    return Function(**{**data, "args": tuple(data["args"]), "call": call})


def _step(step: StepKind) -> dict[str, Any]:
    needed = {name: item.is_required() for name, item in step.model.model_fields.items()}
    return {
        "name": step.name, "plain": step.plain, "doc": step.doc, "plugin": step.plugin,
        "file": step.file, "line": step.line, "fields": needed,
    }  # fmt: skip


def _read_step(data: Mapping[str, Any]) -> StepKind:
    """A step whose model knows the names of the parameters and not their types."""
    from pydantic import ConfigDict, create_model

    fields: dict[str, Any] = {
        name: (Any, ... if needed else None) for name, needed in data["fields"].items()
    }
    model = create_model(data["name"], __config__=ConfigDict(extra="forbid", frozen=True), **fields)
    facts = {name: value for name, value in data.items() if name != "fields"}
    run = partial(ask_step, data["plugin"], data["name"])
    return StepKind(**facts, run=run, model=model)


def _plain(value: Any) -> Any:
    """A word of a decorator as JSON can hold it; what it cannot hold is what a person would see."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return str(value)
