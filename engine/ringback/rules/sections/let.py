"""Compiler of `let`: values under names, each typed by what it is worked out from."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ringback.rules.files.reader import Reader
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.cel import Program
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.language.named_values import RESERVED, WHOLE, Names, joint_type, keepable
from ringback.rules.language.templates import Template
from ringback.rules.model import MOST_ENTRIES
from ringback.rules.steps.base import StepModel

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}(?<!__)")


def read_let(reader: Reader, node: Node | None, *, running: bool = True) -> dict[str, Any]:
    """The values of a `let`, compiled, in their order. Each is known to the lines behind it."""
    items = node.value if node is not None and isinstance(node.value, dict) else {}
    found: dict[str, Any] = {}
    for name, item in items.items():
        before = len(reader.problems)
        value, type_ = read_value(reader, item, running=running)
        if len(reader.problems) > before and name in reader.named:
            continue
        _check(reader, node, name, item, type_)
        reader.know(name, {"": type_}, item)
        found[name] = value
    return found


def read_value(reader: Reader, node: Node, *, running: bool = True) -> tuple[Any, str]:
    """A value, compiled, and its type; `dyn` for one that is wrong, which is noted."""
    before = len(reader.problems)
    value = _evened(reader.json(node, typed=True, running=running, kept=True))
    return value, type_of(value) if len(reader.problems) == before else "dyn"


def read_list(reader: Reader, node: Node) -> tuple[Any, str]:
    """A list, compiled, and the type of its entries: `lists.NAME`, an expression, or entries."""
    written, lists = str(node.value), reader.language.lists
    name = written.removeprefix("lists.")
    if name != written and name in lists:
        text = f"${{{{ {written} }}}}"
        node = Node(text, node.line, node.column, node.end_line, node.end_column)
    before = len(reader.problems)
    value, type_ = read_value(reader, node)
    if len(reader.problems) == before and type_ != "dyn" and type_[:5] != "list(":
        hint = did_you_mean(name, lists) if name != written else ""
        text = f"needs a list, and this is a {type_}"
        reader.fail(node, "type", text, hint or "write lists.NAME, a list or ${{ … }}")
    size = len(value if isinstance(value, list) else lists.get(name, ()))
    if size > MOST_ENTRIES:
        reader.fail(node, "limit", f"the list has {size} entries, {MOST_ENTRIES} at most")
    entry = type_[5:-1] if type_[:5] == "list(" else "dyn"
    if not keepable(entry):
        reader.fail(node, "type", f"an entry cannot be a {entry}")
    return value, entry


def bad_name(name: str) -> tuple[str, str]:
    """What is wrong with a name for a value, and the mend; empty when nothing is."""
    if not _NAME.fullmatch(name):
        return "is no name for a value", "use small letters, digits and _ in it, a letter first"
    if name in RESERVED:
        return "is a word of the language already", "take another name"
    return "", ""


def know_as(reader: Reader, kept: set[str], model: type[StepModel], node: Node) -> None:
    """The name of `as` is known to the steps behind: a text, what a block gives, an entry, or an
    answer with its parts, which only the steps of this rule know. `kept` are the others of all
    rules."""
    name = str(node.value)
    if model.keeps:
        wrong, hint = bad_name(name)
        if wrong:
            reader.fail(node, "name", f"{name!r} {wrong}", hint)
        reader.know(name, model.keeps, node)
        return
    kept.add(name)
    if isinstance(node.value, str) and node.value and model.step in ("run", "each"):
        reader.named.setdefault(node.value, "dyn")
    elif isinstance(node.value, str) and node.value:
        reader.know(node.value, {"": "string"}, node)


def _evened(value: Any) -> Any:
    """The same with the numbers of a list or map of one type, when any of them has a fraction: in
    conditions 2 and 2.5 do not add."""
    if not isinstance(value, Mapping | list):
        return value
    inside = list(value.values() if isinstance(value, Mapping) else value)
    literals = all(type(each) in (int, float) for each in inside)
    exact = literals and any(type(each) is float for each in inside)
    even = [float(each) if exact else _evened(each) for each in inside]
    return dict(zip(value, even, strict=True)) if isinstance(value, Mapping) else even


def _check(reader: Reader, node: Node | None, name: str, item: Node, type_: str) -> None:
    assert node is not None
    wrong, hint = bad_name(name)
    if wrong:
        reader.fail_key(node, name, "name", f"{name!r} {wrong}", hint)
    elif not keepable(type_):
        hints = {"null_type": "leave it out: a value is '' or 0 until it is kept", "uint": "int(…)"}
        hint = hints.get(type_, "lists and maps hold texts, numbers, true and false")
        reader.fail(item, "type", f"{name!r} cannot keep a {type_}", hint)


def type_of(value: Any) -> str:
    """The type of a value that was read with its types."""
    if isinstance(value, Template):
        return value.alone.type if value.alone is not None else "string"
    if isinstance(value, Mapping):
        return f"map(string, {joint_type(map(type_of, value.values()))})"
    if isinstance(value, list):
        return f"list({joint_type(map(type_of, value))})"
    if value is None:
        return "null_type"
    plain = {bool: "bool", int: "int", float: "double"}
    small = type(value) is not int or abs(value) < WHOLE
    return plain.get(type(value), "string") if small else "number of more than 18 figures"


def texts_of(values: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, str]:
    """The expressions that stand for the values of a rule in its conditions, without those that are
    texts put together of what no expression joins."""
    found: dict[str, str] = {}
    for name, value in values.items():
        text = _text(value, Names(types, found))
        if text is not None:
            found[name] = text
    return found


def _text(value: Any, names: Names) -> str | None:
    if isinstance(value, Mapping):
        pairs = [(_quoted(key), _text(each, names)) for key, each in value.items()]
        good = all(text is not None for _, text in pairs)
        return f"{{{', '.join(f'{key}: {text}' for key, text in pairs)}}}" if good else None
    if isinstance(value, list):
        texts = [_text(each, names) for each in value]
        return f"[{', '.join(map(str, texts))}]" if None not in texts else None
    if not isinstance(value, Template):
        return _quoted(value)
    parts = [_part(part, names, value.alone is not None) for part in value.parts]
    return " + ".join(map(str, parts)) if None not in parts else None


def _part(part: str | Program, names: Names, alone: bool) -> str | None:
    if isinstance(part, str):
        return _quoted(part)
    if names.early(part.source):
        return None
    text = names.inlined(part.source)
    made = {"string": f"({text})", "int": f"string({text})"}
    return text if alone else made.get(part.type)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
