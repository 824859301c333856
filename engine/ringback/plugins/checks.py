"""Checks of a plugin's module: its hooks, its rules, what their functions ask for."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from ringback.errors import Problem
from ringback.plugins.context import HANDLER_NAMES
from ringback.plugins.conversation import is_conversation
from ringback.plugins.hookspecs import HOOKS
from ringback.plugins.invoke import complaints, suggestion
from ringback.plugins.source_location import problem_at, problem_in
from ringback.rules.model import RuleSpec

_QUESTIONS = ("convo.ask", "convo.choose")


def hook_functions(manager: pluggy.PluginManager, module: ModuleType) -> dict[str, Any]:
    """The functions of a module that are marked as hooks, by the name of the hook."""
    found: dict[str, Any] = {}
    for name, value in vars(module).items():
        options = manager.parse_hookimpl_opts(module, name) if callable(value) else None
        if options is not None:
            found[options.get("specname") or name] = value
    return found


def hook_problems(manager: pluggy.PluginManager, module: ModuleType) -> Iterator[Problem]:
    """Unknown hooks, unknown arguments, wrappers, and hooks that lack their marker."""
    marked = hook_functions(manager, module)
    for name, function in marked.items():
        caller = getattr(manager.hook, name, None)
        if caller is None or not caller.has_spec():
            message = f"unknown hook '{name}'"
            yield problem_in(function, "hook", message, hint=suggestion(name, HOOKS))
            continue
        options = getattr(function, f"{manager.project_name}_impl", {})
        if options.get("wrapper") or options.get("hookwrapper"):
            message = f"hook '{name}' cannot be a wrapper: each plugin is called alone"
            yield problem_in(function, "hook", message)
        for parameter, message, hint in complaints(function, caller.spec.argnames):
            yield problem_in(
                function, "hook", f"hook '{name}': {message}", hint=hint, parameter=parameter
            )
    for name in HOOKS:
        function = vars(module).get(name)
        if name in marked or not inspect.isfunction(function):
            continue
        if function.__module__ == module.__name__:
            message = f"'{name}' is the name of a hook, but it is not marked"
            yield problem_in(function, "hook", message, hint="write @hookimpl above it")


def rule_problems(specs: tuple[RuleSpec, ...]) -> Iterator[Problem]:
    """Parameters of a rule's function that nobody can fill, and rule names that occur twice."""
    functions: dict[int, Callable[..., Any]] = {id(spec.handler): spec.handler for spec in specs}
    for function in functions.values():
        for parameter, message, hint in complaints(function, HANDLER_NAMES):
            yield problem_in(function, "rule", message, hint=hint, parameter=parameter)
        if is_conversation(function) and not inspect.iscoroutinefunction(function):
            message = "a function with `convo` must be async"
            yield problem_in(function, "rule", message, hint="write async def", parameter="convo")
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            message = f"two rules are called '{spec.name}'"
            yield problem_in(spec.handler, "rule", message, hint="give one of them name=…")
        seen.add(spec.name)


def forgotten_awaits(file: Path) -> Iterator[Problem]:
    """Questions of conversations that nobody awaits: they are never asked."""
    source = file.read_bytes()
    if b"convo" not in source:
        return
    tree = ast.parse(source, str(file))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    awaited = {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Name)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in _QUESTIONS):
            continue
        parent = parents[node]
        if isinstance(parent, ast.Await | ast.Return | ast.Lambda):
            continue
        targets = parent.targets if isinstance(parent, ast.Assign) else []
        if any(isinstance(each, ast.Name) and each.id in awaited for each in targets):
            continue
        name = ast.unparse(node.func)
        message = f"{name}() is not awaited: the question is never asked"
        place = (str(file), node.lineno, node.col_offset + 1)
        yield problem_at(*place, "rule", message, hint=f"write await {name}(…)")


def lost_functions(file: Path) -> Iterator[Problem]:
    """Decorated functions that a later one of the same name replaces, so that none calls them."""
    tree = ast.parse(file.read_bytes(), str(file))
    last: dict[str, int] = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.decorator_list:
            continue
        if node.name in last:
            message = f"'{node.name}' is defined again; the one in line {last[node.name]} is lost"
            yield problem_at(str(file), node.lineno, node.col_offset + 1, "rule", message)
        last[node.name] = node.lineno
