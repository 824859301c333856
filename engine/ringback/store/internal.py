"""How is an event of our own making written? It has no row in the log, and is matched later."""

import json
import sqlite3

from ringback.events import Event
from ringback.seams import iso


def record_internal(connection: sqlite3.Connection, event: Event) -> bool:
    """Write an event of our own making, to be matched like any other. False when it is known."""
    return bool(
        connection.execute(
            "insert into events (uid, type, at, received_at, trust, source, account_sid, "
            "subject_sid, sender, recipient, conversation, status, error_code, tag, verdicts, "
            "dedupe_key, depth, fields) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,null,?,?,?) "
            "on conflict (dedupe_key) do nothing",
            (
                event.uid, event.type, iso(event.at), iso(event.received_at), event.trust,
                event.source, event.account_sid, event.subject_sid, event.sender, event.recipient,
                event.conversation, event.status, event.error_code, event.tag, event.dedupe_key,
                event.depth, json.dumps(dict(event.fields), ensure_ascii=False),
            ),
        ).rowcount
    )  # fmt: skip
