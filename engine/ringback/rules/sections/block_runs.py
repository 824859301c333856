"""Compiler of `run: {block: …}`: a block made for the types of the values that it is run with."""

import re
from dataclasses import replace
from typing import Any, Protocol

from ringback.errors import Problem
from ringback.rules.files.reader import VALUE, Reader, marked
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.complaints import Complaint, did_you_mean
from ringback.rules.language.named_values import keepable
from ringback.rules.model import Step, every_step
from ringback.rules.sections.blocks import TAKEN, Block, Blocks, Made
from ringback.rules.sections.let import read_value


class Compiler(Protocol):
    """What compiles the steps of a block; `ringback.rules.files.compile.Steps` is one."""

    reader: Reader
    blocks: Blocks
    runs: list[tuple[Step, Node, Reader]]
    names: list[tuple[Node, Reader]]
    kept: set[str]
    uses: dict[str, Block]
    starts: tuple[str, ...]
    inside: tuple[str, ...]
    broken: bool
    depth: int

    def within(self, reader: Reader, block: str, starts: tuple[str, ...]) -> "Compiler":
        """The compiler of the steps of a block that stands here."""

    def many(self, node: Node | None) -> tuple[Step, ...]:
        """The steps of a list."""


DEEPEST = 8
"""How deep blocks may run each other."""
MOST_STEPS, MOST_MADE = 500, 2000
"""How many steps a block comes to, with those of the blocks in it, and how often all blocks of a
project are made for other types."""
_UNKNOWN = re.compile(r"got dyn$| is dyn here| and dyn in line ").search
"""In what is wrong with a block only as long as its parameters may be of any type."""


def run_block(steps: Compiler, node: Node, place: tuple[int, int]) -> Step | None:
    """The step that runs a block. What is wrong is noted, in the block with both places."""
    reader, words = steps.reader, node.value
    assert isinstance(words, dict)
    before = len(reader.problems)
    wanted = str(words["block"].value)
    block = steps.blocks.table.get(wanted)
    if block is None and wanted in steps.blocks.table:
        steps.broken = True
        return None
    if block is None:
        hint = did_you_mean(wanted, steps.blocks.table) or "add it under `blocks`"
        reader.fail(words["block"], "name", f"no block is named {wanted!r}", hint)
        return None
    given, types = _given(reader, node, block)
    if "as" in words and block.gives is None:
        text = f"the block {block.name!r} ({block.place}) gives nothing to keep"
        reader.fail(words["as"], "schema", text, "write `gives: ${{ … }}` in the block")
    if block.name in steps.inside:
        way = " → ".join((*steps.inside, block.name))
        reader.fail(words["block"], "name", f"block {block.name!r} runs itself: {way}")
        return None
    if len(reader.problems) > before:
        return None
    made = _for_types(steps, block, types)
    if made.broken or made.problems:
        where = f"(block {block.name!r}, which {reader.source.file}:{place[0]} runs)"
        found = [replace(each, message=f"{each.message} {where}") for each in made.problems]
        reader.problems += found
        steps.broken = True
        return None
    steps.depth = max(steps.depth, made.depth)
    if steps.depth > DEEPEST:
        reader.fail(words["block"], "limit", f"blocks run each other more than {DEEPEST} deep")
        return None
    steps.runs += made.runs
    steps.names += made.names
    steps.uses |= {block.name: block, **made.uses}
    name = str(words["as"].value) if "as" in words else ""
    if name:
        reader.know(name, {"": made.type}, words["as"])
    params = {
        "block": block.name, "given": given, "gives": made.gives, "as": name, "type": made.type,
    }  # fmt: skip
    return Step("run", params, {"run": made.steps}, place[0])


def check_blocks(steps: Compiler) -> list[Problem]:
    """What is wrong with blocks whatever they are run with, also with those that nobody runs."""
    for block in filter(None, steps.blocks.table.values()):
        _check(steps, block)
    return [each for found in steps.blocks.checked.values() for each in found or ()]


def _check(steps: Compiler, block: Block) -> bool:
    """Whether a block is right as far as can be told without the types of what it is run with."""
    checked = steps.blocks.checked
    if block.name not in checked:
        made = _made(steps, block, dict.fromkeys(block.needs, "dyn"), ())
        found = [each for each in made.problems if not _UNKNOWN(each.message)]
        checked[block.name] = found or ([] if not made.broken else None)
    return checked[block.name] == []


def _given(reader: Reader, node: Node, block: Block) -> tuple[dict[str, Any], dict[str, str]]:
    """The values for the parameters of a block, and their types."""
    words = node.value if isinstance(node.value, dict) else {}
    values: dict[str, Any] = {}
    types: dict[str, str] = {}
    for name, item in words.items():
        if name in TAKEN:
            continue
        if name not in block.needs:
            hint = did_you_mean(name, block.needs) or "it needs " + ", ".join(block.needs)
            text = f"the block {block.name!r} ({block.place}) does not need {name!r}"
            reader.fail_key(node, name, "schema", text, hint if block.needs else "")
            continue
        value, types[name] = read_value(reader, item)
        values[name] = marked(value, VALUE)
        if not keepable(types[name]):
            reader.fail(item, "type", f"{name!r} cannot be a {types[name]}")
    missing = [name for name in block.needs if name not in words]
    if missing:
        text = f"the block {block.name!r} ({block.place}) needs {', '.join(missing)}"
        reader.fail(words["block"], "schema", text)
    return values, types


def _for_types(steps: Compiler, block: Block, types: dict[str, str]) -> Made:
    """The block for these types; a broken one when it is wrong whatever they are, which is said
    once."""
    made = steps.blocks.made
    key = (block.name, *sorted(types.items()), *steps.starts)
    if not _check(steps, block):
        return Made(broken=True)
    if key not in made and len(made) >= MOST_MADE:
        text = f"blocks are run in more than {MOST_MADE} ways"
        wrong = block.source.problem(block.line, 1, "limit", text)
        return Made(problems=[wrong])
    if key not in made:
        made[key] = _made(steps, block, types, steps.starts)
    return made[key]


def _made(steps: Compiler, block: Block, types: dict[str, str], starts: tuple[str, ...]) -> Made:
    reader = Reader(block.source, steps.reader.language)
    steps.blocks.readers.append(reader)
    for name in block.needs:
        reader.know(name, {"": types[name]}, block.node)
    inner = steps.within(reader, block.name, starts)
    made = Made(inner.many(block.do), runs=inner.runs, names=inner.names, uses=inner.uses)
    made.depth, made.broken = inner.depth + 1, inner.broken
    if block.gives is not None:
        value, made.type = read_value(reader, block.gives)
        made.gives = marked(value, VALUE)
        if not keepable(made.type):
            reader.fail(block.gives, "type", f"a block cannot give a {made.type}")
    for word, node, offset in reader.used:
        if word not in inner.kept:
            hint = did_you_mean(word, [*block.needs, *inner.kept]) or "add it to its `needs`"
            text = f"no step of the block {block.name!r} keeps {word!r}"
            reader.fail_inside(node, [Complaint(offset, "type", text, hint)])
    if sum(1 for _ in every_step(made.steps)) > MOST_STEPS:
        text = f"the block {block.name!r} comes to more than {MOST_STEPS} steps"
        reader.fail(block.node, "limit", text)
    made.problems, reader.problems = reader.problems, []
    return made


def is_block(model: type[Any], node: Node) -> bool:
    """Whether these are the words of a `run` step that names a block."""
    return bool(model.step == "run" and isinstance(node.value, dict) and "block" in node.value)
