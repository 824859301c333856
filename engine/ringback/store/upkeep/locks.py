"""Lock files: which process owns a data folder.

A node's two processes each hold one lock file while they live: `receiver.lock` and `worker.lock`.
The kernel releases a lock when its holder dies, so a crash leaves nothing behind to clean up.

The lock guards the folder and so the databases in it, as long as they have no other name elsewhere.
"""

import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from ringback.errors import DataError, HeldError, StorageError
from ringback.private_files import closed_to_us, make_file, make_folder, mend
from ringback.runtime import iso

log = logging.getLogger(__name__)

DATABASES = ("log.db", "journal.db")


class Lock:
    """A held role. Ends with `release`, with the `with` block, or with the process."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def release(self) -> None:
        """Give the role back. The file stays; a second call is void."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):  # a disk that has failed keeps the note
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def hold(path: Path, role: str) -> Lock:
    """Take the role (`receiver` or `worker`) of the data folder `path`; it is created if missing.

    The file says who holds it: pid, host, role, start time. Raises HeldError, naming the holder,
    when another process has it, StorageError when the folder or a file of it cannot be written (all
    that a node will write, so that it learns that now and not when it serves), and DataError when
    a database in it is a link, so that another node could write it unseen. What other users may do
    in the folder is taken away, with a line for each file.
    """
    file = path / f"{role}.lock"
    try:
        make_folder(path)
        closed = closed_to_us(path)
        if closed is not None:
            raise StorageError(
                f"{closed}: belongs to another user, and you cannot read and write it: become the "
                "user of the node, or get the right to"
            )
        for name in DATABASES:
            _sole(path / name)
        make_file(file)
        handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise HeldError(f"{path} is already in use: {describe(file, role)}") from error
    except OSError as error:
        os.close(handle)
        raise StorageError(f"{file}: {error.strerror}") from error
    note = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "host": socket.gethostname(),
        "role": role,
        "started": iso(datetime.now(UTC)),
    }
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(note).encode() + b"\n", 0)
    except OSError as error:
        os.close(handle)
        raise StorageError(f"{file}: {error.strerror}") from error
    for line in mend(path):
        log.warning("%s", line)
    return Lock(file, handle)


def _sole(file: Path) -> None:
    """Raise DataError when a database is known by another name.

    Its write-ahead log lies beside the name, so two names mean two logs.
    https://sqlite.org/howtocorrupt.html
    """
    if file.is_symlink():
        what = f"is a link to {file.readlink()}"
    elif file.exists() and file.stat().st_nlink > 1:
        what = f"has {file.stat().st_nlink} names (hard links)"
    else:
        return
    raise DataError(
        f"{file}: {what}, and a node in another folder could write it at the same time; put a copy "
        "in its place, or give the other folder with RINGBACK_DATA"
    )


def holder(path: Path, role: str) -> str:
    """Who has the role of a data folder now, in words; empty when nobody does. It only reads: a
    node that starts at this moment is not kept from it."""
    file = path / f"{role}.lock"
    try:
        note = json.loads(file.read_text())
        if note["host"] == socket.gethostname():
            os.kill(int(note["pid"]), 0)
    except PermissionError:  # of another user
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return describe(file, role)


def end_orphan(path: Path, role: str) -> None:
    """Kill the process that has the role of a data folder when the one that started it has ended,
    as a worker that is stopped or hangs and so does not see that its receiver is gone. Any kill is
    safe. Whoever is on another host, or was started by somebody who lives, is left alone."""
    file = path / f"{role}.lock"
    try:
        note = json.loads(file.read_text())
        if note["host"] != socket.gethostname() or _lives(int(note["parent"])):
            return
        log.warning("killing %s: it hangs, and what started it has ended", describe(file, role))
        os.kill(int(note["pid"]), signal.SIGKILL)
    except (OSError, ValueError, KeyError, TypeError):  # it has ended, or is another user's
        return


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def describe(file: Path, role: str) -> str:
    """Say in words who holds a lock file, as far as the holder has written it down."""
    try:
        note = json.loads(file.read_text())
        return (
            f"the {note['role']} with pid {note['pid']} on {note['host']} "
            f"holds it since {note['started']}"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return f"another {role} holds it"
