"""Connection to PostgreSQL with the face that the functions of the store know.

`?` stands for a value, as SQLite writes it. An error of the database leaves as the error of the
same name of SQLite's module, so whoever handles one handles both.
"""

import contextlib
import os
import re
import socket
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import urlsplit

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.types.numeric import IntDumper

from ringback.errors import StorageError
from ringback.store.connection import Cursor

CONNECT_SECONDS = 5
"""How long a server may take to answer at all."""

STATEMENT_SECONDS = 30.0
"""How long a statement of a node may take: each is a matter of milliseconds, unless it waits for a
lock that somebody keeps. The wait of a commit for its standby is no part of it, and has no end."""
QUESTION_SECONDS = 300.0
"""The same for a question to the past, which may read a large table."""
_SILENCE: dict[str, Any] = {
    "keepalives_idle": 3, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 6000,
}  # fmt: skip
"""A peer that is cut off is seen within 6 s, on both sides, and not after the two hours that are
usual: within the lease, and so that the server lets go of what a lost node has locked."""

_SERVER_SILENCE = " ".join(
    f"-c {name if name.startswith('tcp') else f'tcp_{name}'}={value}"
    for name, value in _SILENCE.items()
)

_INDEXED = re.compile(r"\bindexed by \w+")
_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class Row(tuple[Any, ...]):
    """A row, whose columns are asked for by number or by name."""

    __slots__ = ()
    _places: ClassVar[dict[str, int]] = {}

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            key = self._places[key.lower()]
        return tuple.__getitem__(self, key)

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(self._places)


@lru_cache(maxsize=4096)
def _row_of(names: tuple[str, ...]) -> type[Row]:
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name.lower(), place)
    return type("Row", (Row,), {"__slots__": (), "_places": places})


def _rows(cursor: Any) -> Any:
    """Row factory (https://www.psycopg.org/psycopg3/docs/advanced/rows.html)."""
    if cursor.description is None:
        return tuple
    return _row_of(tuple(column.name for column in cursor.description))


class _Number(Loader):
    """`numeric`, which sums and averages are: SQLite has integers and floats."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return float(text) if "." in text or "N" in text else int(text)


class _Said(Loader):
    """What a condition is, as the integer that it is on SQLite."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data) == b"t")


class _Truth(Dumper):
    """A truth value as the integer that the columns hold."""

    oid = psycopg.adapters.types["int4"].oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class _Whole(IntDumper):
    """An integer of one type, whatever its size: a statement is then prepared once."""

    oid = psycopg.adapters.types["int8"].oid


@lru_cache(maxsize=8192)
def placeholders(sql: str) -> str:
    """A statement with psycopg's marks for values: `?` and `:name` outside of quotes; without the
    index that SQLite is told to take."""
    parts: list[str] = []
    for number, part in enumerate(sql.split("'")):
        part = part.replace("%", "%%")
        if number % 2 == 0:
            part = _INDEXED.sub("", _NAMED.sub(r"%(\1)s", part.replace("?", "%s")))
        parts.append(part)
    return "'".join(parts)


class PostgresConnection:
    """A connection; see `connection.Connection`. Statements outside of a transaction are committed
    each for itself.

    Raises StorageError when the server cannot be reached.
    """

    def __init__(
        self, url: str, role: str, schema: str, *, read_only: bool = False, idle: float = 0.0,
        statement: float = 0.0,
    ) -> None:  # fmt: skip
        """`role` is what the server's list of sessions calls it; `schema` is where names are
        looked for first. A transaction in which nothing has happened for `idle` seconds is ended
        by the server, with the connection: who stands still must not hold up the others.
        `statement` is how many seconds one statement may take; 0: any number."""
        self.name = place_of(url)
        try:
            self.raw = psycopg.connect(
                url, autocommit=True, row_factory=_rows, connect_timeout=CONNECT_SECONDS,
                application_name=f"ringback:{role}", target_session_attrs="primary",
                options=f"-c search_path={schema},rb -c timezone=UTC "
                f"-c statement_timeout={1000 * statement:.0f} {_SERVER_SILENCE} "
                f"-c idle_in_transaction_session_timeout={1000 * idle:.0f}"
                f"{' -c default_transaction_read_only=on' if read_only else ''}",
                prepare_threshold=2, **_SILENCE,
            )  # fmt: skip
        except psycopg.Error as error:
            raise StorageError(f"{self.name}: {one_line(error)}") from error
        self.raw.prepared_max = 1000
        self.raw.adapters.register_loader("numeric", _Number)
        self.raw.adapters.register_loader("bool", _Said)
        self.raw.adapters.register_dumper(bool, _Truth)
        self.raw.adapters.register_dumper(int, _Whole)

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor:
        """Run a statement."""
        try:
            return self.raw.execute(placeholders(sql).encode(), parameters or None)
        except psycopg.Error as error:
            raise _translated(error) from error

    def binary(self, sql: str, parameters: Sequence[Any]) -> Cursor:
        """Run a statement with psycopg's own marks, its values as bytes: a batch of rows as arrays
        costs a quarter of what it costs as text (22 and 5 us a row)."""
        try:
            return self.raw.execute(sql.encode(), parameters)
        except psycopg.Error as error:
            raise _translated(error) from error

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Run a statement for each of the parameters; they travel together."""
        cursor = self.raw.cursor()
        try:
            cursor.executemany(placeholders(sql).encode(), parameters)
        except psycopg.Error as error:
            raise _translated(error) from error
        return cursor

    def begin_if(self, prepared: str) -> bool:
        """Begin a transaction and ask a prepared question, in one round trip: whether it has a row.

        A statement that is parsed anew each time takes 0.2 ms more.
        """
        try:
            cursor = self.raw.execute(f"begin; execute {prepared}".encode(), prepare=False)
            cursor.nextset()
            return cursor.fetchone() is not None
        except psycopg.Error as error:
            raise _translated(error) from error

    def script(self, sql: str) -> None:
        """Run statements as they stand: no values, no marks."""
        try:
            self.raw.execute(sql.encode())
        except psycopg.Error as error:
            raise _translated(error) from error

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open in which more can be done."""
        status = self.raw.info.transaction_status
        return status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)

    @property
    def lost(self) -> bool:
        """Whether the server is gone, or has cut this connection."""
        return self.raw.closed or self.raw.broken

    def cut(self) -> None:
        """End it while another thread waits for the server, which is told that it is gone."""
        with (
            contextlib.suppress(psycopg.Error, OSError),
            socket.socket(fileno=os.dup(self.raw.fileno())) as own,
        ):
            own.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the server."""
        self.raw.close()


def place_of(url: str) -> str:
    """A database as messages name it: without its password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"postgresql://{host}{parts.path}"


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _translated(error: psycopg.Error) -> sqlite3.Error:
    kind = sqlite3.IntegrityError if isinstance(error, psycopg.IntegrityError) else None
    return (kind or sqlite3.OperationalError)(one_line(error))
