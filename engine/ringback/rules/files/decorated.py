"""Decorated rules: the words of a Python rule as a tree of nodes, placed in the Python file."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.numbers import number_text
from ringback.rules.model import RuleSpec

_SPANS = ("once_within", "once_after", "max_wait", "accumulate_within", "limit", "within")
_FAR = 20
"""How many lines of a decorator are searched for a word that is wrong."""


def code_of(handler: Any) -> str:
    """What the function does, as text: its source, else its byte code."""
    try:
        return inspect.getsource(handler)
    except (OSError, TypeError):
        code = getattr(handler, "__code__", None)
        return repr(code.co_code) if code is not None else repr(handler)


def source_of(spec: RuleSpec) -> Source:
    """The file in which the decorator stands; empty when it cannot be read."""
    try:
        return Source(spec.file, Path(spec.file).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return Source(spec.file, "")


def node_of(value: Any, spec: RuleSpec, source: Source, word: str = "") -> Node:
    """The words of a decorator as a tree whose places are in the Python file."""
    line, column = spec.line, spec.column
    if isinstance(value, Mapping):
        children = {str(key): node_of(item, spec, source, str(key)) for key, item in value.items()}
        keys = dict.fromkeys(children, (line, column))
        return Node(children, line, column, line, column, keys=keys)
    if isinstance(value, list | tuple | set | frozenset):
        return Node(
            [node_of(item, spec, source, word) for item in value], line, column, line, column
        )
    text = _text(value, word)
    for number in range(line, min(line + _FAR, len(source.lines)) + 1):
        at = source.line(number).find(text) if len(text) > 1 and "\n" not in text else -1
        if at >= 0:
            return Node(text, number, at + 1, number, at + 1 + len(text), style="python")
    return Node(text, line, column, line, column, style="python")


def _text(value: Any, word: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and word in _SPANS:
        return f"{number_text(round(float(value), 3))}s"
    return str(value)
