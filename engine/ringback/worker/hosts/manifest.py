"""Manifest: what the worker must know of the plugins, which it never imports, as plain data.

The forkserver makes it of the project that it has loaded, and sends it as JSON.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ringback.errors import Problem
from ringback.plugins.conversation import is_conversation
from ringback.plugins.loader import Plugin, PluginSet, hook_callers
from ringback.plugins.perform import Loaded


@dataclass(frozen=True, slots=True)
class PluginFacts:
    """A plugin that is loaded; see `ringback.plugins.loader.Plugin`."""

    name: str
    path: str
    origin: str
    version: str
    doc: str
    hooks: tuple[str, ...]
    rules: tuple[str, ...]
    functions: tuple[str, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """A rule in Python: its name, the words of its decorator, and what its function is.

    `rev` is the digest that `Rule.rev` has there, where the function can be read. It is empty for a
    rule that does not compile.
    """

    name: str
    words: Mapping[str, Any]
    file: str
    line: int
    column: int
    plugin: str
    rev: str
    conversation: bool


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """A function for conditions and texts; see `ringback.rules.language.function.Function`."""

    name: str
    args: tuple[str, ...]
    returns: str
    doc: str
    plugin: str


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A step; see `ringback.rules.model.StepKind`.

    `fields` are its parameters: whether each is required. Their types were checked when the plugins
    were loaded: what is wrong in a rule file is among the problems.
    """

    name: str
    plain: str
    doc: str
    plugin: str
    file: str
    line: int
    fields: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that the plugins of a project bring.

    `asyncs` are the rules and hooks (`plugin.hook`) whose function is async. `extends` are the
    plugins that have added a kind of action or a verb: the worker imports their modules too.
    `problems` are those of the whole project, with plugins that could not be imported in time.
    """

    plugins: tuple[PluginFacts, ...] = ()
    rules: tuple[RuleFacts, ...] = ()
    functions: tuple[FunctionFacts, ...] = ()
    steps: tuple[StepFacts, ...] = ()
    asyncs: frozenset[str] = frozenset()
    extends: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def empty(self) -> bool:
        """Whether there is no code of plugins at all."""
        return not self.plugins


def manifest_of(
    loaded: Loaded,
    problems: Iterable[Problem],
    extends: Iterable[str] = (),
    warnings: Iterable[str] = (),
) -> Manifest:
    """The manifest of a project whose plugins are imported in this process."""
    plugins = loaded.plugins
    rules = loaded.ruleset.by_name
    asyncs = {
        spec.name
        for spec in plugins.specs
        if inspect.iscoroutinefunction(spec.handler) and not is_conversation(spec.handler)
    }
    return Manifest(
        plugins=tuple(map(_plugin, plugins.plugins)),
        rules=tuple(
            RuleFacts(
                spec.name, dict(spec.words), spec.file, spec.line, spec.column, spec.plugin,
                rules[spec.name].rev if spec.name in rules else "", is_conversation(spec.handler),
            )
            for spec in plugins.specs
        ),
        functions=tuple(
            FunctionFacts(each.name, each.args, each.returns, each.doc, each.plugin)
            for each in plugins.functions
        ),
        steps=tuple(
            StepFacts(
                each.name, each.plain, each.doc, each.plugin, each.file, each.line,
                {name: item.is_required() for name, item in each.model.model_fields.items()},
            )
            for each in plugins.steps
        ),
        asyncs=frozenset(asyncs | _async_hooks(plugins)),
        extends=tuple(extends),
        disabled=plugins.disabled,
        problems=tuple(problems),
        warnings=tuple(warnings),
    )  # fmt: skip


def manifest_data(manifest: Manifest) -> dict[str, Any]:
    """A manifest as JSON data."""
    return asdict(manifest) | {"asyncs": sorted(manifest.asyncs)}


def manifest_from(data: Mapping[str, Any]) -> Manifest:
    """The manifest that `manifest_data` wrote."""
    return Manifest(
        plugins=tuple(PluginFacts(**_tuples(each)) for each in data["plugins"]),
        rules=tuple(RuleFacts(**each) for each in data["rules"]),
        functions=tuple(FunctionFacts(**_tuples(each)) for each in data["functions"]),
        steps=tuple(StepFacts(**each) for each in data["steps"]),
        asyncs=frozenset(data["asyncs"]),
        extends=tuple(data["extends"]),
        disabled=tuple(data["disabled"]),
        problems=tuple(Problem(**each) for each in data["problems"]),
        warnings=tuple(data["warnings"]),
    )


def _plugin(plugin: Plugin) -> PluginFacts:
    return PluginFacts(
        plugin.name, str(Path(plugin.path)), plugin.origin, plugin.version, plugin.doc,
        plugin.hooks, plugin.rules, plugin.functions, plugin.steps,
    )  # fmt: skip


def _async_hooks(plugins: PluginSet) -> set[str]:
    return {
        f"{plugin.name}.{hook}"
        for hook in ("on_event", "on_settled")
        for plugin, function in hook_callers(plugins, hook)
        if inspect.iscoroutinefunction(inspect.unwrap(function))
    }


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(each) if isinstance(each, list) else each for name, each in data.items()}
