"""YAML tree: a file as nodes of text, each of which knows where it stands.

Every scalar stays the text that was written, so `+15551234567`, `on` and `1.10` are what they look
like. Tags, second documents, repeated keys and bombs of size, depth or aliases are refused.
"""

import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ringback.errors import Problem
from ringback.rules.files.source_map import Source

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 20_000
MAX_ALIASES = 100

Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


@dataclass(slots=True, eq=False)
class Node:
    """One piece of the file. `value` is a text, a list of nodes, or a dict of keys to nodes.

    `line` and `column` count from 1. `keys` has the place of each key of a mapping.
    """

    value: "str | list[Node] | dict[str, Node]"
    line: int
    column: int
    end_line: int
    end_column: int
    style: str = ""
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)

    def plain(self) -> Any:
        """The same as bare texts, lists and dicts."""
        if isinstance(self.value, str):
            return self.value
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return {key: item.plain() for key, item in self.value.items()}

    @property
    def empty(self) -> bool:
        """Whether nothing was written: `hangup:` with no value."""
        return self.value == "" and not self.style


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_source(path: Path, shown: str) -> Source | Problem:
    """Read a rule file's text. Anything but a regular file of UTF-8 below the limit is refused."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return Problem(shown, 0, 0, "file", "this is not a regular file")
        if about.st_size > MAX_BYTES:
            return Problem(shown, 0, 0, "limit", f"the file is larger than {MAX_BYTES // 1024} KiB")
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except OSError as error:
        return Problem(shown, 0, 0, "file", f"cannot be read: {error.strerror or error}")
    return decode(data, shown)


def decode(data: bytes, shown: str) -> Source | Problem:
    """The bytes of a rule file as text with lines. UTF-8 alone, with or without a mark."""
    if len(data) > MAX_BYTES:
        return Problem(shown, 0, 0, "limit", f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        return Problem(shown, line, column, "encoding", "the file is not UTF-8 text")
    source = Source(shown, text)
    odd = _UNPRINTABLE.search(text)
    if odd:
        line, column = source.place(odd.start())
        return source.problem(
            line, column, "encoding", f"the character U+{ord(odd[0]):04X} is not allowed"
        )
    return source


def parse(source: Source) -> Node | list[Problem]:
    """The file as a tree, or every problem of its form. An empty file is one."""
    try:
        _limits(source)
        root = yaml.compose(source.text, Loader=Loader)
        if root is None:
            return [source.problem(1, 1, "schema", "the file is empty", "start with `rules:`")]
        problems: list[Problem] = []
        node = _Builder(source, problems).node(root)
    except _Refused as refused:
        return [refused.problem]
    except yaml.YAMLError as error:
        return [_syntax(source, error)]
    return problems or node


def _limits(source: Source) -> None:
    """Hold the file against our limits, and what the library refuses up to that place.

    The library reads ahead and has limits of its own, which change with its release: what stands
    before the place where it stopped may be beyond ours already.
    """
    try:
        _count(source, source.text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        if mark is not None:
            with suppress(yaml.YAMLError):
                _count(source, source.text[: mark.index])
        raise


def _count(source: Source, text: str) -> None:
    depth = aliases = nodes = 0
    for event in yaml.parse(text, Loader=Loader):
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        aliases += isinstance(event, yaml.AliasEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise _Refused(
                source.problem(line, column, "limit", f"nested deeper than {MAX_DEPTH} levels")
            )
        if aliases > MAX_ALIASES:
            raise _Refused(
                source.problem(line, column, "limit", f"more than {MAX_ALIASES} aliases")
            )
        if nodes > MAX_NODES:
            raise _Refused(source.problem(line, column, "limit", f"more than {MAX_NODES} values"))


def _syntax(source: Source, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    text = getattr(error, "problem", None) or str(error)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    hint = ""
    context = getattr(error, "context_mark", None)
    if "unexpected end of stream" in text and context is not None:
        line, column = context.line + 1, context.column + 1
        text, hint = "the quoted text that begins here does not end", "close it with its quote"
    elif "found character that cannot start any token" in text:
        letter = source.lines[line - 1][column - 1 : column] if line <= len(source.lines) else ""
        text = f"{letter!r} cannot start a value"
        hint = "indent with spaces" if letter == "\t" else "put the value in quotes"
    elif "mapping values are not allowed" in text:
        hint = "put a text with ': ' in quotes"
    elif "expected ',' or" in text:
        hint = "inside { } and [ ], put a condition or a text with such signs in quotes"
    elif "another document" in text:
        text, hint = "a second document begins here", "one file holds one document"
    elif "anchor" in text and "alias" not in text:
        text = text.replace("found ", "")
    return source.problem(line, column, "yaml", text, hint)


class _Builder:
    def __init__(self, source: Source, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        self.count = 0

    def node(self, raw: yaml.Node, depth: int = 1) -> Node:
        line, column = raw.start_mark.line + 1, raw.start_mark.column + 1
        end = raw.end_mark.line + 1, raw.end_mark.column + 1
        self.count += 1
        if self.count > MAX_NODES:
            raise _Refused(self._problem(line, column, "limit", f"more than {MAX_NODES} values"))
        if depth > MAX_DEPTH:
            raise _Refused(
                self._problem(line, column, "limit", f"nested deeper than {MAX_DEPTH} levels")
            )
        if raw.tag not in _PLAIN_TAGS:
            tag = raw.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.append(
                self._problem(line, column, "yaml", f"tags such as {tag} are not allowed")
            )
        if isinstance(raw, yaml.MappingNode):
            return self._mapping(raw, line, column, end, depth)
        if isinstance(raw, yaml.SequenceNode):
            return Node([self.node(item, depth + 1) for item in raw.value], line, column, *end)
        return Node(raw.value, line, column, *end, style=str(getattr(raw, "style", "") or ""))

    def _mapping(
        self, raw: yaml.MappingNode, line: int, column: int, end: tuple[int, int], depth: int
    ) -> Node:
        values: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        for key_node, value_node in raw.value:
            place = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            value = self.node(value_node, depth + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                hint = "put '{{' in quotes; an expression is written ${{ … }}"
                self.problems.append(self._problem(*place, "yaml", "a key must be a text", hint))
                continue
            key = key_node.value
            if key in keys:
                text = f"the key {key!r} is there twice"
                hint = f"first in line {keys[key][0]}"
                self.problems.append(self._problem(*place, "duplicate", text, hint))
                continue
            values[key], keys[key] = value, place
        return Node(values, line, column, *end, keys=keys)

    def _problem(self, line: int, column: int, kind: str, message: str, hint: str = "") -> Problem:
        return self.source.problem(line, column, kind, message, hint)
