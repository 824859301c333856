"""What is written when something goes wrong or right: the incident, and the event that tells it."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ringback.events import Event
from ringback.runtime import iso
from ringback.store.attempts import COLUMNS, StoredAction
from ringback.store.events import record_internal
from ringback.store.journal import get_meta

ERASED = "erased"
"""What was erased of the last days: JSON, the SIDs with the moments of their arrival."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A number of ours: how many texts and calls came within a span, and when the last one did."""

    number: str
    count: int
    last_at: str
    last_uid: str


def known_subjects(connection: sqlite3.Connection, sids: Sequence[str], family: str) -> set[str]:
    """Which of these messages or calls the journal has heard of as received, those among them that
    it was told to forget."""
    found = set(json.loads(get_meta(connection, ERASED, "{}"))).intersection(sids)
    for start in range(0, len(sids), 500):
        chunk = sids[start : start + 500]
        marks = ",".join("?" * len(chunk))
        rows = connection.execute(
            f"select distinct subject_sid from events where subject_sid in ({marks}) "
            "and type like ?",
            (*chunk, f"{family}.%"),
        )
        found.update(row[0] for row in rows)
    return found


def last_received(connection: sqlite3.Connection) -> str:
    """When the newest event from outside was recorded; empty when there is none."""
    row = connection.execute(
        "select received_at from events where source not in ('internal', 'replay') "
        "order by id desc limit 1"
    ).fetchone()
    return str(row[0]) if row else ""


def stuck(connection: sqlite3.Connection, before: str, now: str, limit: int) -> list[StoredAction]:
    """Accepted sends of before that moment without a final status, due for a look."""
    rows = connection.execute(
        f"select {COLUMNS} from actions where state = 'accepted' and planned_at < ? "
        "and kind in ('send_message', 'place_call') and remote_sid <> '' "
        "and (due_at is null or due_at <= ?) order by id limit ?",
        (before, now, limit),
    )
    return [StoredAction(*row) for row in rows]


def look_again(connection: sqlite3.Connection, action_uid: str, due_at: str) -> None:
    """When to look at an accepted send the next time."""
    connection.execute(
        "update actions set due_at = ? where uid = ? and state = 'accepted'", (due_at, action_uid)
    )


def busy_numbers(connection: sqlite3.Connection, since: str, least: int) -> list[Quiet]:
    """Our numbers with at least so many texts and calls since that moment."""
    rows = connection.execute(
        "select recipient, count(*), max(received_at), max(uid) from events "
        "where type in ('message.received', 'call.received') and received_at >= ? "
        "group by recipient having count(*) >= ?",
        (since, least),
    )
    return [Quiet(*row) for row in rows]


def open_incident(
    connection: sqlite3.Connection, uid: str, key: str, kind: str, text: str, now: str
) -> bool:
    """Open an incident, or count one more of an open one. True when it is new."""
    changed = connection.execute(
        "update incidents set count = count + 1, last_at = ?, text = ? "
        "where key = ? and state = 'open'",
        (now, text, key),
    ).rowcount
    if changed:
        return False
    connection.execute(
        "insert into incidents (uid, key, kind, state, text, opened_at, last_at) "
        "values (?, ?, ?, 'open', ?, ?, ?)",
        (uid, key, kind, text, now, now),
    )
    return True


def resolve_incident(connection: sqlite3.Connection, key: str, now: str) -> str | None:
    """Close the open incident of this key; its uid, or None when there is none."""
    row = connection.execute(
        "select uid from incidents where key = ? and state = 'open'", (key,)
    ).fetchone()
    if row is None:
        return None
    connection.execute(
        "update incidents set state = 'resolved', resolved_at = ? where uid = ?", (now, row[0])
    )
    return str(row[0])


def open_keys(connection: sqlite3.Connection, kind: str) -> list[str]:
    """The keys of the open incidents of a kind."""
    rows = connection.execute(
        "select key from incidents where kind = ? and state = 'open'", (kind,)
    )
    return [row[0] for row in rows]


_RANDOM = 16
"""How many letters at the end of a uid are random."""


def opened(
    connection: sqlite3.Connection, uid: str, key: str, kind: str, text: str, now: datetime
) -> bool:
    """Open an incident and record the event of it, or count one more of an open one. True when it
    is new. `uid` is the incident's; its event gets one of the same moment."""
    if not open_incident(connection, uid, key, kind, text, iso(now)):
        return False
    # Not the same random letters: the incident may have its own from another event.
    event_uid = "evt" + uid[3:-_RANDOM] + uid[: -_RANDOM - 1 : -1]
    return _tell(connection, "incident.opened", event_uid, uid, key, kind, text, now)


def resolved(
    connection: sqlite3.Connection, event_uid: str, key: str, kind: str, text: str, now: datetime
) -> bool:
    """Close the open incident of this key and record the event of it. False when none is open."""
    uid = resolve_incident(connection, key, iso(now))
    if uid is None:
        return False
    return _tell(connection, "incident.resolved", event_uid, uid, key, kind, text, now)


def _tell(
    connection: sqlite3.Connection,
    type_: str,
    event_uid: str,
    uid: str,
    key: str,
    kind: str,
    text: str,
    now: datetime,
) -> bool:
    event = Event(
        uid=event_uid, type=type_, at=now, received_at=now, source="internal", subject_sid=uid,
        status=kind, dedupe_key=f"{type_}:{uid}", fields={"Key": key, "Kind": kind, "Text": text},
    )  # fmt: skip
    return record_internal(connection, event)
