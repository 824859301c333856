"""Candidates for plugins: what lies in the folder, and the packages listed by name."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from ringback.errors import Problem
from ringback.plugins.finder import Package, files_of, plugin_files, unsafe
from ringback.plugins.invoke import suggestion

GROUP = "ringback"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that claims to be a plugin; `load` imports it."""

    name: str
    path: Path | None
    origin: str
    version: str
    load: Callable[[], ModuleType]


def in_folder(
    package: Package, only: Collection[str] | None, problems: list[Problem]
) -> Iterator[Candidate]:
    """The plugins of a folder that may be trusted to run; the others become problems."""
    folder, owner = package.folder, package.owner
    if not folder.is_dir():
        return
    fault = unsafe(folder, owner)
    if fault is not None:
        problems.append(fault)
        return
    for name, path in plugin_files(folder):
        if only is not None and name not in only:
            continue
        faults = [unsafe(file, owner) for file in files_of(path)]
        faults += [unsafe(path.parent, owner)] if path.name == "__init__.py" else []
        real = [fault for fault in faults if fault is not None]
        if real:
            problems += real
            continue
        yield Candidate(name, path, "folder", "", partial(package.load, name))


def packaged(names: tuple[str, ...], problems: list[Problem]) -> Iterator[Candidate]:
    """The listed plugins of installed packages. What is not listed never loads."""
    if not names:
        return
    from importlib.metadata import entry_points  # heavy, and most projects list no package

    there = {point.name: point for point in entry_points(group=GROUP)}
    for name in names:
        point = there.get(name)
        if point is None:
            message = f"no installed package offers the plugin '{name}'"
            problems.append(
                Problem("ringback.toml", 0, 0, "plugin", message, "", suggestion(name, there))
            )
            continue
        origin = point.dist.name if point.dist else "package"
        version = point.dist.version if point.dist else ""
        yield Candidate(name, None, origin, version, point.load)


def unknown_tables(tables: Mapping[str, Any], found: list[Candidate]) -> Iterator[Problem]:
    """A problem for each `[plugins.NAME]` table without a plugin: a typo, most of the time."""
    names = [candidate.name for candidate in found]
    for name in tables:
        if name not in names:
            message = f"[plugins.{name}] is for a plugin that is not there"
            yield Problem("ringback.toml", 0, 0, "config", message, "", suggestion(name, names))


def without_clashes(found: list[Candidate], problems: list[Problem]) -> Iterator[Candidate]:
    """Those whose name is theirs alone. Of two with one name neither loads."""
    for candidate in found:
        others = [each for each in found if each.name == candidate.name and each is not candidate]
        if not others:
            yield candidate
            continue
        other = others[0].path or f"package {others[0].origin}"
        message = f"two plugins are called '{candidate.name}', the other is {other}"
        problems.append(
            Problem(str(candidate.path or candidate.origin), 0, 0, "plugin", message, "",
                    "rename one, or take it off the list of packages")
        )  # fmt: skip
