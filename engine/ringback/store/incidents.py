"""Incidents: what is wrong right now, each with the events of its beginning and its end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Connection

from ringback.events import Event
from ringback.runtime import iso
from ringback.store.attempts import COLUMNS, StoredAction
from ringback.store.database import Database
from ringback.store.events import record_internal
from ringback.store.meta import get_meta

ERASED = "erased"
"""What was erased of the last days: JSON, the SIDs with the moments of their arrival."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A number of ours: how many texts and calls came within a span, and when the last one did."""

    number: str
    count: int
    last_at: str
    last_uid: str


def known_subjects(connection: Connection, sids: Sequence[str], family: str) -> set[str]:
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


def last_received(connection: Connection) -> str:
    """When the newest event from outside was recorded; empty when there is none."""
    row = connection.execute(
        "select received_at from events where source not in ('internal', 'replay') "
        "order by id desc limit 1"
    ).fetchone()
    return str(row[0]) if row else ""


def stuck(connection: Connection, before: str, now: str, limit: int) -> list[StoredAction]:
    """Accepted sends of before that moment without a final status, due for a look."""
    rows = connection.execute(
        f"select {COLUMNS} from actions where state = 'accepted' and planned_at < ? "
        "and effect <> '' and remote_sid <> '' "
        "and (due_at is null or due_at <= ?) order by id limit ?",
        (before, now, limit),
    )
    return [StoredAction(*row) for row in rows]


def look_again(connection: Connection, action_uid: str, due_at: str) -> None:
    """When to look at an accepted send the next time."""
    connection.execute(
        "update actions set due_at = ? where uid = ? and state = 'accepted'", (due_at, action_uid)
    )


def busy_numbers(connection: Connection, since: str, least: int) -> list[Quiet]:
    """Our numbers with at least so many texts and calls since that moment."""
    rows = connection.execute(
        "select recipient, count(*), max(received_at), max(uid) from events "
        "where type in ('message.received', 'call.received') and received_at >= ? "
        "group by recipient having count(*) >= ?",
        (since, least),
    )
    return [Quiet(*row) for row in rows]


_RANDOM = 16
"""How many letters at the end of a uid are random."""


class Incidents:
    """The incidents of the journal, at most one that is open for each key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, uid: str, key: str, kind: str, text: str, now: datetime) -> bool:
        """Open an incident and record the event of it, or count one more of an open one. True when
        it is new. `uid` is the incident's; its event gets one of the same moment."""
        return await self._database.write(open_incident, uid, key, kind, text, now)

    async def resolve(self, event_uid: str, key: str, kind: str, text: str, now: datetime) -> bool:
        """Close the open incident of this key and record the event of it. False when none is open.
        `event_uid` is the event's."""
        return await self._database.write(_resolve, event_uid, key, kind, text, now)

    async def open_keys(self, kind: str) -> list[str]:
        """The keys of the open incidents of a kind."""
        rows = await self._database.all(
            "select key from incidents where kind = ? and state = 'open' order by id", (kind,)
        )
        return [row[0] for row in rows]


def open_incident(
    connection: Connection, uid: str, key: str, kind: str, text: str, now: datetime
) -> bool:
    """`Incidents.open`, within a unit of work."""
    counted = connection.execute(
        "update incidents set count = count + 1, last_at = ?, text = ? "
        "where key = ? and state = 'open'",
        (iso(now), text, key),
    ).rowcount
    if counted:
        return False
    connection.execute(
        "insert into incidents (uid, key, kind, state, text, opened_at, last_at) "
        "values (?, ?, ?, 'open', ?, ?, ?)",
        (uid, key, kind, text, iso(now), iso(now)),
    )
    # Not the same random letters: the incident may have its own from another event.
    event_uid = "evt" + uid[3:-_RANDOM] + uid[: -_RANDOM - 1 : -1]
    fields = {"Key": key, "Kind": kind, "Text": text}
    return _record(connection, "incident.opened", event_uid, uid, fields, now)


def _resolve(
    connection: Connection, event_uid: str, key: str, kind: str, text: str, now: datetime
) -> bool:
    row = connection.execute(
        "select uid from incidents where key = ? and state = 'open'", (key,)
    ).fetchone()
    if row is None:
        return False
    connection.execute(
        "update incidents set state = 'resolved', resolved_at = ? where uid = ?", (iso(now), row[0])
    )
    fields = {"Key": key, "Kind": kind, "Text": text}
    return _record(connection, "incident.resolved", event_uid, row[0], fields, now)


def _record(
    connection: Connection,
    type_: str,
    event_uid: str,
    uid: str,
    fields: dict[str, str],
    now: datetime,
) -> bool:
    event = Event(
        uid=event_uid, type=type_, at=now, received_at=now, source="internal", subject_sid=uid,
        status=fields["Kind"], dedupe_key=f"{type_}:{uid}", fields=fields,
    )  # fmt: skip
    return record_internal(connection, event)
