"""Overloads: the ways to call each function, for calls that are made before an evaluation."""

from collections.abc import Sequence

from ringback.rules.functions.builtins import BUILTINS
from ringback.rules.functions.function import Function
from ringback.rules.language.hoist import Overload
from ringback.rules.language.numbers import number_text
from ringback.rules.language.patterns import matches


def overloads(functions: Sequence[Function]) -> dict[str, list[Overload]]:
    """Our functions that take arguments, by name."""
    found: dict[str, list[Overload]] = {}
    pattern = ("string", "string")
    for member in (True, False):
        found.setdefault("matches", []).append(Overload(pattern, "bool", member, matches))
    # CEL's own writes powers of ten from a million on.
    found.setdefault("string", []).append(Overload(("double",), "string", False, number_text))
    for item in BUILTINS:
        if item.args:
            overload = Overload(item.args, item.returns, item.member, item.call)
            found.setdefault(item.name, []).append(overload)
    for function in functions:
        for member in (True, False) if function.args else ():
            overload = Overload(function.args, function.returns, member, function.call)
            found.setdefault(function.name, []).append(overload)
    return found
