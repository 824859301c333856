"""Calls of plugin code: arguments by name, sync or async, and a result that must be actions.

Nothing here limits time or catches what the plugin raises: that is the worker's, which calls each
function alone.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Any
from weakref import WeakKeyDictionary

from ringback.action_kinds import is_action
from ringback.actions import Action
from ringback.errors import PluginError
from ringback.plugins.action_checks import fault_in

_KNOWN: "WeakKeyDictionary[Callable[..., Any], tuple[str, ...]]" = WeakKeyDictionary()
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def bind(function: Callable[..., Any], available: Mapping[str, Any]) -> Callable[[], Any]:
    """The function with those of the available values that it names, ready to be called.

    A parameter with a default that is not available keeps its default. Raises TypeError for one
    without; `complaints` finds these when the plugin loads.
    """
    chosen = {name: available[name] for name in parameters(function) if name in available}
    return functools.partial(function, **chosen)


async def call(
    function: Callable[..., Any], available: Mapping[str, Any], *, plugin: str
) -> tuple[Action, ...]:
    """Call a handler, sync or async, for its actions. Raises PluginError for other results."""
    result = bind(function, available)()
    if inspect.isawaitable(result):
        result = await result
    return actions_of(result, plugin=plugin)


def finished(result: Any) -> Any:
    """The result of a function, waited for when it is async.

    Meant for a thread without a loop. Where one is running, as around an async test, the rest of
    the work moves to a thread of its own.
    """
    if not waits(result):
        return result

    async def waiting() -> Any:
        return await result

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(waiting())
    with ThreadPoolExecutor(1, "ringback-handler") as pool:
        return pool.submit(asyncio.run, waiting()).result()


def waits(result: Any) -> bool:
    """Whether a result must be awaited. `inspect.isawaitable` says the same, more slowly."""
    return hasattr(type(result), "__await__")


def actions_of(result: Any, *, plugin: str = "") -> tuple[Action, ...]:
    """What a handler returned, as a tuple of actions: one, a list of them, or None.

    Raises PluginError, which names the plugin and the mend, for anything else.
    """
    if result is None:
        return ()
    if is_action(result):
        return _sound((result,), plugin)
    if isinstance(result, list | tuple):
        for item in result:
            if not is_action(item):
                raise PluginError(plugin, f"returned a list with {_described(item)}")
        return _sound(tuple(result), plugin)
    raise PluginError(plugin, f"returned {_described(result)}")


def _sound(actions: tuple[Action, ...], plugin: str) -> tuple[Action, ...]:
    """The actions, when each of their fields is of its type. Raises PluginError."""
    for action in actions:
        fault = fault_in(action)
        if fault:
            raise PluginError(plugin, f"returned a {action.kind} whose {fault}")
    return actions


def complaints(function: Callable[..., Any], known: Iterable[str]) -> list[tuple[str, str, str]]:
    """What is wrong with a function's parameters: (parameter, message, hint) for each fault.

    `known` are the names that the caller can fill.
    """
    names = tuple(known)
    found: list[tuple[str, str, str]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in _NAMED:
            message = f"parameter '{parameter}' cannot be filled by name"
            found.append((parameter.name, message, f"name what you need: {', '.join(names)}"))
        elif parameter.name not in names and parameter.default is parameter.empty:
            message = f"unknown parameter '{parameter.name}'"
            found.append((parameter.name, message, suggestion(parameter.name, names)))
    return found


def suggestion(word: str, known: Iterable[str]) -> str:
    """What a mistyped word probably meant, else the whole list of what there is."""
    names = list(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters that can be filled by name. Read once per function."""
    known = _KNOWN.get(function)
    if known is None:
        found = inspect.signature(function).parameters.values()
        known = tuple(item.name for item in found if item.kind in _NAMED)
        _KNOWN[function] = known
    return known


def _described(value: Any) -> str:
    hint = "an action is made by reply(), send(), call(), answer(), notify()…"
    if isinstance(value, str):
        hint = "to answer with a text, return reply(event, text)"
    elif inspect.isgenerator(value) or inspect.isasyncgen(value):
        hint = "return a list instead of using yield"
    elif inspect.isawaitable(value):
        hint = "await it inside an async function"
    return f"{type(value).__name__}, not an action; {hint}"
