"""Checks of the actions that code of plugins returns: whether each field is of its type.

Actions are plain data, and Python takes anything for any field of them. What is wrong would come
out far from its author: as a broken worker, or as a text that nobody meant.
"""

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from ringback.verbs import VoiceVerb, word_of

_Checks = Sequence[tuple[str, str, Callable[[Any], str]]]
_KNOWN: dict[type[Any], _Checks] = {}


def fault_in(action: Any) -> str:
    """What is wrong with a field of an action, with the mend; empty when nothing is."""
    kind = type(action)
    checks = _KNOWN.get(kind)
    if checks is None:
        checks = _KNOWN[kind] = _checks(kind)
    for name, word, check in checks:
        found = check(getattr(action, name))
        if found:
            return f"`{word}` {found}"
    return ""


def _checks(kind: type[Any]) -> _Checks:
    """The fields of a class that can be checked, with what people call them and the check."""
    if not is_dataclass(kind):
        return ()
    try:
        hints = typing.get_type_hints(kind)
    except Exception:  # annotations of a plugin that name what only its type checker knows
        return ()
    found = []
    for item in fields(kind):
        check = _check_of(hints.get(item.name))
        if check is not None:
            found.append((item.name, word_of(item), check))
    return tuple(found)


def _check_of(hint: Any) -> Callable[[Any], str] | None:
    if hint in (str, str | None):
        return lambda value: _text(value, missing=hint is not str)
    if hint is int:
        return _number
    if typing.get_origin(hint) is tuple:
        return _texts if typing.get_args(hint)[0] is str else _verbs
    return None


def _text(value: Any, *, missing: bool = False) -> str:
    if isinstance(value, str) or (missing and value is None):
        return ""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        return "is not there yet: `await` is missing"
    if isinstance(value, list | tuple | set | frozenset):
        return f"is a {type(value).__name__}, not one text; return one action for each"
    mend = "" if value is None else f"; write str({_shown(value)})"
    return f"is {_shown(value)}, not a text{mend}"


def _number(value: Any) -> str:
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return ""
    return f"is {_shown(value)}, not a whole number"


def _texts(value: Any) -> str:
    if isinstance(value, str):
        return f"is one text, not a list of them; write ({_shown(value)},)"
    if not isinstance(value, list | tuple):
        return f"is {_shown(value)}, not a list of texts"
    return next(filter(None, (f"has one that {found}" for found in map(_text, value) if found)), "")


def _verbs(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return f"is {_shown(value)}, not a list of verbs"
    for each in value:
        if isinstance(each, VoiceVerb) and (found := fault_in(each)):
            return f"has a {each.verb} whose {found}"
        if isinstance(each, str):
            return f"has a text, not a verb; write Say({_shown(each)})"
    return ""


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:
        return type(value).__name__
    return shown if len(shown) <= 40 else f"{shown[:37]}…"
