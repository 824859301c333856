"""What conditions and texts may ask of the past, answered from the journal."""

import json
import sqlite3
from datetime import datetime, timedelta

from ringback.seams import Seams, from_iso, iso


class JournalFacts:
    """The past as the journal has it. Every answer is one indexed look-up.

    https://www.sqlite.org/queryplanner.html; conversations are `ours/theirs`.
    """

    def __init__(self, connection: sqlite3.Connection, seams: Seams) -> None:
        self._connection = connection
        self._seams = seams

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
            "select max(planned_at) from actions where conversation = ? and kind = 'send_message' "
            "and state in ('sending', 'unknown', 'accepted', 'settled') and planned_at < ?",
            (conversation, iso(before)),
        ).fetchone()
        return from_iso(row[0]) if row and row[0] else None

    def count(self, type_pattern: str, seconds: float, conversation: str) -> int:
        """How many events of a type came in the last `seconds`; all conversations when empty."""
        since = iso(self._seams.now() - timedelta(seconds=seconds))
        by_type = "type = ?"
        value = type_pattern
        if type_pattern.endswith(".*"):
            by_type, value = "type >= ? and type < ?", type_pattern[:-1]
        values: list[str] = [value] if by_type == "type = ?" else [value, value[:-1] + "/"]
        where = f"{by_type} and received_at >= ?"
        values.append(since)
        if conversation:
            where += " and conversation = ?"
            values.append(conversation)
        row = self._connection.execute(
            f"select count(*) from events where {where}", values
        ).fetchone()
        return int(row[0])

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
