"""File of definitions in the data folder: the worker writes it, the receiver reads it."""

import os
from collections.abc import Mapping
from pathlib import Path

from ringback.hooks.definitions import FILE, Hook, read, written
from ringback.private_files import make_file


def write(data: Path, hooks: Mapping[str, Hook]) -> bool:
    """Put these definitions into force; whether anything has changed. Raises OSError."""
    path, text = data / FILE, written(hooks)
    try:
        if path.read_text("utf-8") == text:
            return False
    except (OSError, ValueError):
        pass
    fresh = path.with_suffix(".new")
    make_file(fresh)
    fresh.write_text(text, "utf-8")
    os.replace(fresh, path)  # noqa: PTH105
    return True


def load(data: Path) -> dict[str, Hook]:
    """The definitions in force; none when there are none yet, or they cannot be read."""
    try:
        return read((data / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
