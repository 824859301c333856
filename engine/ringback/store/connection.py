"""Connection, as the functions of the store see one: what SQLite and PostgreSQL have in common.

The SQL between them is one text for both, with `?` for a value. What they cannot say alike stands
in `store/postgres`, as functions that PostgreSQL is given under the names that SQLite has.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

IntegrityError = sqlite3.IntegrityError
"""A constraint was broken. PostgreSQL's errors leave its connection as those of SQLite's module."""


OVERTAKING = 2000
"""How many rows one may have overtaken: webhooks wait in the log, our own events do not."""


class Row(Protocol):
    """A row, whose columns are asked for by number or by name."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column."""

    def __iter__(self) -> Iterator[Any]:
        """The values in their order."""

    def __len__(self) -> int:
        """How many columns there are."""

    def keys(self) -> Any:
        """The names of the columns."""


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    @property
    def description(self) -> Any:
        """Of each column: a sequence that begins with its name."""

    def fetchone(self) -> Any:
        """The next row; None when there is none."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""


class Connection(Protocol):
    """A connection to a journal or log."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Run a statement."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run a statement for each of the parameters."""

    def close(self) -> None:
        """Let go of the database."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open in which more can be done."""


def named(cursor: Cursor) -> dict[str, Any] | None:
    """The next row by the names of its columns; None when there is none."""
    row = cursor.fetchone()
    if row is None:
        return None
    return dict(zip((column[0] for column in cursor.description), row, strict=True))


@contextmanager
def attempted(connection: Connection) -> Iterator[None]:
    """Around a statement whose IntegrityError is handled: what stood before it stands after it.

    SQLite undoes such a statement alone. PostgreSQL gives up the transaction, so a savepoint is set
    there (https://www.postgresql.org/docs/current/sql-savepoint.html).
    """
    if isinstance(connection, sqlite3.Connection):
        yield
        return
    connection.execute("savepoint attempted")
    try:
        yield
    except sqlite3.Error:
        connection.execute("rollback to savepoint attempted")
        raise
    finally:
        connection.execute("release savepoint attempted")


def one_of(states: Iterable[str], column: str = "state") -> str:
    """A condition: one of these words. SQLite makes a table for an `in` with more than two, and in
    the condition of an index it does so at each row that is written. A query has to say the same,
    word for word, to be let use such an index."""
    return f"({' or '.join(f'{column} = {state!r}' for state in states)})"


def replacing(table: str, names: Sequence[str]) -> str:
    """A statement that writes a row of these columns in place of the one with the same first one,
    which is the key."""
    return (
        f"insert into {table} ({', '.join(names)}) values ({', '.join('?' * len(names))}) "
        f"on conflict ({names[0]}) do update set "
        f"{', '.join(f'{name} = excluded.{name}' for name in names[1:])}"
    )


def first_since(connection: Connection, table: str, column: str, since: str) -> int:
    """The id from which on the rows of a table may be that young; 0 for all of them.

    Rows stand in the order in which they came, nearly: some before the first one are given too. So
    a question about the last hour reads the rows of that hour, however old the table is. The caller
    still compares the column, for those that overtook others.
    """
    return max(first_at(connection, table, column, since) - OVERTAKING, 0)


def first_at(connection: Connection, table: str, column: str, since: str) -> int:
    """An id around which the rows of a table become that young, found by halving: at most
    `OVERTAKING` rows are on the wrong side of it."""
    low, high = 0, connection.execute(f"select coalesce(max(id), 0) + 1 from {table}").fetchone()[0]
    find = f"select {column} from {table} where id >= ? order by id limit 1"
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(find, (middle,)).fetchone()
        if row is None or row[0] >= since:
            high = middle
        else:
            low = middle + 1
    return low
