"""Reading from outside of the worker: a connection whose questions end in time."""

import math
import sqlite3
import time
from typing import Any

from ringback.errors import DataError, StorageError
from ringback.store.connection import Cursor
from ringback.store.postgres import schema
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION

_NOTHING = "interrupted: the question took too long"


class ReadingConnection(PostgresConnection):
    """A connection that only reads."""

    _end = math.inf

    def end_at(self, moment: float) -> None:
        """Let no statement go on behind this moment of `time.monotonic`, and none begin."""
        left = max(1, math.ceil((moment - time.monotonic()) * 1000) + 1)
        self._end = math.inf
        self.execute(f"set statement_timeout = {left}")
        self._end = moment

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run a statement."""
        if time.monotonic() > self._end:
            raise sqlite3.OperationalError(_NOTHING)
        return super().execute(sql, parameters)


def open_reading(url: str, role: str = "questions") -> ReadingConnection:
    """A connection that reads the journal. Raises StorageError for a server that cannot be reached
    and for a database without tables, and DataError for the tables of another version."""
    connection = ReadingConnection(url, role, PARTITION, read_only=True)
    try:
        _refuse_unfit(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_unfit(connection: PostgresConnection) -> None:
    try:
        there = connection.execute(
            "select to_regclass(?) is not null and to_regclass(?) is not null",
            (f"{schema.SHARED}.schema", f"{PARTITION}.meta"),
        ).fetchone()[0]
        found = there and connection.execute(f"select version from {schema.SHARED}.schema")
        version = found.fetchone()[0] if found else ""
    except sqlite3.Error as error:
        raise StorageError(f"{connection.name}: {error}") from error
    if not version:
        raise StorageError(
            f"{connection.name}: has no tables of Ringback yet; `ringback cluster create` makes "
            "them"
        )
    if version != schema.version():
        raise DataError(
            f"{connection.name}: its tables are those of another version of Ringback ({version}); "
            f"this one knows {schema.version()}"
        )
