"""SQLite file, as its one writer has it: transactions, and the write-ahead log brought home."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ringback.errors import RingbackError, StorageError
from ringback.store.connection import Connection
from ringback.store.sqlite.sqlite_files import (
    WAL_BYTES,
    checkpoint,
    connect_writer,
    is_fatal,
    primary_code,
    translate,
)

W = TypeVar("W")

FORCED_BYTES = 8 * WAL_BYTES
"""A writer that is never idle checkpoints when its write-ahead log has grown to this size."""


class SqliteFile:
    """One SQLite file, open for writing; see `writer.WriteTarget`.

    `prepare` runs once on the fresh connection (migrations). Raises what `connect_writer` raises.
    """

    def __init__(
        self, path: Path, prepare: Callable[[sqlite3.Connection], object] | None = None
    ) -> None:
        self.name = str(path)
        self.path = path
        self.broken: RingbackError | None = None
        self._connection = connect_writer(path)
        if prepare is not None:
            try:
                prepare(self._connection)
            except sqlite3.Error as error:
                self._connection.close()
                raise translate(error, path) from error
            except BaseException:
                self._connection.close()
                raise
        self._wal = path.with_name(path.name + "-wal")
        self._pinned = 0

    def close(self) -> None:
        """Checkpoint and close the file."""
        if self.broken is None:
            self._checkpoint()
        self._connection.close()

    def transact(self, work: Callable[[Connection], W]) -> tuple[W | None, Exception | None]:
        """Run `work` in a transaction; see `WriteTarget.transact`."""
        if self.broken is not None:
            return None, StorageError(str(self.broken))
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except Exception as error:
            return None, self._undo(error)
        return result, None

    def _undo(self, error: Exception) -> Exception:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as worse:
            error = worse
        if not isinstance(error, sqlite3.Error):
            return error
        named = translate(error, self.path)
        if is_fatal(error):
            self.broken = named
        return StorageError(str(named))

    def tidy(self, idle: bool) -> None:
        """Between commits: bring the write-ahead log home when it has grown and time allows.

        A reader that holds an old snapshot delays the log's return, never a commit.
        """
        try:
            size = self._wal.stat().st_size
        except OSError:
            return
        if size - self._pinned > (WAL_BYTES if idle else FORCED_BYTES):
            self._pinned = 0 if self._checkpoint() else size
        elif size <= WAL_BYTES:
            self._pinned = 0

    def _checkpoint(self) -> bool:
        """Copy the write-ahead log into the file; whether all of it could be copied."""
        try:
            return checkpoint(self._connection)
        except sqlite3.Error as error:
            # It opens the file anew: a process that has no handle left tries it again later.
            if is_fatal(error) and primary_code(error) != sqlite3.SQLITE_CANTOPEN:
                self.broken = translate(error, self.path)
            return False
