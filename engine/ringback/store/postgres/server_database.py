"""The journal's database as a schema of a PostgreSQL server."""

import sqlite3
from asyncio import Event, Future, get_running_loop
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

from ringback.errors import StorageError
from ringback.store.connection import Connection, Row
from ringback.store.postgres.server_connection import (
    QUESTION_SECONDS,
    STATEMENT_SECONDS,
    PostgresConnection,
)
from ringback.store.postgres.server_writer import JournalTarget
from ringback.store.writer import GroupWriter, each

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[[Connection], Any]

PARTITION = "rb_p000"
"""The schema of the one partition."""


_IDENTITY = (
    "select system_identifier || ':' || oid from pg_control_system(), pg_database "
    "where datname = current_database()"
)


class PostgresDatabase:
    """A schema: one connection that writes in groups, one that reads what is committed, one for
    plain calls from any thread. See `database.Database`."""

    def __init__(
        self, url: str, *, threaded: bool = True, epoch: int = 0, idle: float = 0.0
    ) -> None:
        """Raises StorageError when the server cannot be reached. With `threaded=False` everything
        happens in the calling thread. `epoch` is that of the worker that owns the partition, and
        after `idle` seconds a transaction of one that stands still is over; 0 for a worker that is
        alone."""
        self._writing = PostgresConnection(
            url, "journal", PARTITION, idle=idle, statement=STATEMENT_SECONDS
        )
        self._reader = PostgresConnection(
            url, "reads", PARTITION, read_only=True, statement=QUESTION_SECONDS
        )
        self._plain = PostgresConnection(
            url, "facts", PARTITION, read_only=True, statement=QUESTION_SECONDS
        )
        self.name = self._writing.name
        self._threads = ThreadPoolExecutor(1, "reads") if threaded else None
        self._writer: GroupWriter[Work, Any] = GroupWriter(
            JournalTarget(self._writing, epoch), each(self._apply), threaded=threaded, limit=None
        )
        self._failing = Event()
        self._refused: StorageError | None = None

    async def one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """See `Database.one`."""
        row: Row | None = await self._ask(lambda: self._reader.execute(sql, values).fetchone())
        return row

    async def all(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """See `Database.all`."""
        rows: list[Row] = await self._ask(lambda: self._reader.execute(sql, values).fetchall())
        return rows

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """See `Database.read`. All questions of one session see the same commit."""

        def ask() -> T:
            self._reader.execute("begin isolation level repeatable read read only")
            try:
                return work(self._reader, *args, **kwargs)
            finally:
                if not self._reader.lost:
                    self._reader.execute("commit")

        result: T = await self._ask(ask)
        return result

    async def _ask(self, work: Callable[[], Any]) -> Any:
        try:
            if self._threads is None:
                return work()
            return await get_running_loop().run_in_executor(self._threads, work)
        except sqlite3.Error as error:
            named = StorageError(f"{self.name}: {error}")
            if self._reader.lost:
                self._refused = named
                self._failing.set()
            raise named from error

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
        return self._plain

    def _submit(self, work: Work) -> Future[Any]:
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
        """The server's own number, which its standbys share, and that of the database, which is
        another one in each that is made from a dump."""
        row = await self.one(_IDENTITY)
        return str(row[0]) if row else ""

    def close(self) -> None:
        """See `Database.close`."""
        if self._threads is not None:
            self._threads.shutdown()
        self._writer.close()
        self._reader.close()
        self._plain.close()


def _call(work: Callable[..., T], args: Any, kwargs: Any, connection: Connection) -> T:
    return work(connection, *args, **kwargs)
