"""The database of the journal: questions and units of work, both awaited.

The nouns of the journal stand on the `Database` protocol, and on nothing else that knows where the
rows lie. On SQLite a question is answered in place, so awaiting it costs no turn of the loop; over
a network it may suspend, and whoever asks must not count on the contrary.
"""

from asyncio import Event
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ringback.store.connection import Connection, Row

P = ParamSpec("P")
T = TypeVar("T")


class Database(Protocol):
    """What the nouns need of a database. `work` is one of their functions over a connection."""

    async def one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        """The first row of a question; None when there is none."""

    async def all(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a question."""

    async def read(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Several questions over one connection, in one go."""

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """One unit of work: all of it is durable when this returns, or none of it is written.

        It waits for its turn however many are before it. What `work` raises comes out here and
        undoes its own changes alone. Raises StorageError when the disk refuses or gives no answer;
        the worker's memory and the file may be at odds from then on.
        """

    async def note(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`write`, for a fact that nothing in memory rests on: when the disk refuses it, the
        process may go on as it is."""

    def connection(self) -> Connection:
        """For plain calls from any thread, which cannot await: what plugins ask."""

    @property
    def broken(self) -> Exception | None:
        """Why the process should end and start again from what is on disk: a write was refused, and
        who wanted it may have given up on it. None while all is well."""

    @property
    def failing(self) -> Event:
        """Set when a write has failed: see `broken`."""

    async def identity(self) -> str:
        """What a copy of this database has not: it tells the one from the other."""

    def close(self) -> None:
        """Commit what waits and let go of the database."""
