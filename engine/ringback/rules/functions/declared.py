"""Declarations of types and functions, as the library of CEL wants them.

https://github.com/google/cel-spec
"""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ringback.errors import ConfigError
from ringback.rules.functions.builtins import BUILTINS
from ringback.rules.functions.function import Function
from ringback.rules.language.complaints import CEL_FUNCTIONS, did_you_mean

try:
    from cel_expr_python import cel
except ImportError as missing:
    raise ConfigError(
        [
            f"the package cel-expr-python, which reads conditions, cannot be loaded ({missing}): "
            "it has wheels for Linux with glibc and for macOS, for Python 3.11 to 3.14. On musl "
            "(Alpine Linux) there is none: use another system, such as the image python:3.13-slim"
        ]
    ) from missing

__all__ = ["TYPES", "cel", "cel_type", "check_function", "declarations", "plain_type"]

TYPES: dict[str, Any] = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "timestamp": cel.Type.TIMESTAMP,
    "duration": cel.Type.DURATION,
    "list(string)": cel.Type.List(cel.Type.STRING),
    "map(string, string)": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
}
TYPE_WORDS = tuple(word for word in TYPES if not word.startswith("map"))
"""The types that a function of a plugin may take and give."""


def cel_type(word: str) -> Any:
    """The type of a word of the language, such as `map(string, list(int))`."""
    inside = word[word.find("(") + 1 : -1]
    if word.startswith("list("):
        return cel.Type.List(cel_type(inside))
    if word.startswith("map("):
        key, _, value = inside.partition(", ")
        return cel.Type.Map(cel_type(key), cel_type(value))
    return TYPES.get(word, cel.Type.DYN)


def plain_type(type_: Any) -> str:
    """The library's type in the spelling of the language: `LIST<STRING>` is `list(string)`."""
    return str(type_).lower().replace("<", "(").replace(">", ")")


Declared = tuple[str, Sequence[str], str, bool, Any]
"""A function: name, types of arguments, type of the result, whether it is a member, the call."""


def declarations(functions: Sequence[Function]) -> list[Any]:
    """Every function: those of the language, and these of plugins."""
    own = [(f.name, f.args, f.returns, False, f.call) for f in functions]
    own += [(f.name, f.args, f.returns, True, f.call) for f in functions if f.args]
    return [*_builtins(), *_declared(own)]


@functools.cache
def _builtins() -> list[Any]:
    return _declared([(f.name, f.args, f.returns, f.member, f.call) for f in BUILTINS])


def _declared(functions: Iterable[Declared]) -> list[Any]:
    overloads: dict[str, list[Any]] = {}
    for name, args, returns, member, call in functions:
        known = overloads.setdefault(name, [])
        known.append(
            cel.Overload(
                id=f"{name}_{len(known)}_{'_'.join(args)}".replace("(", "_").replace(")", ""),
                return_type=TYPES[returns],
                parameters=[TYPES[word] for word in args],
                is_member=member,
                impl=call,
            )
        )
    return [cel.FunctionDecl(name, list(items)) for name, items in overloads.items()]


def check_function(function: Function) -> str:
    """What is wrong with a plugin's function, empty when it can be used."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", function.name):
        return f"{function.name!r} is no name for a function: use small letters, digits and _"
    taken = {"t", *CEL_FUNCTIONS, *(item.name.rpartition(".")[2] for item in BUILTINS)}
    if function.name in taken:
        return f"{function.name!r} is a function of the language already"
    for word in (*function.args, function.returns):
        if word not in TYPE_WORDS:
            hint = did_you_mean(word, TYPE_WORDS) or "known: " + ", ".join(TYPE_WORDS)
            return f"unknown type {word!r}; {hint}"
    return ""
