"""Connections to a SQLite file, and what its errors mean.

One write connection per file, in the process that owns the file; everybody else reads it through a
read-only connection. WAL with `synchronous=FULL`: what is committed survives a power cut.
Checkpoints are never automatic, because an automatic one runs inside somebody's commit.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ringback.errors import DataError, RingbackError, StorageError
from ringback.private_files import make_file

BUSY_SECONDS = 2.0
"""How long a commit waits for a foreign lock before it is refused."""

CHECKED_BYTES = 64 * 1024 * 1024
"""Files up to this size are checked whole when they are opened for writing."""

WAL_BYTES = 4 * 1024 * 1024
"""The size that the write-ahead log is cut back to when it starts over after a checkpoint."""

APPLICATION = 0x52424B31
"""Written into the head of our files ("RBK1"), so that those of other programs are recognised."""

_UNUSABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_FATAL = _UNUSABLE | {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_PERM,
}


def primary_code(error: sqlite3.Error) -> int:
    """The primary result code of an error (https://sqlite.org/rescode.html); 0 when it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF


def is_fatal(error: sqlite3.Error) -> bool:
    """Whether the file or the file system failed in a way that does not pass by itself.

    After a failed fsync SQLite accepts the next write as if nothing had happened, though the pages
    may be lost, so a writer must stop by itself. A full disk or a foreign lock does pass.
    """
    return primary_code(error) in _FATAL


def translate(error: sqlite3.Error, path: Path) -> RingbackError:
    """Say a SQLite error in our words: DataError when the file is at fault, else StorageError."""
    code = primary_code(error)
    if code in _UNUSABLE:
        return DataError(f"{path}: {error}; {_mend(path)}")
    if code == sqlite3.SQLITE_INTERRUPT:
        return StorageError(f"{path}: the question took too long")
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"{path}: the disk is full")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageError(f"{path}: {error}; {_access(path)}")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(f"{path}: locked by another program for more than {BUSY_SECONDS:g} s")
    return StorageError(f"{path}: {error}")


def _mend(path: Path) -> str:
    """What to do about a damaged file. The journal follows from the log; the log from nothing."""
    if path.name == "journal.db":
        return "restore it from a backup, or make it anew from the log with `ringback db rebuild`"
    return "restore it from a backup"


def _access(path: Path) -> str:
    """What to do about a file that cannot be opened.

    https://sqlite.org/wal.html#readonly
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"there is no folder {folder}: make it, or name another with --data"
    if not os.access(folder, os.W_OK | os.X_OK):
        return (
            f"you cannot write into {folder}, and SQLite has to do so even to read: become the "
            "user of the node, or copy log.db and journal.db to a folder of your own and name that "
            "with --data"
        )
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "you cannot read and write it: become the user of the node, or get the right to"
    return "see that it, and the -wal and -shm beside it, are files that you can read and write"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Run statements on `path`; SQLite errors leave as StorageError or DataError."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open (or create) the file for its one writer: WAL, FULL, no automatic checkpoint.

    Transactions are written out (`isolation_level=None`). The connection may be handed to another
    thread, never used by two at once. A file of up to `CHECKED_BYTES` is checked whole first.
    Raises DataError when the file is not a usable database, StorageError when it cannot be opened.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a directory, not a database file")
    try:
        make_file(path)  # what SQLite puts beside it gets the same mode
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; {_access(path)}") from error
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    size = path.stat().st_size if path.exists() else 0
    if 0 < size <= CHECKED_BYTES:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DataError(f"{path}: {found}; {_mend(path)}")
    _check_origin(connection, path)
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(f"{path}: this file system does not allow a write-ahead log")
    connection.execute("PRAGMA synchronous=FULL")
    # On macOS a sync reaches the disk's cache only without these; elsewhere they change nothing.
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute("PRAGMA checkpoint_fullfsync=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    connection.execute("PRAGMA foreign_keys=ON")
    # Write once, and take it back: a file that cannot be written is found now and not at the first
    # webhook. To take the write lock alone succeeds on such a file.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id={APPLICATION}")
    connection.execute("ROLLBACK")


def checkpoint(writer: sqlite3.Connection) -> bool:
    """Copy the write-ahead log into the file, as far as readers let it; whether that was all of it.

    The writer holds the write lock while another connection copies. So nobody who writes as well,
    as Litestream does, begins the log anew meanwhile: a checkpoint of SQLite before 3.51.3 does not
    notice that, and the file is damaged (https://sqlite.org/wal.html#walresetbug). It waits for no
    reader. Raises sqlite3.Error.
    """
    path = writer.execute("PRAGMA database_list").fetchone()[2]
    if not path:  # in memory
        return True
    writer.execute("BEGIN IMMEDIATE")
    try:
        with closing(sqlite3.connect(path, timeout=0.0, isolation_level=None)) as copier:
            copier.execute("PRAGMA fullfsync=ON")
            copier.execute("PRAGMA checkpoint_fullfsync=ON")
            _, pages, copied = copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    finally:
        writer.execute("ROLLBACK")
    return bool(pages == copied)


def _check_origin(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that another program made, before anything in it is changed."""
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if found not in (0, APPLICATION) or (
        not found and tables and "_sqlite_migrations" not in tables
    ):
        raise DataError(f"{path}: is the database of another program; give Ringback another folder")
    if not found:
        connection.execute(f"PRAGMA application_id={APPLICATION}")


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading only; rows are `sqlite3.Row`. It never creates or changes a file.

    Raises StorageError, naming the file, when it does not exist yet or cannot be opened, and
    DataError when it is not a database.
    """
    if not path.exists():
        raise StorageError(
            f"{path}: there is no such file yet; `ringback serve` or `ringback dev` creates it"
        )
    if path.is_dir():
        raise DataError(f"{path}: is a directory, not a database file")
    with translated(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection
