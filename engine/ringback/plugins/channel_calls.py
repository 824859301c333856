"""Channels that the code of plugins names: `notify(…, via="ops")`, read and never run."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CALLS = ("notify", "Notify")
"""What makes a notice."""


class ChannelCall(NamedTuple):
    """One call that names a channel in so many words, and where."""

    file: Path
    line: int
    column: int
    via: str


def channel_calls(folder: Path) -> Iterator[ChannelCall]:
    """The calls in all Python files of a folder, tests left out. A file that cannot be read or
    parsed has none here: whoever imports it says why."""
    for file in sorted(folder.glob("**/*.py")):
        if file.name.startswith("test_") or "tests" in file.relative_to(folder).parts:
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            value = _via(node)
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield ChannelCall(file, value.lineno, value.col_offset + 1, value.value)


def _via(node: ast.AST) -> ast.expr | None:
    """What a call gives as the channel, when it makes a notice."""
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in CALLS:
        return None
    return next((word.value for word in node.keywords if word.arg == "via"), None)
