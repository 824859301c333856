"""Start of a broadcast, written with its action, and the events of its beginning and end."""

import json
from collections.abc import Mapping

from ringback.actions import Broadcast
from ringback.events import Event, cause_fields
from ringback.runtime import from_iso
from ringback.store.connection import Connection
from ringback.store.events import record_internal

OP = "broadcast"
BEGUN, ENDED = "broadcast.begun", "broadcast.ended"
LISTING = "waiting"


def begin(connection: Connection, uid: str, action: Broadcast, rule: str, now: str) -> None:
    """Begin the broadcast of an action (uid) with it."""
    key = action.key or named("blk", uid)
    wanted = {"to": action.to, "rate": action.rate, "action": uid}
    known = connection.execute(
        "insert into bulks (uid, op, wanted, until_id, state, total, done, refused, skipped, by, "
        "began_at) values (?, ?, ?, (select coalesce(max(id), 0) from group_members), ?, "
        "0, 0, 0, 0, ?, ?) on conflict (uid) do nothing",
        (key, OP, json.dumps(wanted), LISTING, json.dumps({"who": rule}), now),
    )
    if known.rowcount:
        record_internal(connection, event_of(BEGUN, key, named("evt", key), cause(connection, uid),
                                             depth_of(connection, uid), now))  # fmt: skip


def event_of(
    kind: str, key: str, uid: str, fields: Mapping[str, str], depth: int, now: str
) -> Event:
    """The beginning or the end of a broadcast as an event."""
    return Event(
        uid=uid, type=kind, at=from_iso(now), received_at=from_iso(now), source="internal",
        subject_sid=key, dedupe_key=f"{kind}:{key}", depth=depth, fields=fields,
    )  # fmt: skip


def named(kind: str, other: str) -> str:
    """An id of another kind that follows from this one."""
    return f"{kind}_{other.partition('_')[2]}"


def cause(connection: Connection, uid: str) -> dict[str, str]:
    """The action (uid) as the cause of an event."""
    row = connection.execute("select rule, run_uid from actions where uid = ?", (uid,)).fetchone()
    return cause_fields(uid, row[0], row[1], None) if row else {}


def depth_of(connection: Connection, uid: str) -> int:
    """How many of our own actions caused each other, with this one."""
    row = connection.execute("select depth from actions where uid = ?", (uid,)).fetchone()
    return int(row[0]) if row else 0
