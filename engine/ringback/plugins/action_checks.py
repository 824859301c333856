"""Checks of the actions that code of plugins returns: whether each field is of its type.

Actions are plain data, and Python takes anything for any field of them. What is wrong would come
out far from its author: as a broken worker, or as a text that nobody meant.
"""

import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from ringback.actions import POLICIES, SEVERITIES
from ringback.events import Event
from ringback.verbs import VoiceVerb, word_of

_Checks = Sequence[tuple[str, str, type[Any] | None, Callable[[Any], str]]]
"""Of each field its name, what people call it, the type that needs no look, the check."""
_KNOWN: dict[type[Any], _Checks] = {}


def fault_in(action: Any) -> str:
    """What is wrong with a field of an action, with the mend; empty when nothing is."""
    kind = type(action)
    checks = _KNOWN.get(kind)
    if checks is None:
        checks = _KNOWN[kind] = _checks(kind)
    for name, word, sound, check in checks:
        value = getattr(action, name)
        if type(value) is not sound and (found := check(value)):
            return f"`{word}` {found}"
    return ""


def _checks(kind: type[Any]) -> _Checks:
    """The fields of a class that can be checked."""
    if not is_dataclass(kind):
        return ()
    try:
        hints = typing.get_type_hints(kind)
    except Exception:  # annotations of a plugin that name what only its type checker knows
        return ()
    found = []
    for item in fields(kind):
        check = _BY_NAME.get(item.name) or _check_of(hints.get(item.name))
        if check is not None:
            found.append((item.name, word_of(item), _SOUND.get(check), check))
    return tuple(found)


def _check_of(hint: Any) -> Callable[[Any], str] | None:
    if hint is str:
        return _text
    if hint == str | None:
        return partial(_text, missing=True)
    if hint is int:
        return _number
    if hint is bool:
        return _yes_or_no
    if typing.get_origin(hint) is tuple:
        return _texts if typing.get_args(hint)[0] is str else _verbs
    return _named_texts if hint == Mapping[str, str] else None


def _text(value: Any, *, missing: bool = False) -> str:
    if isinstance(value, str) or (missing and value is None):
        return ""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        return "is not there yet: `await` is missing"
    if isinstance(value, list | tuple | set | frozenset):
        return f"is a {type(value).__name__}, not one text; return one action for each"
    if isinstance(value, Event):
        return "is an event, not a text; write what of it, as event.theirs or event.body"
    mend = "" if value is None else f"; write str({_shown(value)})"
    return f"is {_shown(value)}, not a text{mend}"


def _number(value: Any) -> str:
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return ""
    return f"is {_shown(value)}, not a whole number"


def _yes_or_no(value: Any) -> str:
    return "" if isinstance(value, bool) else f"is {_shown(value)}, not True or False"


def _one_of(words: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        known = isinstance(value, str) and value in words
        return (
            "" if known else _text(value) or f"is {_shown(value)}; it is one of {', '.join(words)}"
        )

    return check


def _named_texts(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"is {_shown(value)}, not a dict of texts by their names"
    for name, text in value.items():
        if found := _text(name):
            return f"has a name that {found}"
        if found := _text(text):
            return f"has {_shown(name)}, which {found}"
    return ""


def _mapping(value: Any) -> str:
    """Whatever is in it is written out as text."""
    return "" if isinstance(value, Mapping) else f"is {_shown(value)}, not a dict"


def _json(value: Any) -> str:
    if isinstance(value, str | bytes):
        return f"is {_shown(value)}; give the dict itself, it is written as JSON when it is sent"
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        return f"cannot be written as JSON: {error}"
    return ""


_BY_NAME: Mapping[str, Callable[[Any], str]] = {
    "extra": _mapping,
    "policy": _one_of(POLICIES),
    "severity": _one_of(SEVERITIES),
    "json": _json,
}
"""Checks of fields whose type does not say what may stand in them."""
_SOUND: Mapping[Callable[[Any], str], type[Any]] = {
    _text: str,
    _number: int,
    _yes_or_no: bool,
}


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
        if isinstance(each, list | tuple):
            return f"has a {type(each).__name__} of verbs in place of a verb; write *verbs"
        if not isinstance(each, VoiceVerb):
            return f"has {_shown(each)}, which is not a verb"
    return ""


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:
        return type(value).__name__
    return shown if len(shown) <= 40 else f"{shown[:37]}…"
