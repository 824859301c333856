"""Free space of a disk, and how little is too little to go on for long."""

import os
from pathlib import Path

from ringback.errors import StorageError

LEAST_BYTES = 256 * 1024 * 1024
"""With less a node says so: there is time to make room before it must refuse webhooks."""


def free_bytes(folder: Path) -> int:
    """What our user may still write where this folder is. Raises StorageError when it is gone."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    return found.f_bavail * found.f_frsize


def nearly_full(folder: Path) -> str:
    """That little is left, in words with the mend; empty while there is enough."""
    free = free_bytes(folder)
    if free >= LEAST_BYTES:
        return ""
    return (
        f"only {free // 1024 // 1024} MiB are free for {folder}: make room, or nothing can be "
        "recorded soon"
    )
