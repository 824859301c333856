"""File of definitions in the data folder: the worker writes it, the receiver reads it."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from ringback.hooks.definitions import FILE, Hook, read, written
from ringback.private_files import make_file

log = logging.getLogger(__name__)


def put(data: Path, hooks: Mapping[str, Hook]) -> None:
    """Put these definitions into force. Where the disk takes none, as a full one, those of before
    stay, and that is said."""
    try:
        write(data, hooks)
    except OSError as error:
        log.error("%s cannot be written, the hooks stay as they were: %s", data / FILE, error)


def write(data: Path, hooks: Mapping[str, Hook]) -> bool:
    """Write these definitions; whether anything has changed. Raises OSError."""
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
