"""Named values of a rule: what `let` and `as` keep, with their types, and how they are stored.

A value is `vars.NAME`, and `NAME` alone where that is no other word of the language. Its type is
known when the file is read; before it is kept it is empty (`''`, 0, `[]`), as a field is.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ringback.json_data import value_of
from ringback.rules.language.complaints import Complaint, too_early
from ringback.rules.language.scope import FIELDS, RUN_FIELDS, Field
from ringback.rules.language.tokens import names
from ringback.runtime import from_iso

WHOLE = 2**63
"""Whole numbers of conditions are smaller than this."""
SCALARS = ("string", "int", "double", "bool", "timestamp", "duration")
RESERVED = frozenset(
    {name.partition(".")[0] for name in (*FIELDS, *RUN_FIELDS)}
    | {"lists", "list", "map", "uint", "bytes", "type", "dyn", "null_type", *SCALARS}
    | {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import"}
    | {"in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void"}
    | {"while", "google"}
)
"""What a name alone would mean already, or cannot mean."""

_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,), "int": (int,), "double": (float,), "bool": (bool,),
    "timestamp": (datetime,), "duration": (timedelta,), "list": (list,), "map": (dict,),
}  # fmt: skip
_EMPTY: dict[str, Any] = {
    "string": "", "int": 0, "double": 0.0, "bool": False, "list": [], "map": {},
    "timestamp": datetime(1970, 1, 1, tzinfo=UTC), "duration": timedelta(0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Names:
    """The values that an expression of a rule may name, by their dotted names with their types.

    `texts` are the expressions that stand for some of them and are put in where they are named, as
    a rule's own values are asked for before it begins; None where all of them are kept already.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] | None = None

    @property
    def spelt(self) -> frozenset[str]:
        """All of them in both spellings."""
        return frozenset(spelt for name in self.types for spelt in _spellings(name))

    def used(self, source: str) -> dict[str, str]:
        """Those that are named in this expression, in the spellings of `fields_of`."""
        roots = {_root(name.text) for name in names(source)} if self.types else set()
        return {name: type_ for name, type_ in self.types.items() if _root(name) in roots}

    def early(self, source: str) -> list[Complaint]:
        """Complaints about names that have no value before the steps of a run."""
        there = {_root(name) for name in self.types} if self.texts is None else {*self.texts}
        own = {_root(name) for name in self.types} - there
        found = too_early(source, there | own)
        for name in names(source):
            if _root(name.text) in own and not name.called:
                text = f"{name.text!r} is a text put together: a condition cannot use it"
                found.append(Complaint(name.start, "type", text, "make it one ${{ }}"))
        return found

    def inlined(self, source: str) -> str:
        """The expression with what stands for a value in its place."""
        text, end, texts = "", 0, self.texts or {}
        for name in names(source) if texts else ():
            root = _root(name.text)
            if root not in texts or (name.called and name.text in (root, f"vars.{root}")):
                continue
            length = len(f"vars.{root}" if name.text.startswith("vars.") else root)
            text += f"{source[end : name.start]}({texts[root]})"
            end = name.start + length
        return text + source[end:]


NO_NAMES = Names()


def _root(name: str) -> str:
    """The name of the value that a dotted name begins with."""
    return name.removeprefix("vars.").partition(".")[0]


def _spellings(name: str) -> tuple[str, ...]:
    return (f"vars.{name}",) if _root(name) in RESERVED else (f"vars.{name}", name)


def fields_of(types: Mapping[str, str]) -> dict[str, Field]:
    """What an expression finds under these names."""
    return {
        spelt: Field(type_, _getter(name, type_), "a value that the rule keeps")
        for name, type_ in types.items()
        for spelt in _spellings(name)
    }


def _getter(name: str, type_: str) -> Callable[[Any], Any]:
    path, word = name.split("."), type_.partition("(")[0]
    wanted = _PYTHON.get(word, (object,))

    def get(scope: Any) -> Any:
        found: Any = scope.named
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is None:
            return _EMPTY.get(word)
        if word == "double" and type(found) is int:
            return float(found)
        if not isinstance(found, wanted) or (word == "int" and isinstance(found, bool)):
            raise ValueError(f"{name} is no {word} here")
        return found

    return get


def keepable(type_: str, *, inside: bool = False) -> bool:
    """Whether a value of this type can be kept: what is in a list or map must be plain JSON."""
    for start, key in (("list(", ""), ("map(", "string, ")):
        if type_.startswith(start):
            return type_[len(start) :].startswith(key) and keepable(
                type_[len(start) + len(key) : -1], inside=True
            )
    moments = ("timestamp", "duration")
    return type_ == "dyn" or (type_ in SCALARS and not (inside and type_ in moments))


def joint_type(types: Iterable[str]) -> str:
    """The type of the entries of a list: theirs when they all have one."""
    found = set(types)
    return found.pop() if len(found) == 1 else "dyn"


def saved(value: Any) -> Any:
    """A value as plain JSON that keeps its type. Raises ValueError for what is none."""
    if isinstance(value, datetime):
        return {"$moment": value.astimezone(UTC).isoformat()}
    if isinstance(value, timedelta):
        return {"$seconds": value.total_seconds()}
    if isinstance(value, list | tuple):
        return [saved(item) for item in value]
    if isinstance(value, Mapping):
        inside = {str(key): saved(item) for key, item in value.items()}
        return {"$map": inside} if any(key.startswith("$") for key in inside) else inside
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it is no number")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"a {type(value).__name__} cannot be kept")


def answer_saved(status: int, text: str) -> dict[str, Any]:
    """The answer to a web request, as it is kept."""
    return {"$answer": [status, text]}


ANSWER = {"status": "int", "ok": "bool", "text": "string", "json": "dyn"}
"""The parts of an answer, with their types."""


def _answer(status: int, text: str) -> dict[str, Any]:
    return {
        "status": status, "ok": 200 <= status < 300, "text": text, "json": value_of(text),
    }  # fmt: skip


def restored(value: Any) -> Any:
    """The value that `saved` wrote."""
    if isinstance(value, list):
        return [restored(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.keys() == {"$moment"}:
        return from_iso(value["$moment"])
    if value.keys() == {"$seconds"}:
        return timedelta(seconds=value["$seconds"])
    if value.keys() == {"$answer"}:
        return _answer(*value["$answer"])
    inside = value["$map"] if value.keys() == {"$map"} else value
    return {key: restored(item) for key, item in inside.items()}


def size_of(value: Any) -> int:
    """How many letters a saved value takes."""
    return len(json.dumps(value, ensure_ascii=False))
