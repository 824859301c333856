"""Private files: what only its owner may read, whatever the umask says.

Logs, journals and their copies hold people's texts; sockets take orders. Folders get the mode 0700,
files 0600. What root makes in somebody's folder belongs to that person, as SQLite does it too: a
`sudo ringback …` leaves nothing behind that the node cannot use. Raises OSError as the file system
does.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

FOLDER, FILE = 0o700, 0o600
_OTHERS = 0o077
_PATTERNS = (
    "*.db", "*.db-wal", "*.db-shm", "*.db-journal", "journal.mark", "receiver.lock", "worker.lock",
    "console.lock", "*.sock", "worker.heartbeat", "refusals.json", "wiring.json", "dev.json",
    "console.html", "*.jsonl", "links.key", "hooks.json",
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
    _give_to_owner_of(path.parent, path)


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
        _give_to_owner_of(path.parent, handle)
    finally:
        os.close(handle)


def _give_to_owner_of(folder: Path, made: Path | int) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        with contextlib.suppress(OSError):  # a file system without owners
            os.chown(made, owner.st_uid, owner.st_gid)


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


def foreign(folder: Path) -> list[str]:
    """The files of a node in a folder that do not belong to the folder's owner."""
    owner = folder.stat().st_uid
    found = {file for name in _PATTERNS for file in _inside(folder, name)}
    return sorted(file.name for file in found if file.stat().st_uid != owner)


def closed_to_us(folder: Path) -> Path | None:
    """What is another user's and closed to this one, of a data folder and the files in it that a
    node has to write; None when all can be used."""
    databases = (f"{name}.db{more}" for name in ("log", "journal") for more in ("", "-wal", "-shm"))
    names = (".", *databases, "journal.mark", "receiver.lock", "worker.lock")
    return next((folder / name for name in names if _is_closed(folder / name)), None)


def _is_closed(path: Path) -> bool:
    try:
        wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
        return path.stat().st_uid != os.geteuid() and not os.access(path, wanted)
    except FileNotFoundError:
        return False


def write_nowhere(folder: Path) -> None:
    """Write a page into a folder without a name for it. Raises OSError when that cannot be; where
    the system has no such files, only when the folder is closed to us."""
    if not hasattr(os, "O_TMPFILE"):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return
    handle = os.open(folder, os.O_TMPFILE | os.O_WRONLY, FILE)
    try:
        os.write(handle, bytes(4096))
    finally:
        os.close(handle)


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
