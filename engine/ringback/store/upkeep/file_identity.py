"""Identity of a file: what a copy of it does not have.

Device and inode number tell a file from its copy, and the moment of its creation tells it from one
that got the inode number of a deleted file. Renaming within one disk changes none of them.
"""

import ctypes
import os
import struct
import sys
from pathlib import Path

_AT_FDCWD, _STATX_BTIME, _STATX_BYTES = -100, 0x800, 256
_BTIME = struct.Struct("=qI")
_BTIME_AT = 80


def file_identity(path: Path) -> str:
    """`device:inode:created` (nanoseconds, 0 where the system does not tell); empty when there is
    no such file."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}:{_created(path, found)}"


def _created(path: Path, found: os.stat_result) -> int:
    """When a file was made. Linux tells it by `statx(2)` alone, which Python does not call.

    The file is not opened: closing it would give up the locks that SQLite holds on it.
    https://man7.org/linux/man-pages/man2/statx.2.html
    """
    if not sys.platform.startswith("linux"):
        return round(getattr(found, "st_birthtime", 0.0) * 1e9)
    statx = getattr(ctypes.CDLL(None), "statx", None)
    if statx is None:
        return 0
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, buffer):
        return 0
    (mask,) = struct.unpack_from("=I", buffer)
    if not mask & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BTIME.unpack_from(buffer, _BTIME_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
