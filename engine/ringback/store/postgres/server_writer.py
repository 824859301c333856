"""PostgreSQL, as a group writer has it: transactions over one connection."""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from ringback.errors import RingbackError, StorageError, TakenOver
from ringback.store.connection import Connection
from ringback.store.postgres.ownership import condition, words_on
from ringback.store.postgres.server_connection import PostgresConnection

W = TypeVar("W")


class JournalTarget:
    """The writing connection of a journal; see `writer.WriteTarget`.

    When the server is gone nobody knows whether the last commit holds, and what the worker has in
    memory may be at odds with it: `broken` says so, and the worker begins again from the database.
    So it does when another worker owns the partition by now, which each transaction asks first.
    """

    def __init__(self, connection: PostgresConnection, epoch: int = 0) -> None:
        """With an `epoch` nothing is written once another worker owns the partition."""
        self.name = connection.name
        self.broken: RingbackError | None = None
        self._connection = connection
        self._epoch, self._prepared = epoch, False

    def transact(self, work: Callable[[Connection], W]) -> tuple[W | None, Exception | None]:
        """Run `work` in a transaction; see `WriteTarget.transact`."""
        if self.broken is not None:
            return None, StorageError(str(self.broken))
        connection = self._connection
        try:
            self._begin(connection)
            result = work(connection)
            connection.execute("commit")
        except Exception as error:
            return None, self._undo(error)
        return result, None

    def _begin(self, connection: PostgresConnection) -> None:
        if not self._epoch:
            connection.execute("begin")
            return
        if not self._prepared:
            connection.script(f"prepare owns as {condition(self._epoch)}")
            self._prepared = True
        if not connection.begin_if("owns"):
            self.broken = TakenOver(words_on(connection))
            raise StorageError(str(self.broken))

    def _undo(self, error: Exception) -> Exception:
        try:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
        except sqlite3.Error as worse:
            error = worse
        named = StorageError(f"{self.name}: {error}")
        if self._connection.lost and self.broken is None:
            self.broken = named
        return named if isinstance(error, sqlite3.Error) else error

    def tidy(self, idle: bool) -> None:
        """Nothing: the server keeps its log short itself."""

    def close(self) -> None:
        """Let go of the server."""
        self._connection.close()


class LogTarget:
    """The writing connection of the log; see `writer.WriteTarget`.

    When the server is gone it is connected anew and the same rows are written again. Where the
    first commit holds after all they are on record twice, which is what Twilio's own repeats are:
    the journal knows them by their identity.
    """

    broken: RingbackError | None = None

    def __init__(self, connect: Callable[[], PostgresConnection]) -> None:
        self._connect = connect
        self._connection = connect()
        self.name = self._connection.name

    def transact(self, work: Callable[[Connection], W]) -> tuple[W | None, Exception | None]:
        """Run `work` in a transaction, with the log's lock: see `WriteTarget.transact`."""
        try:
            return self._once(work), None
        except Exception as error:
            if not self._connection.lost:
                return None, self._named(error)
        try:
            self._connection.close()
            self._connection = self._connect()
            return self._once(work), None
        except Exception as error:
            return None, self._named(error)

    def _once(self, work: Callable[[Connection], W]) -> W:
        connection = self._connection
        try:
            # One after the other, whichever node they are on: ids are committed in their order,
            # and who reads behind the last one it knows misses none.
            connection.execute("begin")
            connection.execute("select pg_advisory_xact_lock(hashtext(current_schema() || '.log'))")
            result = work(connection)
            connection.execute("commit")
        except BaseException:
            if not connection.lost and connection.in_transaction:
                connection.execute("rollback")
            raise
        return result

    def _named(self, error: Exception) -> Exception:
        return StorageError(f"{self.name}: {error}") if isinstance(error, sqlite3.Error) else error

    def tidy(self, idle: bool) -> None:
        """Nothing: the server keeps its log short itself."""

    def close(self) -> None:
        """Let go of the server."""
        self._connection.close()
