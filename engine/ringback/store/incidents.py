"""What is written when something goes wrong or right: the incident, and the event that tells it."""

import sqlite3
from datetime import datetime

from ringback.events import Event
from ringback.seams import iso
from ringback.store.internal import record_internal
from ringback.store.watching import open_incident, resolve_incident

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
