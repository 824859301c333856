"""Plugin loader: what each plugin adds, and what is wrong with those that did not load.

pluggy finds, checks and describes; nothing here calls a hook for all plugins at once, because one
that raises would take the answers of the others with it. A plugin with any problem is left out
whole, with the reason; the others load.
"""

import inspect
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from ringback.action_kinds import kinds
from ringback.errors import PluginError, Problem
from ringback.plugins import hookspecs
from ringback.plugins.candidates import (
    Candidate,
    in_folder,
    packaged,
    unknown_tables,
    without_clashes,
)
from ringback.plugins.checks import (
    forgotten_awaits,
    hook_functions,
    hook_problems,
    lost_functions,
    rule_problems,
)
from ringback.plugins.decorator import specs_of
from ringback.plugins.finder import Package, digest, files_of
from ringback.plugins.invoke import bind
from ringback.plugins.registry import FunctionRegistrar, StepRegistrar
from ringback.plugins.settings import config_of
from ringback.plugins.source_location import problem_from, problem_in
from ringback.rules.functions.function import Function
from ringback.rules.model import RuleSpec, StepKind
from ringback.verbs import VERBS

_ELSEWHERE = ModuleType("elsewhere", "Stands for the module of a plugin that is not imported here.")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One loaded plugin, as `plugins list` shows it.

    `origin` is `folder` or the distribution that an entry point came from; `config` is what its
    functions get under that name. It and `module` are set where the plugin is imported. `extends`:
    its import adds kinds of actions or voice verbs to the engine itself.
    """

    name: str
    path: Path
    origin: str
    version: str
    doc: str
    hooks: tuple[str, ...]
    rules: tuple[str, ...]
    functions: tuple[str, ...]
    steps: tuple[str, ...]
    config: Any = None
    module: ModuleType = _ELSEWHERE
    extends: bool = False


@dataclass(frozen=True)
class PluginSet:
    """All that the plugins of one project bring, in the order of their names.

    `disabled` are those that the configuration switched off, `problems` what is wrong with those
    that did not load. `order` has, for each hook, the plugins that implement it, in their order.
    """

    plugins: tuple[Plugin, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    specs: tuple[RuleSpec, ...] = ()
    functions: tuple[Function, ...] = ()
    steps: tuple[StepKind, ...] = ()
    disabled: tuple[str, ...] = ()
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    manager: pluggy.PluginManager = field(default_factory=lambda: _manager())
    package: Package | None = None

    def get(self, name: str) -> Plugin | None:
        """The plugin of this name, if it is loaded."""
        for plugin in self.plugins:  # with each call: a generator takes twice the time
            if plugin.name == name:
                return plugin
        return None

    def hooked(self, name: str) -> list[Plugin]:
        """The plugins that implement this hook, in the order in which they are called."""
        found = map(self.get, self.order.get(name, ()))
        return [plugin for plugin in found if plugin is not None]

    def close(self) -> None:
        """Forget the modules of the folder. Functions that are still held go on working."""
        if self.package is not None:
            self.package.close()


def hook_callers(pluginset: PluginSet, name: str) -> list[tuple[Plugin, Callable[..., Any]]]:
    """Each plugin that implements a hook, and its function, to be called one at a time.

    The function takes the hook's arguments by name and passes those on that the plugin asked for;
    what it returns may be an awaitable. Order: pluggy's `tryfirst` and `trylast`, then names.
    """
    pairs: list[tuple[Plugin, Callable[..., Any]]] = []
    for implementation in _implementations(pluginset.manager, name):
        plugin = pluginset.get(implementation.plugin_name)
        if plugin is not None:
            pairs.append((plugin, _caller(implementation.function)))
    return pairs


def _implementations(manager: pluggy.PluginManager, name: str) -> list[pluggy.HookImpl]:
    return list(reversed(getattr(manager.hook, name).get_hookimpls()))


def _order(manager: pluggy.PluginManager, name: str) -> tuple[str, ...]:
    return tuple(each.plugin_name for each in _implementations(manager, name))


def _caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, taking every argument of its hook by name; it still shows which it wants."""

    @wraps(function)
    def call(**given: Any) -> Any:
        return bind(function, given)()

    return call


