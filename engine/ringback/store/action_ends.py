"""What is written when something has come to its end: the event of it, and what a hook wished."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ringback.events import Event
from ringback.store.events import record_internal
from ringback.store.matching import NewRun, insert_runs
from ringback.store.runs import NewAction, finish


def attempts_of(connection: sqlite3.Connection, action_uid: str) -> int:
    """How many requests were made for an action."""
    row = connection.execute(
        "select count(*) from attempts where action_uid = ?", (action_uid,)
    ).fetchone()
    return int(row[0])


def error_code_of(connection: sqlite3.Connection, action_uid: str) -> int:
    """Twilio's code for what went wrong with an action, 0 when nothing did."""
    row = connection.execute(
        "select error_code from actions where uid = ?", (action_uid,)
    ).fetchone()
    return int(row[0]) if row else 0


def tell(connection: sqlite3.Connection, event: Event, action_uid: str, state: str) -> bool:
    """Record the event of an action's end, and that it is told. False when the event is known."""
    connection.execute("delete from ends where action_uid = ? and state = ?", (action_uid, state))
    return record_internal(connection, event)


def untold(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The ends that were written but not told yet: the action and the state that it came to."""
    rows = connection.execute("select action_uid, state from ends order by id")
    return [(row[0], row[1]) for row in rows]


def listen(connection: sqlite3.Connection, states: Iterable[str]) -> None:
    """From now on note these ends of actions, and no others."""
    connection.execute("delete from listens")
    connection.executemany("insert into listens (state) values (?)", [(each,) for each in states])
    connection.execute("delete from ends where state not in (select state from listens)")


def run_at_once(
    connection: sqlite3.Connection, run: NewRun, actions: Sequence[NewAction], now: str
) -> None:
    """Write a run that began and ended in one go, with what it wishes."""
    insert_runs(connection, [run])
    first = connection.execute(
        "select coalesce(max(ordinal), -1) + 1 from actions where event_uid = ? and rule = ?",
        (run.event_uid, run.rule),
    ).fetchone()[0]
    numbered = [replace(item, ordinal=first + index) for index, item in enumerate(actions)]
    finish(connection, run.uid, state="done", reason="", now=now, actions=numbered)
