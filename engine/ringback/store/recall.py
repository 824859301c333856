"""How is an event brought back? The log has its body, the journal its identity."""

import json
import sqlite3
from dataclasses import replace

from ringback.events import Event
from ringback.seams import from_iso
from ringback.store.log import LogReader, LogRow
from ringback.twilio.error_codes import error_class
from ringback.twilio.webhooks import events_from

_COLUMNS = (
    "log_id, uid, type, at, received_at, trust, source, account_sid, subject_sid, sender, "
    "recipient, conversation, status, error_code, tag, dedupe_key, depth, fields"
)


def event(connection: sqlite3.Connection, log: LogReader, uid: str) -> Event | None:
    """The event of this uid, whole, or None when the journal does not know it.

    When the log has forgotten the body (retention), the parsed facts are still there and only
    `fields` is empty.
    """
    row = connection.execute(f"select {_COLUMNS} from events where uid = ?", (uid,)).fetchone()
    return _event(row, log) if row else None


def log_row(connection: sqlite3.Connection, log: LogReader, uid: str) -> LogRow | None:
    """The row of the log that this event was parsed from."""
    row = connection.execute("select log_id from events where uid = ?", (uid,)).fetchone()
    return log.get(row[0]) if row and row[0] is not None else None


def uid_of(connection: sqlite3.Connection, dedupe_key: str) -> str | None:
    """The event that a delivery with this identity became, by whichever row it came first."""
    row = connection.execute(
        "select uid from events where dedupe_key = ?", (dedupe_key,)
    ).fetchone()
    return str(row[0]) if row else None


def unmatched(connection: sqlite3.Connection, log: LogReader, limit: int) -> list[Event]:
    """Internal events that were recorded with an action's end but have not been matched yet."""
    rows = connection.execute(
        f"select {_COLUMNS} from events where verdicts is null order by id limit ?", (limit,)
    ).fetchall()
    return [_event(row, log) for row in rows]


def unproven(connection: sqlite3.Connection, log: LogReader, limit: int) -> list[Event]:
    """Claimed events that nobody has looked up yet, oldest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from events where trust = 'claimed' "
        "and json_extract(verdicts, '$.proof') is null order by id limit ?",
        (limit,),
    ).fetchall()
    return [_event(row, log) for row in rows]


def _event(row: sqlite3.Row, log: LogReader) -> Event:
    known = dict(zip(_COLUMNS.split(", "), row, strict=True))
    log_id, fields = known.pop("log_id"), known.pop("fields")
    if log_id is not None:
        source = log.get(log_id)
        for parsed in events_from(source, lambda: known["uid"]) if source else ():
            if parsed.dedupe_key == known["dedupe_key"]:
                return replace(parsed, uid=known["uid"], depth=known["depth"], trust=known["trust"])
    known["at"], known["received_at"] = from_iso(known["at"]), from_iso(known["received_at"])
    return Event(
        **known,
        error_class=error_class(known["error_code"]),
        fields=json.loads(fields) if fields else {},
    )
