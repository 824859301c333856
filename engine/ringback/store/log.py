"""Log: what came in, raw, in order, append-only.

Written by the receiver alone, read by everybody. Table `log`: `id, received_at, route, trust,
source, tag, content_type, body`. It has no secondary index, because one costs a quarter of the
ingest rate; every other question is answered by the journal.
"""

from asyncio import Future
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ringback.errors import RingbackError
from ringback.private_files import make_folder
from ringback.store.connection import Connection
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.sqlite.sqlite_files import connect_reader, translated
from ringback.store.upkeep.log_retention import blank_log, retire_log
from ringback.store.writer import GroupWriter

COLUMNS = "received_at, route, trust, source, tag, content_type, body"
_ROW = "(?,?,?,?,?,?,?)"
_SIZES = (256, 128, 64, 32, 16, 8, 4, 2, 1)
_INSERT = {size: f"INSERT INTO log ({COLUMNS}) VALUES {','.join([_ROW] * size)}" for size in _SIZES}


class Entry(NamedTuple):
    """One request as it will be recorded.

    `received_at` is UTC ISO 8601 with milliseconds; `route` is `message`, `message/status`, `call`,
    `call/status`, `call/step`, `recording`, `debugger` or `events`; `trust` is `signed`, `claimed`
    or `simulated`; `source` is `webhook` or `repair`; `tag` is the last part of a status route, or
    the nonce of a call step. `body` is the raw body; of a GET request, the raw query string.
    """

    received_at: str
    route: str
    trust: str
    source: str
    tag: str
    content_type: str
    body: bytes


class LogRow(NamedTuple):
    """One recorded request: an `Entry` with its place in the order."""

    id: int
    received_at: str
    route: str
    trust: str
    source: str
    tag: str
    content_type: str
    body: bytes


def insert(connection: Connection, entries: list[Entry]) -> list[int]:
    """Write entries inside the open transaction; their ids, in order.

    Many rows go in one statement, in chunks of a power of two: SQLite's statement cache then hits,
    and the interpreter's lock is released once per chunk and not once per row.
    """
    ids: list[int] = []
    start, left = 0, len(entries)
    for size in _SIZES:
        while left >= size:
            values: list[Any] = list(chain.from_iterable(entries[start : start + size]))
            done: Any = connection.execute(_INSERT[size], values)
            last = done.lastrowid or 0
            ids.extend(range(last - size + 1, last + 1))
            start += size
            left -= size
    return ids


class Log:
    """The writing end of the log: one per file, in the receiver's process.

    Appending is group commit: `await log.append(entry)` gives the id after the fsync. It raises
    StorageError when the entry is not on disk: the disk is full, does not answer or failed, or more
    is in flight than may be. After a failed fsync every append fails: see `broken`. `push` is the
    same with a callback in place of the future, for the one caller that counts microseconds.
    """

    def __init__(self, writer: "GroupWriter[Entry, int]") -> None:
        self.writer = writer
        self.append = writer.submit
        self.push = writer.push

    @classmethod
    def open(cls, path: Path, *, limit: int = 512, patience: float = 5.0) -> "Log":
        """Open the log for writing, creating the file and its folder when there is none.

        Raises DataError when the file is not usable, StorageError when it cannot be opened.
        """
        from ringback.store.migrations import migrate_log  # its library is heavy, for writers alone

        make_folder(path.parent)
        return cls(
            GroupWriter(SqliteFile(path, migrate_log), insert, limit=limit, patience=patience)
        )

    async def retire(self, before: str, matched: int, limit: int) -> int:
        """Delete rows that came before that moment and were matched (their id is at most
        `matched`), at most `limit`; how many, 0 when none are left. Between two groups, so that no
        webhook waits for more than one step."""
        return await self.writer.tend(
            partial(retire_log, before=before, matched=matched, limit=limit)
        )

    async def blank(self, before: str, matched: int, limit: int) -> int:
        """Blank what was said in such rows; they stay, with their SIDs, numbers and statuses."""
        return await self.writer.tend(
            partial(blank_log, before=before, matched=matched, limit=limit)
        )

    async def note_journal(self) -> None:
        """Note in the file that a journal follows it: see `LogReader.had_journal`."""
        await self.writer.tend(_note_journal)

    def reach(self) -> Future[int]:
        """A transaction of nothing, behind those that wait: done when the database answers. It
        fails as `append` does."""
        return self.writer.tend(lambda _: 0)

    @property
    def broken(self) -> RingbackError | None:
        """Why the log refuses everything for good, or None while it works."""
        return self.writer.broken

    def close(self) -> None:
        """Commit what waits, bring the write-ahead log home, close the file."""
        self.writer.close()


class LogRows:
    """The rows of the log as the worker asks for them: awaited, so that they may lie behind a
    network."""

    def __init__(self, reader: "LogReader") -> None:
        self._reader = reader

    async def after(self, log_id: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows that follow `log_id`, in order."""
        return self._reader.after(log_id, limit)

    async def get(self, log_id: int) -> LogRow | None:
        """The row with this id, or None."""
        return self._reader.get(log_id)

    async def last_id(self) -> int:
        """The id of the newest row; 0 when there is none."""
        return self._reader.last_id()

    async def had_journal(self) -> bool:
        """Whether a journal has followed this log before."""
        return self._reader.had_journal()


class LogReader:
    """The reading end of the log: read-only, from any process, on one thread at a time.

    Raises StorageError when there is no log yet.
    """

    def __init__(self, path: Path) -> None:
        file = connect_reader(path)
        file.row_factory = None
        self._connection: Connection = file
        self._translated: Callable[[], AbstractContextManager[None]] = partial(translated, path)

    def after(self, log_id: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows that follow `log_id`, in order."""
        with self._translated():
            rows = self._connection.execute(
                f"SELECT id, {COLUMNS} FROM log WHERE id > ? ORDER BY id LIMIT ?", (log_id, limit)
            ).fetchall()
        return [LogRow._make(row) for row in rows]

    def get(self, log_id: int) -> LogRow | None:
        """The row with this id, or None."""
        with self._translated():
            row = self._connection.execute(
                f"SELECT id, {COLUMNS} FROM log WHERE id = ?", (log_id,)
            ).fetchone()
        return None if row is None else LogRow._make(row)

    def last_id(self) -> int:
        """The id of the newest row; 0 when there is none."""
        with self._translated():
            found = self._connection.execute("SELECT max(id) FROM log").fetchone()[0]
        return int(found or 0)

    def had_journal(self) -> bool:
        """Whether a journal has followed this log, be it gone by now. The receiver notes it as soon
        as there is one."""
        with self._translated():
            return bool(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _note_journal(connection: Connection) -> int:
    connection.execute("PRAGMA user_version = 1")
    return 1
