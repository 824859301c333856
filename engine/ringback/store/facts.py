"""Facts: the past as conditions, texts, plugins and the gate ask for it, at once."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from sqlite3 import Connection
from typing import Protocol

from ringback.actions import Action
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import read_action
from ringback.store.consents import SERVICE_OF
from ringback.store.events import event
from ringback.store.log import LogReader
from ringback.twilio.error_codes import error_class as class_of

LAST_TEXTS = 50
"""A person reacts to what stands on the screen, or not far above."""
_SENT = "('sending', 'unknown', 'accepted', 'settled', 'failed')"


class JournalFacts:
    """The past as the journal has it. Every answer is one indexed look-up.

    Conversations are written `ours/theirs`, times are UTC.
    """

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
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

    def written(self, conversation: str) -> list[tuple[str, bool]]:
        """Our last texts in this conversation, the newest first, and whether each had pictures."""
        rows = self._connection.execute(
            "select coalesce(json_extract(params, '$.body'), ''), "
            "coalesce(json_array_length(params, '$.media'), 0) > 0 from actions "
            f"where conversation = ? and effect = 'message' and state in {_SENT} "
            "order by planned_at desc, id desc limit ?",
            (conversation, LAST_TEXTS),
        )
        return [(str(body), bool(media)) for body, media in rows]


class Answering(Protocol):
    """An action as the gate's past asks about it."""

    @property
    def event_uid(self) -> str:
        """The event that it answers."""


class JournalGateFacts:
    """The past as the gate asks for it, from the journal and the log. Each answer is one indexed
    look-up. What was sent is messages and calls that left, or may have."""

    def __init__(self, connection: Connection, log: LogReader) -> None:
        self._connection = connection
        self._log = log

    def opted_out(self, sender: str, recipient: str) -> str:
        """When and how this recipient opted out of this sender; empty when they did not.

        The last word counts that they said to this sender, or to the messaging service that it is
        in.
        """
        row = self._connection.execute(
            "select source, at, state from consents where recipient = ? and sender in "
            "(?, (select value from meta where key = ?)) order by at desc, sender limit 1",
            (recipient, sender, SERVICE_OF + sender),
        ).fetchone()
        return f"{row[0]}, {row[1]}" if row and row[2] == "out" else ""

    def our_numbers(self) -> set[str]:
        """The numbers that people have written to: they are ours."""
        rows = self._connection.execute(
            "select distinct substr(conversation, 1, instr(conversation, '/') - 1) from contacts "
            "where inbound > 0"
        )
        return {row[0] for row in rows if row[0]}

    def sent_since(self, conversation: str, since: datetime) -> list[datetime]:
        """When what was sent in a conversation was planned, since then, oldest first."""
        rows = self._connection.execute(
            "select planned_at from actions where conversation = ? and planned_at >= ? "
            f"and effect <> '' and state in {_SENT} order by planned_at, id",
            (conversation, iso(since)),
        )
        return [from_iso(row[0]) for row in rows]

    def late_since(self, conversation: str, since: datetime) -> int:
        """How much that was planned before then has been tried since: after quiet hours, a pause or
        an outage. Whatever waited for longer than a week is left out."""
        early, moment = iso(since - timedelta(days=7)), iso(since)
        row = self._connection.execute(
            "select count(*) from actions a where conversation = ? and planned_at >= ? "
            "and planned_at < ? and effect <> '' "
            f"and state in {_SENT} and exists (select 1 from attempts t "
            "where t.action_uid = a.uid and coalesce(t.ended_at, t.started_at) >= ?)",
            (conversation, early, moment, moment),
        ).fetchone()
        return int(row[0])

    def heard_since(self, conversation: str, since: datetime) -> list[datetime]:
        """When their texts of a conversation were sent to us since then, in the order of arrival.

        Not when we heard of them: those that are fetched back after a downtime all arrive at once.
        """
        # The plus keeps SQLite from the index of types, with the texts of everybody in it.
        rows = self._connection.execute(
            "select at from events where conversation = ? and at >= ? "
            "and +type = 'message.received' order by id",
            (conversation, iso(since)),
        )
        return [from_iso(row[0]) for row in rows]

    def heard_last(
        self, conversation: str, since: datetime, limit: int
    ) -> list[tuple[datetime, str]]:
        """Their last texts since then, the newest first: when, and the words."""
        rows = self._connection.execute(
            "select uid, at from events where conversation = ? and at >= ? "
            "and +type = 'message.received' order by id desc limit ?",
            (conversation, iso(since), limit),
        ).fetchall()
        found = []
        for uid, moment in rows:
            said = event(self._connection, self._log, uid)
            found.append((from_iso(moment), said.body if said else ""))
        return found

    def written_since(self, conversation: str, since: datetime) -> list[tuple[datetime, str]]:
        """Our texts since then, oldest first: when they were planned, and the words."""
        rows = self._connection.execute(
            "select planned_at, params from actions where conversation = ? and planned_at >= ? "
            f"and effect = 'message' and state in {_SENT} order by planned_at, id",
            (conversation, iso(since)),
        )
        return [(from_iso(moment), json.loads(params).get("body", "")) for moment, params in rows]

    def conversation_with(self, action: Answering, recipient: str) -> str:
        """The conversation of the event that an action answers, when the recipient caused it."""
        row = self._connection.execute(
            "select conversation from events where uid = ? and sender = ?",
            (action.event_uid, recipient),
        ).fetchone()
        return str(row[0]) if row else ""

    def tries_since(self, since: datetime) -> list[datetime]:
        """When anything was tried since then, oldest first."""
        rows = self._connection.execute(
            "select started_at from attempts where started_at >= ? order by id", (iso(since),)
        )
        return [from_iso(row[0]) for row in rows]

    def left_since(self, since: datetime, before: datetime) -> Iterator[tuple[str, Action]]:
        """The rule and the action of each message and call that left in this span, or may have:
        once for each request that Twilio took, or of which nobody knows."""
        # Only the end of the table is read: no clock is set back by more than a day, as a rule.
        early = iso(since - timedelta(days=1))
        rows = self._connection.execute(
            "select a.rule, a.kind, a.params, a.policy from attempts t "
            "join actions a on a.uid = t.action_uid where t.id > coalesce((select id from attempts "
            "where started_at < ? order by id desc limit 1), 0) "
            "and t.started_at >= ? and t.started_at < ? "
            "and t.result in ('', 'accepted', 'unknown') and a.effect <> '' order by t.id",
            (early, iso(since), iso(before)),
        )
        for rule, kind, params, policy in rows:
            yield rule, read_action(kind, params, policy)
