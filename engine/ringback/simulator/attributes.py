"""Values that attributes of TwiML may have, and the warnings that Twilio logs for others."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SCHEMA_WARNING = 12200


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: its default, which values are legal, and the warning for one that is not.

    An illegal value is reported with `code`, and the default stands in for it.
    """

    default: str = ""
    legal: Callable[[str], bool] = lambda value: True
    code: int = SCHEMA_WARNING


@dataclass(frozen=True, slots=True)
class Word:
    """One element: its attributes, the elements it may hold, and the code for others."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    children: frozenset[str] = frozenset()
    stranger: int = SCHEMA_WARNING


def text(default: str = "") -> Attribute:
    return Attribute(default)


def one_of(*values: str, default: str = "", code: int = SCHEMA_WARNING) -> Attribute:
    return Attribute(default, frozenset(values).__contains__, code)


def flag(default: str, code: int = SCHEMA_WARNING) -> Attribute:
    return one_of("true", "false", default=default, code=code)


def method(code: int = SCHEMA_WARNING, default: str = "POST") -> Attribute:
    return Attribute(default, lambda value: value.upper() in {"GET", "POST"}, code)


def whole(default: str, low: int, high: int, code: int = SCHEMA_WARNING) -> Attribute:
    """A whole number from `low` to `high`. An empty default means no limit."""

    def legal(value: str) -> bool:
        return re.fullmatch(r"\d{1,9}", value, re.ASCII) is not None and low <= int(value) <= high

    return Attribute(default, legal, code)


def pattern(expression: str, default: str = "", code: int = SCHEMA_WARNING) -> Attribute:
    compiled = re.compile(expression, re.ASCII)
    return Attribute(default, lambda value: compiled.fullmatch(value) is not None, code)


def events(*names: str, default: str = "", code: int = SCHEMA_WARNING) -> Attribute:
    """Event names, separated by spaces: TwiML's way to write what REST repeats."""
    known = frozenset(names)
    return Attribute(default, lambda value: set(value.split()) <= known, code)


def names(listed: str) -> frozenset[str]:
    """Names of elements or values, from a list with blanks between them."""
    return frozenset(listed.split())


def texts(listed: str) -> dict[str, Attribute]:
    """Attributes that take any text, from a list of their names."""
    return {name: text() for name in listed.split()}
