"""Blocks: steps with parameters under a name, that rules run with values of their own.

A block is compiled for the types that it is run with. It knows its parameters and what its own
steps keep, and nothing else of the rule; what it gives back is worked out at its end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringback.errors import Problem
from ringback.rules.files.reader import Reader
from ringback.rules.files.schema import BlockModel
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.cel import plain_language
from ringback.rules.model import Step
from ringback.rules.sections.let import bad_name

TAKEN = ("rule", "block", "as")
"""Words of `run` itself, which no parameter can have."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A block as it is written: its parameters, the nodes of its steps and of what it gives, and
    where it stands."""

    name: str
    needs: tuple[str, ...]
    do: Node
    gives: Node | None
    node: Node
    source: Source
    line: int

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.source.file}:{self.line}"


@dataclass(slots=True, eq=False)
class Made:
    """A block compiled for parameters of some types: its steps, what it gives with its type, and
    what is wrong with it. `runs` and `names` are where its steps name rules, `uses` the blocks in
    it, `depth` how deep they are; `broken`: one of those is wrong."""

    steps: tuple[Step, ...] = ()
    gives: Any = None
    type: str = ""
    problems: list[Problem] = field(default_factory=list)
    runs: list[tuple[Step, Node, Reader]] = field(default_factory=list)
    names: list[tuple[Node, Reader]] = field(default_factory=list)
    uses: dict[str, Block] = field(default_factory=dict)
    depth: int = 1
    broken: bool = False


class Blocks:
    """The blocks of a project, and what was made of them so far. `checked` has of each what is
    wrong with it whatever it is run with; None for one that runs such a block. In the `table` one
    that cannot be read is None."""

    def __init__(self, table: Mapping[str, Block | None] | None = None) -> None:
        self.table = dict(table or {})
        self.made: dict[tuple[Any, ...], Made] = {}
        self.readers: list[Reader] = []
        self.checked: dict[str, list[Problem] | None] = {}


def read_blocks(
    trees: list[tuple[Source, Node]], problems: list[Problem]
) -> dict[str, Block | None]:
    """The blocks of all files, by name, None for those that are wrong; what is wrong with them is
    added to `problems`."""
    found: dict[str, Block | None] = {}
    for source, tree in trees:
        reader = Reader(source, plain_language())
        section = tree.value.get("blocks") if isinstance(tree.value, dict) else None
        items = section.value if section is not None and isinstance(section.value, dict) else {}
        for name, node in items.items():
            assert section is not None
            wrong, hint = bad_name(name)
            if name in found:
                text = f"another block is named {name!r}"
                place = other.place if (other := found[name]) else ""
                reader.fail_key(section, name, "duplicate", text, f"in {place}" if place else "")
            elif wrong:
                reader.fail_key(section, name, "name", f"{name!r} {wrong}", hint)
            else:
                found[name] = _block(reader, name, node, section.keys[name][0])
        problems += reader.problems
    return found


def _block(reader: Reader, name: str, node: Node, line: int) -> Block | None:
    before = len(reader.problems)
    model = reader.model(node, BlockModel)
    if model is None or not isinstance(node.value, dict):
        return None
    needs = node.value.get("needs")
    for item in needs.value if needs is not None and isinstance(needs.value, list) else [needs]:
        if item is None:
            continue
        word = str(item.value)
        wrong, hint = bad_name(word)
        if word in TAKEN:
            wrong, hint = "is a word of `run` already", "take another name"
        if wrong:
            reader.fail(item, "name", f"{word!r} {wrong}", hint)
    if len(set(model.needs)) < len(model.needs):
        reader.fail_key(node, "needs", "duplicate", "a parameter is there twice")
    if len(reader.problems) > before:
        return None
    parts = node.value
    return Block(
        name, tuple(model.needs), parts["do"], parts.get("gives"), node, reader.source, line
    )
