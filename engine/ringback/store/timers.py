"""Timers: what has a time of its own, the schedules of rules."""

from dataclasses import dataclass

from ringback.events import Event
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.events import record_internal


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that comes due. `payload` is what it was made from."""

    key: str
    kind: str
    due_at: str
    payload: str


class Timers:
    """The timers of the journal, one for each key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_kind(self, kind: str) -> dict[str, Timer]:
        """All timers of a kind, by key."""
        rows = await self._database.all(
            "select key, kind, due_at, payload from timers where kind = ? order by key", (kind,)
        )
        return {row[0]: Timer(*row) for row in rows}

    async def next_due(self) -> str | None:
        """When the next timer comes due."""
        row = await self._database.one("select min(due_at) from timers")
        return str(row[0]) if row and row[0] else None

    async def set(self, timer: Timer) -> None:
        """Set a timer, in place of an earlier one of the same key."""
        await self._database.write(_set, timer)

    async def drop(self, key: str) -> None:
        """Forget a timer."""
        await self._database.write(_drop, key)

    async def fire(self, event: Event, following: Timer | None, key: str) -> None:
        """Record that a timer came due, and when it does so next: both or neither."""
        await self._database.write(_fire, event, following, key)


def _set(connection: Connection, timer: Timer) -> None:
    connection.execute(
        "insert into timers (key, kind, due_at, payload) values (?, ?, ?, ?) "
        "on conflict (key) do update set due_at = excluded.due_at, payload = excluded.payload",
        (timer.key, timer.kind, timer.due_at, timer.payload),
    )


def _drop(connection: Connection, key: str) -> None:
    connection.execute("delete from timers where key = ?", (key,))


def _fire(connection: Connection, event: Event, following: Timer | None, key: str) -> None:
    record_internal(connection, event)
    if following is None:
        _drop(connection, key)
    else:
        _set(connection, following)
