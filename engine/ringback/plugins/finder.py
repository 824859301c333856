"""Import of plugin folders as modules of a package of their own, with `sys.path` untouched.

A project's plugins are imported as `ringback_project.plugins.<name>` (a further project in the
same process gets a number in the name). So a plugin called `json.py` hides nothing, neighbours
reach each other by `from ._phrases import HELLO`, and two projects never see each other's modules.
Bytecode is neither read nor written: what runs is what stands in the file.
"""

import hashlib
import importlib
import importlib.util
import itertools
import os
import stat
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from ringback.errors import Problem

_counter = itertools.count(1)


def plugin_files(folder: Path) -> list[tuple[str, Path]]:
    """The plugins of a folder: each `name.py` and each `name/__init__.py`, sorted.

    Names that begin with `_` or `.` are neighbours' helpers, not plugins.
    """
    found: list[tuple[str, Path]] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py" and path.is_file():
            found.append((path.stem, path))
        elif (path / "__init__.py").is_file():
            found.append((path.name, path / "__init__.py"))
    return found


def files_of(path: Path) -> list[Path]:
    """Every Python file that belongs to the plugin at `path`."""
    if path.name != "__init__.py":
        return [path]
    return sorted(file for file in path.parent.rglob("*.py") if file.is_file())


def digest(path: Path) -> str:
    """The SHA-256 of a plugin in hex: of its file, or of the names and contents of a package."""
    files = files_of(path)
    if len(files) == 1 and path.name != "__init__.py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in files:
        inner = hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(f"{file.relative_to(path.parent).as_posix()} {inner}\n".encode())
    return whole.hexdigest()


def unsafe(path: Path, owner: int) -> Problem | None:
    """Why code at this path may not be trusted to run, or None.

    Code that everybody may write, or that belongs to somebody other than this process, root and
    `owner` (who owns the project), would let another user of the machine act as us.
    """
    try:
        found = path.stat()
    except OSError as error:
        return Problem(str(path), 0, 0, "plugin", f"cannot be read: {error.strerror}")
    if found.st_mode & stat.S_IWOTH:
        return Problem(
            str(path), 0, 0, "plugin", "everybody may write here", hint=f"chmod o-w {path}"
        )
    if found.st_uid not in (os.geteuid(), 0, owner):
        return Problem(
            str(path), 0, 0, "plugin", f"belongs to another user (uid {found.st_uid})",
            hint=f"chown it to the owner of the project (uid {owner})",
        )  # fmt: skip
    return None


class Package:
    """The synthetic package of one plugin folder."""

    def __init__(self, folder: Path) -> None:
        number = next(_counter)
        self.folder = folder
        self.owner = folder.parent.stat().st_uid if folder.is_dir() else os.geteuid()
        self.root = "ringback_project" if number == 1 else f"ringback_project_{number}"
        self.name = f"{self.root}.plugins"
        sys.modules[self.root] = _empty_package(self.root)
        sys.modules[self.name] = _empty_package(self.name)
        setattr(sys.modules[self.root], "plugins", sys.modules[self.name])  # noqa: B010
        self._finder = _Finder(self.name, folder, self.owner)
        sys.meta_path.append(self._finder)

    def load(self, name: str) -> ModuleType:
        """Import one plugin. Raises whatever the plugin raises while it is imported."""
        return importlib.import_module(f"{self.name}.{name}")

    def close(self) -> None:
        """Forget the modules, as when a newer version of the folder has taken over."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{self.root}.")]:
            del sys.modules[name]


class _Source(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds the modules of one synthetic package in one folder, and no others."""

    def __init__(self, package: str, folder: Path, owner: int) -> None:
        self._prefix = f"{package}."
        self._folder = folder
        self._owner = owner

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The place of `ringback_project.plugins.a.b` is `a/b.py` or `a/b/__init__.py`."""
        if not fullname.startswith(self._prefix):
            return None
        place = self._folder.joinpath(*fullname[len(self._prefix) :].split("."))
        package = place / "__init__.py"
        file = package if package.is_file() else place.with_name(f"{place.name}.py")
        if not file.is_file():
            return None
        fault = unsafe(file, self._owner)
        if fault is not None:
            raise ImportError(str(fault))
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_Source(fullname, str(file)),
            submodule_search_locations=[str(place)] if file is package else None,
        )


def _empty_package(name: str) -> ModuleType:
    module = ModuleType(name, "Made by Ringback: the plugins of a project.")
    module.__path__ = []
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    return module
