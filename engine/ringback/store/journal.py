"""How does the worker write and read its file?

Every change is a plain function over a connection (`matching`, `running`, `sending`…). The journal
runs it inside the next group commit, alone behind a savepoint, and answers when it is on disk.
"""

from asyncio import Future
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from ringback.errors import StorageError
from ringback.store.migrations import migrate_journal
from ringback.store.sqlite import connect_reader
from ringback.store.writer import GroupWriter, each

__all__ = ["Connection", "Journal", "get_meta", "set_meta"]

T = TypeVar("T")

_IN_FLIGHT = 4096
_CACHE_PAGES = 4_000


class Journal:
    """The worker's file: one connection that writes, one that reads what is committed."""

    def __init__(self, path: Path, *, threaded: bool = True) -> None:
        """Open or create the file and bring it to today's shape.

        Raises DataError for a file that is not usable, StorageError for a disk that is not.
        """
        self._writer: GroupWriter[Callable[[Connection], Any], Any] = GroupWriter(
            path,
            each(lambda connection, work: work(connection)),
            threaded=threaded,
            limit=_IN_FLIGHT,
            prepare=_prepare,
        )
        self.reader = connect_reader(path)
        self._refused: StorageError | None = None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; return its result once that is durable.

        What `work` raises comes out here and undoes its own changes alone. Raises StorageError when
        the disk refuses; the worker's memory and the file may be at odds from then on.
        """
        try:
            return await self.note(work)
        except StorageError as error:
            self._refused = error
            raise

    async def note(self, work: Callable[[Connection], T]) -> T:
        """`write`, for a fact that nothing in memory rests on: when the disk refuses it, the
        process may go on as it is."""
        result: T = await self._submit(work)
        return result

    def _submit(self, work: Callable[[Connection], Any]) -> Future[Any]:
        return self._writer.submit(work)

    @property
    def broken(self) -> Exception | None:
        """Why the process should end and start again from the file: a write was refused, and who
        wanted it may have given up on it. None while all is well."""
        return self._writer.broken or self._refused

    def close(self) -> None:
        """Commit what waits and close both connections."""
        self.reader.close()
        self._writer.close()


def _prepare(connection: Connection) -> None:
    connection.execute(f"pragma cache_size = {_CACHE_PAGES}")
    migrate_journal(connection)


def get_meta(connection: Connection, key: str, default: str = "") -> str:
    """One value of the small table of facts about the file itself."""
    row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
    return str(row[0]) if row else default


def set_meta(connection: Connection, key: str, value: str) -> None:
    """Set one value of the small table of facts about the file itself."""
    connection.execute(
        "insert into meta (key, value) values (?, ?) "
        "on conflict (key) do update set value = excluded.value",
        (key, value),
    )
