"""Watched files: those of a project that a reload reads, and when they changed."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from ringback.rules.sections.shared_folders import CONTACTS, folders

Stamps = dict[Path, tuple[int, int]]


def stamps(root: Path) -> Stamps:
    """Every file that a reload reads, with its time of change and its size."""
    found: Stamps = {}
    for path in _watched(root):
        with contextlib.suppress(OSError):
            state = path.stat()
            found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _watched(root: Path) -> Iterable[Path]:
    yield from (root / "rules").rglob("*.yaml")
    yield from (root / "rules").rglob("*.yml")
    for folder in folders(root):  # of what rule files include
        yield from folder.glob("*.yaml")
        yield from folder.glob("*.yml")
    yield from (root / CONTACTS).rglob("*.csv")
    yield from (root / "plugins").rglob("*.py")
    yield from (root / "ringback.toml", root / ".env")
