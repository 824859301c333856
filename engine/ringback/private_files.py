"""Private files: what only its owner may read, whatever the umask says.

Logs, journals and their copies hold people's texts; sockets take orders. Folders get the mode 0700,
files 0600. Raises OSError as the file system does.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
_OTHERS = 0o077
_PATTERNS = (
    "*.db", "*.db-wal", "*.db-shm", "*.db-journal", "journal.mark", "receiver.lock", "worker.lock",
    "*.sock", "worker.heartbeat", "refusals.json", "wiring.json", "dev.json", "*.jsonl",
)  # fmt: skip
"""The names of what a node writes; a data folder may hold other files, which are not its own."""


def make_folder(path: Path) -> None:
    """Make a folder, and those above it as the umask says. One that is there stays as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(FOLDER)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(FOLDER)


def make_file(path: Path) -> None:
    """Make an empty file, for whoever opens it next. One that is there stays as it is.

    It is not even opened then: closing it would give up the locks that SQLite holds on it.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
    except FileExistsError:
        return
    try:
        os.fchmod(handle, FILE)
    finally:
        os.close(handle)


def mend(folder: Path) -> Iterator[str]:
    """Take away what others may do with a data folder, its files, and the files of the folders in
    it; yields a line for each change, and for each that was not possible.

    A folder with the sticky bit is everybody's and stays as it is.
    """
    if folder.stat().st_mode & stat.S_ISVTX:
        yield f"{folder}: is open to everybody (sticky bit) and stays so; use a folder of its own"
    else:
        yield from _close(folder)
    folders = [folder, *(each for each in _inside(folder, "*") if each.is_dir())]
    for file in [file for each in folders for name in _PATTERNS for file in _inside(each, name)]:
        if not file.is_dir():
            yield from _close(file)


def _inside(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(path for path in folder.glob(pattern) if not path.is_symlink())
    except OSError:
        return []


def _close(path: Path) -> Iterator[str]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)
            yield f"{path}: was open to other users ({mode:04o}); it is {mode & ~_OTHERS:04o} now"
    except FileNotFoundError:  # removed meanwhile
        return
    except OSError as error:
        yield f"{path}: is open to other users, and that cannot be changed: {error.strerror}"
