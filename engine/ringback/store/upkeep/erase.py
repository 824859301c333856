"""Erasure of a person: everything that came from a number or went to it leaves both files.

The node must stand still for that: whoever erases holds both of its locks. Twilio still has it all
in its lists, from which the next start fetches back what it does not know. So the SIDs of the last
days stay, which tell nothing of the person.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import TypeVar

from ringback.errors import RingbackError
from ringback.events import Event
from ringback.runtime import iso
from ringback.store.events import ERASED
from ringback.store.log import LogRow
from ringback.store.meta import get_meta, set_meta
from ringback.store.migrations import migrate_journal, migrate_log
from ringback.store.sqlite import connect_writer, translated
from ringback.store.upkeep.retention import forget_events
from ringback.twilio.webhooks import events_from

T = TypeVar("T")

PAGE = 2000


@dataclass(frozen=True, slots=True)
class Erased:
    """What left: rows of the log, events with all that hung on them, contacts, incidents.

    `consents` are the refusals that stay: who opted out must not be texted again.
    """

    log_rows: int
    events: int
    contacts: int
    incidents: int
    consents: int


def erase(data: Path, number: str, since: str) -> Erased:
    """Erase a number from the log and the journal, and let no page of the files keep it. What came
    in since then (ISO) is not fetched back from Twilio's lists.

    The caller holds both locks of the data folder. Raises StorageError and DataError.
    """
    sids: dict[str, str] = {}
    rows = _in_file(data / "log.db", migrate_log, lambda c: _from_log(c, number, sids)) or 0
    found = _in_file(
        data / "journal.db", migrate_journal, lambda c: _from_journal(c, number, sids, since)
    )
    events, contacts, incidents, consents = found or (0, 0, 0, 0)
    return Erased(rows, events, contacts, incidents, consents)


def _in_file(
    path: Path, migrate: Callable[[Connection], None], work: Callable[[Connection], T]
) -> T | None:
    if not path.exists():
        return None
    connection = connect_writer(path)
    try:
        with translated(path):
            connection.execute("pragma secure_delete = on")
            migrate(connection)
            connection.execute("begin immediate")
            result = work(connection)
            connection.execute("commit")
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
        return result
    finally:
        connection.close()


def _from_log(connection: Connection, number: str, sids: dict[str, str]) -> int:
    """Each row is read as events, because an address may be written in more than one way."""
    erased = 0
    last = 0
    newest = int(connection.execute("select coalesce(max(id), 0) from log").fetchone()[0])
    while True:
        page = connection.execute(
            "select id, received_at, route, trust, source, tag, content_type, body from log "
            "where id > ? order by id limit ?",
            (last, PAGE),
        ).fetchall()
        if not page:
            return erased
        last = page[-1][0]
        removed = [row[0] for row in page if _about(LogRow._make(row), number, sids)]
        erased += len(removed)
        for row_id in removed:
            if row_id == newest:  # it stays as an empty row, so that ids never begin again
                connection.execute("update log set body = x'' where id = ?", (row_id,))
            else:
                connection.execute("delete from log where id = ?", (row_id,))


def _about(row: LogRow, number: str, sids: dict[str, str]) -> bool:
    try:
        events = events_from(row, lambda: "")
    except RingbackError:
        return number.encode() in row.body
    if not any(_names(event, number) for event in events):
        return False
    sids.update((event.subject_sid, iso(event.received_at)) for event in events)
    return True


def _names(event: Event, number: str) -> bool:
    return any(
        number in value.split(",") or value.endswith(f":{number}")
        for value in (event.sender, event.recipient, *event.fields.values())
    )


def _from_journal(
    connection: Connection, number: str, sids: dict[str, str], since: str
) -> tuple[int, int, int, int]:
    ends = (number, f"%:{number}")
    uids = [
        row[0]
        for row in connection.execute(
            "select uid from events where sender = ? or sender like ? "
            "or recipient = ? or recipient like ? or conversation like ? or conversation like ? "
            "union select event_uid from actions where conversation like ? "
            "or json_extract(params, '$.to') = ?",
            (*ends, *ends, f"{number}/%", f"%{number}", f"%{number}", number),
        )
    ]
    _note(connection, uids, sids, since)
    forget_events(connection, uids)
    contacts = connection.execute(
        "delete from contacts where conversation like ? or conversation like ?",
        (f"{number}/%", f"%{number}"),
    ).rowcount
    incidents = connection.execute(
        "delete from incidents where instr(text, ?) > 0 or instr(key, ?) > 0", (number, number)
    ).rowcount
    connection.execute("delete from consents where recipient = ? and state <> 'out'", (number,))
    connection.execute(
        "update consents set source = 'kept after erasure', event_uid = '' where recipient = ?",
        (number,),
    )
    kept = connection.execute(
        "select count(*) from consents where recipient = ?", (number,)
    ).fetchone()[0]
    return len(uids), contacts, incidents, int(kept)


def _note(connection: Connection, uids: list[str], sids: dict[str, str], since: str) -> None:
    """Keep the SIDs of what is about to go, and let go of those that are too old to matter."""
    known: dict[str, str] = json.loads(get_meta(connection, ERASED, "{}"))
    for uid in uids:
        row = connection.execute(
            "select subject_sid, received_at from events where uid = ?", (uid,)
        ).fetchone()
        known.update([row] if row else [])
    known.update(sids)
    kept = {sid: at for sid, at in known.items() if sid and at >= since}
    set_meta(connection, ERASED, json.dumps(kept))
