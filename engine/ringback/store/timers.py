"""What has a time of its own: the schedules of rules."""

import sqlite3
from dataclasses import dataclass

from ringback.events import Event
from ringback.store.events import record_internal


@dataclass(frozen=True, slots=True)
class Timer:
    """Something that comes due. `payload` is what it was made from."""

    key: str
    kind: str
    due_at: str
    payload: str


def timers(connection: sqlite3.Connection, kind: str) -> dict[str, Timer]:
    """All timers of a kind, by key."""
    rows = connection.execute(
        "select key, kind, due_at, payload from timers where kind = ?", (kind,)
    )
    return {row[0]: Timer(*row) for row in rows}


def set_timer(connection: sqlite3.Connection, timer: Timer) -> None:
    """Set a timer, in place of an earlier one of the same key."""
    connection.execute(
        "insert into timers (key, kind, due_at, payload) values (?, ?, ?, ?) "
        "on conflict (key) do update set due_at = excluded.due_at, payload = excluded.payload",
        (timer.key, timer.kind, timer.due_at, timer.payload),
    )


def drop_timer(connection: sqlite3.Connection, key: str) -> None:
    """Forget a timer."""
    connection.execute("delete from timers where key = ?", (key,))


def fire(connection: sqlite3.Connection, event: Event, following: Timer | None, key: str) -> None:
    """Record that a timer came due, and when it does so next: both or neither."""
    record_internal(connection, event)
    if following is None:
        drop_timer(connection, key)
    else:
        set_timer(connection, following)


def next_timer(connection: sqlite3.Connection) -> str | None:
    """When the next timer comes due."""
    row = connection.execute("select min(due_at) from timers").fetchone()
    return str(row[0]) if row and row[0] else None