def load_plugins(
    folder: Path,
    *,
    entry_points: tuple[str, ...] = (),
    only: Collection[str] | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    environ: Mapping[str, str] | None = None,
    before: Callable[[str, Path], None] | None = None,
    without: Mapping[str, Problem] | None = None,
) -> PluginSet:
    """Load every plugin of a folder, and those packaged ones that are listed by name.

    Never raises for what a plugin does: `problems` of the result says what is wrong and where. A
    folder that does not exist has no plugins. `only` limits the folder to plugins of these names.
    `config` holds the `[plugins.NAME]` tables, `environ` is where `$env` values are taken from.
    `before` is called with the name and the file of each plugin before its code runs, and
    with an empty name behind the last. Plugins of `without` are left out, each with its problem.
    """
    tables = config or {}
    environment = os.environ if environ is None else environ
    folder = folder.resolve()
    problems: list[Problem] = []
    package = Package(folder)
    found = [*in_folder(package, only, problems), *packaged(entry_points, problems)]
    problems += unknown_tables(tables, found)
    loaded: list[_Loaded] = []
    disabled = []
    for candidate in without_clashes(found, problems):
        table = tables.get(candidate.name, {})
        if table.get("enabled") is False:
            disabled.append(candidate.name)
            continue
        if without and candidate.name in without:
            problems.append(without[candidate.name])
            continue
        if before is not None:
            before(candidate.name, candidate.path or folder)
        outcome = _load_one(candidate, folder, table, environment)
        if isinstance(outcome, _Loaded):
            loaded.append(outcome)
        else:
            problems += outcome
    if before is not None:
        before("", folder)
    manager = _manager()
    kept = list(_without_shared_names(loaded, problems))
    for each in reversed(kept):
        manager.register(each.plugin.module, each.plugin.name)
    return PluginSet(
        plugins=tuple(each.plugin for each in kept),
        problems=problems,
        specs=tuple(spec for each in kept for spec in each.specs),
        functions=tuple(function for each in kept for function in each.functions),
        steps=tuple(step for each in kept for step in each.steps),
        disabled=tuple(disabled),
        order={hook: _order(manager, hook) for hook in hookspecs.HOOKS},
        manager=manager,
        package=package,
    )


@dataclass(frozen=True, slots=True)
class _Loaded:
    plugin: Plugin
    specs: tuple[RuleSpec, ...]
    functions: tuple[Function, ...]
    steps: tuple[StepKind, ...]


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _load_one(
    candidate: Candidate, folder: Path, table: Mapping[str, Any], environ: Mapping[str, str]
) -> _Loaded | list[Problem]:
    pin = table.get("sha256")
    if pin and candidate.path and digest(candidate.path) != pin:
        message = f"its SHA-256 is {digest(candidate.path)}, not the pinned one"
        return [Problem(str(candidate.path), 0, 0, "plugin", message)]
    known = extensions()
    try:
        module = candidate.load()
    except (Exception, SystemExit) as error:
        return [problem_from(error, "import", folder, candidate.path or folder)]
    if not inspect.ismodule(module):
        message = f"entry point '{candidate.name}' is not a module"
        return [Problem(candidate.origin, 0, 0, "plugin", message)]
    outcome = _described(candidate, module, table, environ)
    if isinstance(outcome, _Loaded) and extensions() != known:
        return replace(outcome, plugin=replace(outcome.plugin, extends=True))
    return outcome


def extensions() -> tuple[Any, ...]:
    """What plugins may add to the engine itself: the kinds of actions, and the voice verbs."""
    return (kinds(), tuple(VERBS.items()))


