"""Place of a node's data: a folder with two files of SQLite, or a database of a PostgreSQL server.

Whoever reads from outside of the worker names the place and need not know which it is.
"""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ringback.errors import HeldError, StorageError
from ringback.store.connection import Connection
from ringback.store.log import LogReader
from ringback.store.sqlite import sqlite_files
from ringback.store.upkeep.file_identity import file_identity

_STEPS = 20_000
"""After so many steps of SQLite, about a millisecond, the time is looked at."""


SHELL_SECONDS = 10.0
"""So long a shell that stands still keeps workers from the journal."""


@dataclass(frozen=True, slots=True)
class DataPlace:
    """Where a node keeps its log and its journal: in a folder, or, when there is a `url`, on that
    server. What else it keeps lies in the folder all the same."""

    data: Path
    url: str = ""

    @classmethod
    def of(cls, where: "Path | DataPlace") -> "DataPlace":
        """A folder alone is a place, too."""
        return where if isinstance(where, DataPlace) else cls(where)

    @property
    def name(self) -> str:
        """The place, as messages name it: without a password."""
        if not self.url:
            return str(self.data)
        from ringback.store.postgres.server_connection import place_of

        return place_of(self.url)

    @property
    def journal(self) -> Path:
        """The journal's file, where it is one."""
        return self.data / "journal.db"

    def has_journal(self) -> bool:
        """Whether a node has had a journal here; of a server it is told when it is opened."""
        return bool(self.url) or self.journal.exists()

    def has_log(self) -> bool:
        """Whether there is a log here; see `has_journal`."""
        return bool(self.url) or (self.data / "log.db").exists()


def open_journal(place: DataPlace) -> Connection:
    """Open a journal of today's shape for reading.

    Raises DataError for one of a newer program, and StorageError for one that cannot be read, and
    for one that its owner has yet to bring to today's shape.
    """
    if place.url:
        from ringback.store.postgres.server_reading import open_reading

        return open_reading(place.url)
    from ringback.store.migrations import connect_journal

    return connect_journal(place.journal)


def open_log_reader(place: DataPlace) -> LogReader:
    """Open the log for reading. Raises StorageError when there is none."""
    if not place.url:
        return LogReader(place.data / "log.db")
    from ringback.store.postgres.server_log import PostgresLogReader

    return PostgresLogReader(place.url)


def translated(place: DataPlace) -> AbstractContextManager[None]:
    """Around questions to the journal of a place: its errors leave as those of this program."""
    return _named(place) if place.url else sqlite_files.translated(place.journal)


@contextmanager
def _named(place: DataPlace) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(f"{place.name}: {error}") from error


def end_at(connection: Connection, moment: float) -> None:
    """Let no question of this connection go on behind this moment of `time.monotonic`."""
    if isinstance(connection, sqlite3.Connection):
        connection.set_progress_handler(lambda: time.monotonic() > moment, _STEPS)
        return
    from ringback.store.postgres.server_reading import ReadingConnection

    if isinstance(connection, ReadingConnection):
        connection.end_at(moment)


def file_of(place: DataPlace) -> str:
    """What tells the journal's file from a copy of it, and from one that takes its place; empty
    where there is none."""
    return "" if place.url else file_identity(place.journal)


def is_lost(connection: Connection) -> bool:
    """Whether the server of a connection is gone. Of a file it is not known."""
    return bool(getattr(connection, "lost", False))


@contextmanager
def standing(place: DataPlace, who: str) -> Iterator[int]:
    """Keep workers from the journal on a server while somebody writes into it for them: the epoch
    to write under; of files, which have a lock of their own, 0. Raises HeldError when a worker has
    it, on whichever machine."""
    if not place.url:
        yield 0
        return
    from ringback.store.postgres import ownership, server_database  # of the extra `postgres`

    open_journal(place).close()  # whoever takes it makes the tables, which is not for us
    boot = f"shell {socket.gethostname()} {os.getpid()} {time.time_ns()}"
    name, partition = f"{who} at {boot}", server_database.PARTITION
    with closing(ownership.Ownership(place.url, partition, name, boot, SHELL_SECONDS)) as held:
        held.join()
        if not held.take():
            raise HeldError(f"{place.name}: node {held.owner} works on it; say it on that machine")
        try:
            yield held.epoch
        finally:
            held.release()
