"""The journal's database as one SQLite file, in the process that owns it."""

import sqlite3
from asyncio import Event, Future, get_running_loop
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ringback.errors import StorageError
from ringback.store.connection import Connection, Row
from ringback.store.migrations import migrate_journal
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.sqlite.sqlite_files import connect_reader, translate
from ringback.store.upkeep.file_identity import file_identity
from ringback.store.writer import GroupWriter, each

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[[Connection], Any]

_CACHE_PAGES = 4_000


class SqliteDatabase:
    """One SQLite file: one connection that writes in groups, one that reads what is committed."""

    def __init__(self, path: Path, *, threaded: bool = True) -> None:
        """Open or create the file and bring it to today's shape.

        Raises DataError for a file that is not usable, StorageError for a disk that is not.
        """
        self.path = path
        self._writer: GroupWriter[Work, Any] = GroupWriter(
            SqliteFile(path, _prepare), each(self._apply), threaded=threaded, limit=None
        )
        try:
            self._reader = connect_reader(path)
        except BaseException:
            self._writer.close()
            raise
        self._closed = False
        self._failing = Event()
        self._refused: StorageError | None = None

    async def one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """See `Database.one`."""
        return await self.read(_one, sql, values)

    async def all(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """See `Database.all`."""
        return await self.read(_all, sql, values)

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See `Database.read`."""
        try:
            self._hold()
            return work(self._reader, *args, **kwargs)
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    def _hold(self) -> None:
        """Let the reads of one turn of the loop see the same commit: each one alone costs the locks
        of a transaction, and after a commit every page anew. A commit of this turn is told of in a
        later one, behind `_let_go`: who has waited for it sees it."""
        if not self._reader.in_transaction:
            self._reader.execute("BEGIN")
            get_running_loop().call_soon(self._let_go)

    def _let_go(self) -> None:
        if not self._closed and self._reader.in_transaction:
            self._reader.execute("COMMIT")

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See `Database.write`."""
        try:
            result: T = await self._submit(partial(_call, work, args, kwargs))
        except StorageError as error:
            self._refused = error
            self._failing.set()
            raise
        return result

    async def note(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See `Database.note`."""
        try:
            result: T = await self._submit(partial(_call, work, args, kwargs))
        except StorageError:
            if self._writer.broken is not None:
                self._failing.set()
            raise
        return result

    def connection(self) -> Connection:
        """See `Database.connection`."""
        return self._reader

    def _submit(self, work: Work) -> Future[Any]:
        self._let_go()  # without a thread the commit is done, and told of, at once
        return self._writer.submit(work)

    def _apply(self, connection: Connection, work: Work) -> Any:
        self._writer.goes_on()
        return work(connection)

    @property
    def broken(self) -> Exception | None:
        """See `Database.broken`."""
        return self._writer.broken or self._refused

    @property
    def failing(self) -> Event:
        """See `Database.failing`."""
        return self._failing

    async def identity(self) -> str:
        """See `Database.identity`."""
        return file_identity(self.path)

    def close(self) -> None:
        """See `Database.close`."""
        self._closed = True
        self._reader.close()
        self._writer.close()


def _one(connection: Connection, sql: str, values: Sequence[object]) -> Row | None:
    row: Row | None = connection.execute(sql, values).fetchone()
    return row


def _all(connection: Connection, sql: str, values: Sequence[object]) -> list[Row]:
    return connection.execute(sql, values).fetchall()


def _call(work: Callable[..., T], args: Any, kwargs: Any, connection: Connection) -> T:
    return work(connection, *args, **kwargs)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(f"pragma cache_size = {_CACHE_PAGES}")
    migrate_journal(connection)
    # `state in (three words)` makes a small table at each execution: half of what it costs to end a
    # run. Not before the migrations, which may sort millions of rows.
    connection.execute("pragma temp_store = memory")