def _described(
    candidate: Candidate, module: ModuleType, table: Mapping[str, Any], environ: Mapping[str, str]
) -> _Loaded | list[Problem]:
    name = candidate.name
    path = candidate.path or Path(module.__file__ or candidate.origin)
    manager = _manager()
    specs = tuple(_as_of(name, spec) for spec in _specs_in(module))
    config, problems = config_of(name, module, table, environ)
    problems += [*hook_problems(manager, module), *rule_problems(specs)]
    if path.suffix == ".py":
        for file in files_of(path):
            problems += [*lost_functions(file), *forgotten_awaits(file)]
    hooks = hook_functions(manager, module)
    if not problems and not specs and not hooks:
        message = "has neither a rule nor a hook"
        hint = f"a helper of other plugins is called _{path.name}"
        problems.append(Problem(str(path), 0, 0, "plugin", message, "", hint))
    functions = FunctionRegistrar(name)
    steps = StepRegistrar(name, config, logging.getLogger(f"ringback.plugin.{name}"))
    if not problems:
        for hook, register in (("register_functions", functions), ("register_steps", steps)):
            problems += _registered(hooks.get(hook), register, path)
    if problems:
        return problems
    plugin = Plugin(
        name=name,
        path=path,
        origin=candidate.origin,
        version=candidate.version or str(getattr(module, "__version__", "")),
        doc=(inspect.getdoc(module) or "").partition("\n")[0],
        hooks=tuple(hook for hook in hookspecs.HOOKS if hook in hooks),
        rules=tuple(spec.name for spec in specs),
        functions=tuple(function.name for function in functions.found),
        steps=tuple(step.name for step in steps.found),
        config=config,
        module=module,
    )
    return _Loaded(plugin, specs, tuple(functions.found), tuple(steps.found))


def _as_of(plugin: str, spec: RuleSpec) -> RuleSpec:
    """A rule under its full name; of a conversation, one at a time where nothing else is said."""
    words = dict(spec.words)
    if spec.converses:
        words.setdefault("mode", "single")
    return replace(spec, plugin=plugin, name=f"{plugin}.{spec.name}", words=words)


def _registered(
    hook: Callable[..., Any] | None, register: FunctionRegistrar | StepRegistrar, path: Path
) -> list[Problem]:
    if hook is None:
        return []
    try:
        bind(hook, {"register": register})()
    except PluginError as error:
        return [problem_in(hook, "hook", str(error))]
    except (Exception, SystemExit) as error:
        return [problem_from(error, "hook", path.parent, path)]
    return []


def _specs_in(module: ModuleType) -> list[RuleSpec]:
    """The rules of a plugin: those of its module, and of the modules inside it."""
    inner = [sys.modules[name] for name in sys.modules if name.startswith(f"{module.__name__}.")]
    found: dict[int, RuleSpec] = {}
    for each in (module, *inner):
        for value in vars(each).values():
            for spec in specs_of(value):
                home = str(getattr(spec.handler, "__module__", ""))
                if f"{home}.".startswith(f"{module.__name__}."):
                    found[id(spec)] = spec
    return sorted(found.values(), key=lambda spec: (spec.file, spec.line, spec.name))


def _without_shared_names(loaded: list[_Loaded], problems: list[Problem]) -> Iterator[_Loaded]:
    """Leave out plugins that add a function or step which an earlier one has added already."""
    owners: dict[tuple[str, str], str] = {}
    for each in loaded:
        names = [("function", item.name) for item in each.functions]
        names += [("step", item.name) for item in each.steps]
        taken = [pair for pair in names if pair in owners]
        for kind, name in taken:
            message = f"{kind} '{name}' exists already, in plugin {owners[kind, name]}"
            problems.append(Problem(str(each.plugin.path), 0, 0, "plugin", message))
        if not taken:
            owners |= dict.fromkeys(names, each.plugin.name)
            yield each
