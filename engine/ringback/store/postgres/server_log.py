"""The log as a table of a PostgreSQL server; see `store/log.py`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ringback.errors import StorageError
from ringback.store.connection import Connection
from ringback.store.log import COLUMNS, Entry, Log, LogReader
from ringback.store.postgres.schema import create
from ringback.store.postgres.server_connection import (
    QUESTION_SECONDS,
    STATEMENT_SECONDS,
    PostgresConnection,
)
from ringback.store.postgres.server_database import PARTITION
from ringback.store.postgres.server_writer import LogTarget
from ringback.store.writer import GroupWriter

IDLE_SECONDS = 2.0
"""A receiver that stands still amid a commit holds up those of all nodes for no longer."""

_INSERT = (
    f"insert into log ({COLUMNS}) select * from unnest(%b::text[], %b::text[], %b::text[], "
    "%b::text[], %b::text[], %b::text[], %b::bytea[]) returning id"
)


def insert(connection: Connection, entries: list[Entry]) -> list[int]:
    """Write entries inside the open transaction, in one statement; their ids, in order."""
    assert isinstance(connection, PostgresConnection)
    columns = [list(column) for column in zip(*entries, strict=True)]
    return [row[0] for row in connection.binary(_INSERT, columns)]


def open_log(url: str, *, limit: int = 512, patience: float = 5.0, threaded: bool = True) -> Log:
    """The writing end of the log, in the receiver of a node. Raises StorageError when the server
    cannot be reached."""

    def connect() -> PostgresConnection:
        return PostgresConnection(
            url, "log", PARTITION, idle=IDLE_SECONDS, statement=STATEMENT_SECONDS
        )

    first = connect()
    try:
        create(first, PARTITION)
    finally:
        first.close()
    return Log(
        GroupWriter(LogTarget(connect), insert, limit=limit, patience=patience, threaded=threaded)
    )


class PostgresLogReader(LogReader):
    """The reading end of the log; see `log.LogReader`."""

    def __init__(self, url: str) -> None:
        self._connection = PostgresConnection(
            url, "log-reader", PARTITION, read_only=True, statement=QUESTION_SECONDS
        )
        self._translated = partial(_translated, self._connection.name)

    def had_journal(self) -> bool:
        """False: log and journal are tables of one database, and are lost together."""
        return False


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{name}: {error}") from error
