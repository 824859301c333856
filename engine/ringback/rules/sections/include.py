"""Included files: lists, hours and blocks that several rule files, or several projects, share.

They lie in a folder `shared` of the project, or in one beside the project's folder: nothing else of
the disk is read. What is included has no rules, and includes nothing itself.
"""

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ringback.errors import Problem
from ringback.rules.files.schema import FileModel
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node, parse, read_source
from ringback.rules.sections.shared_folders import FOLDER, folders

MOST_FILES = 100
"""How many files one project may include."""
SHARED = ("version", "lists", "hours", "texts", "blocks")
"""The sections that an included file may have."""


@dataclass(frozen=True, slots=True)
class File:
    """A rule file that was read: where it lies, its text, and its tree."""

    path: Path
    source: Source
    tree: Node


def read_file(path: Path, shown: str, problems: list[Problem]) -> File | None:
    """Read a file. What is wrong with its form is added to `problems`."""
    source = read_source(path, shown)
    if isinstance(source, Problem):
        problems.append(source)
        return None
    tree = parse(source)
    if isinstance(tree, Node):
        return File(path, source, tree)
    problems += tree
    return None


def included(files: Iterable[File], problems: list[Problem]) -> list[File]:
    """The files that these include and that are none of them, each once. What is wrong is added to
    `problems`."""
    known = {_real(each.path) for each in files}
    found: list[File] = []
    for file in files:
        words = file.tree.value if isinstance(file.tree.value, dict) else {}
        node = words.get("include")
        for item in _items(node):
            for path in _named(file, item, known, problems):
                real = _real(path)
                if real not in known and len(found) < MOST_FILES:
                    known.add(real)
                    found += _read(real, file, item, problems)
                elif real not in known:
                    text = f"more than {MOST_FILES} files are included"
                    problems.append(_problem(file, item, "limit", text))
                    return found
    return found


def _named(file: File, item: Node, known: set[Path], problems: list[Problem]) -> list[Path]:
    """The files of one line of `include`, in the order of their names."""
    pattern = str(item.value)
    root = _project(file.path)
    path = file.path.parent / pattern
    folder = Path(os.path.normpath(path)).parent
    allowed = [_real(each) for each in folders(root)]
    hint = f"write ../{FOLDER}/*.yaml"
    odd = "**" in pattern or "\0" in pattern or glob.has_magic(str(Path(pattern).parent))
    if odd or not pattern.endswith((".yaml", ".yml")):
        text = f"{pattern!r} names no rule files; a * stands in the name of the file"
        problems.append(_problem(file, item, "file", text, hint))
        return []
    there = (each for each in folder.glob(path.name) if each.name[:1] != ".")
    found = sorted(each for each in there if each.exists())  # a link may lead nowhere
    for place in found or (folder,):
        real = _real(place)
        if real not in known and not any(real == each or each in real.parents for each in allowed):
            text = f"{pattern!r} is not in a folder {FOLDER!r} of the project, or beside it"
            problems.append(_problem(file, item, "file", text, hint))
            return []
    if not found:
        problems.append(_problem(file, item, "file", f"there is no file {pattern!r}"))
    return found


def _read(path: Path, by: File, item: Node, problems: list[Problem]) -> list[File]:
    file = read_file(path, os.path.relpath(path, _real(_project(by.path))), problems)
    if file is None:
        return []
    for word, place in file.tree.keys.items():
        if word not in SHARED and word in FileModel.model_fields:
            text = f"{by.source.file}, line {item.line}, includes this file, which has {word!r}"
            hint = "an included file has only " + ", ".join(SHARED)
            problems.append(file.source.problem(*place, "schema", text, hint))
    return [file]


def _project(path: Path) -> Path:
    """The folder of the project that a rule file is of; its own folder where it is of none."""
    for parent in path.absolute().parents:
        if (parent / "ringback.toml").is_file():
            return parent
        if parent.name == "rules":
            return parent.parent
    return path.absolute().parent


def _real(path: Path) -> Path:
    """Where a path leads, as far as its links do not go in a circle."""
    return Path(os.path.realpath(path))


def _problem(file: File, item: Node, kind: str, text: str, hint: str = "") -> Problem:
    return file.source.problem(item.line, item.column, kind, text, hint)


def _items(node: Node | None) -> list[Node]:
    if node is None:
        return []
    items = node.value if isinstance(node.value, list) else [node]
    return [item for item in items if isinstance(item.value, str)]
