"""What conditions and texts may ask of the past, answered from the journal."""

import json
import sqlite3
from datetime import datetime, timedelta

from ringback.runtime import Runtime, from_iso, iso
from ringback.twilio.error_codes import error_class as class_of


class JournalFacts:
    """The past as the journal has it. Every answer is one indexed look-up.

    Conversations are written `ours/theirs`, times are UTC.
    """

    def __init__(self, connection: sqlite3.Connection, runtime: Runtime) -> None:
        self._connection = connection
        self._runtime = runtime

    def message_count(self, conversation: str) -> int:
        """How many messages came in on this conversation so far."""
        row = self._connection.execute(
            "select inbound from contacts where conversation = ?", (conversation,)
        ).fetchone()
        return int(row[0]) if row else 0

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """When the last message before this moment came in, None when none did."""
        row = self._connection.execute(
            "select max(at) from events where conversation = ? and type = 'message.received' "
            "and at < ?",
            (conversation, iso(before)),
        ).fetchone()
        return from_iso(row[0]) if row and row[0] else None

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """When we last sent a message on this conversation, None when we never did."""
        row = self._connection.execute(
            "select max(planned_at) from actions where conversation = ? and effect = 'message' "
            "and state in ('sending', 'unknown', 'accepted', 'settled') and planned_at < ?",
            (conversation, iso(before)),
        ).fetchone()
        return from_iso(row[0]) if row and row[0] else None

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """How many events of a type came in the last `seconds`; empty words mean any."""
        where, values = ["type = ?"], [type_pattern]
        if type_pattern.endswith(".*"):
            where, values = ["type >= ?", "type < ?"], [type_pattern[:-1], type_pattern[:-2] + "/"]
        where.append("source <> 'replay' and received_at >= ?")
        values.append(iso(self._runtime.now() - timedelta(seconds=seconds)))
        if conversation:
            where.append("conversation = ?")
            values.append(conversation)
        rows = self._connection.execute(
            f"select error_code, count(*) from events where {' and '.join(where)} "
            "group by error_code",
            values,
        )
        return sum(
            number for code, number in rows if not error_class or class_of(code) == error_class
        )

    def remembered(self, conversation: str, name: str) -> str:
        """What was remembered about this contact under a name, empty when nothing was."""
        row = self._connection.execute(
            "select memory from contacts where conversation = ?", (conversation,)
        ).fetchone()
        return str(json.loads(row[0]).get(name, "")) if row else ""


def remember(
    connection: sqlite3.Connection, conversation: str, name: str, value: str | None, now: str
) -> None:
    """Keep a value about a contact, or forget it when it is None."""
    row = connection.execute(
        "select memory from contacts where conversation = ?", (conversation,)
    ).fetchone()
    memory = json.loads(row[0]) if row else {}
    if value is None:
        memory.pop(name, None)
    else:
        memory[name] = value
    connection.execute(
        "insert into contacts (conversation, first_at, memory) values (?, ?, ?) "
        "on conflict (conversation) do update set memory = excluded.memory",
        (conversation, now, json.dumps(memory, ensure_ascii=False)),
    )
