"""Delivery facts: which texts of ours arrive, as conditions, texts and plugins ask the journal."""

from collections.abc import Collection
from datetime import timedelta

from ringback.actions import SendMessage
from ringback.events import Event
from ringback.rules.delivery_rates import (
    LATEST_PENDING,
    DeliveryFacts,
    Ended,
    TextEnd,
    first_minute,
)
from ringback.rules.retry_policy import FailedText
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import read_action
from ringback.store.connection import Connection
from ringback.store.deliveries.ended_texts import counted_end
from ringback.store.deliveries.spend_counts import SEGMENTS, span_of
from ringback.store.operations.waiting_actions import COUNTED


class JournalDeliveries(DeliveryFacts):
    """What the journal knows of the ends of texts."""

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self._connection = connection
        self._runtime = runtime

    def close(self) -> None:
        """Close the connection that the answers come from."""
        self._connection.close()

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        """How many texts came to an end in the last seconds: a row of each minute is read. What is
        later than now was written before the clock was set back, here and below."""
        now = self._runtime.now()
        row = self._connection.execute(
            "select coalesce(sum(delivered), 0), coalesce(sum(failed), 0) from text_counts "
            "where dimension = ? and value = ? and minute >= ? and minute <= ?",
            (by, of, first_minute(now, seconds), first_minute(now, 0.0)),
        ).fetchone()
        return Ended(int(row[0]), int(row[1]))

    def pending_texts(self, seconds: float, sender: str = "", over: Collection[str] = ()) -> int:
        """How many texts of the last day are without a final state for longer than this, `over`
        (SIDs) left out. More than COUNTED are not counted."""
        now = self._runtime.now()
        since, until = (now - timedelta(seconds=each) for each in (LATEST_PENDING, seconds))
        rows = self._connection.execute(
            "select sid from pending_texts where began_at > ? and began_at <= ? "
            "and (? = '' or ? in (sender, service)) limit ?",
            (iso(since), iso(until), sender, sender, COUNTED),
        )
        return sum(1 for (sid,) in rows if sid not in over)

    def left(self, seconds: float) -> int:
        """How many people opted out in the last seconds."""
        now = self._runtime.now()
        row = self._connection.execute(
            "select count(distinct recipient) from consents "
            "where state = 'out' and at >= ? and at <= ?",
            (iso(now - timedelta(seconds=seconds)), iso(now)),
        ).fetchone()
        return int(row[0])

    def segments_taken(self, seconds: float) -> int:
        """How many segments those of our texts took that were asked for in the last seconds and
        have ended."""
        now = self._runtime.now()
        first, last = span_of(iso(now - timedelta(seconds=seconds))), span_of(iso(now))
        row = self._connection.execute(
            "select coalesce(sum(number), 0) from spend_counts "
            "where span >= ? and span <= ? and measure = ? and dimension = 'all'",
            (first, last, SEGMENTS),
        ).fetchone()
        return int(row[0])

    def failed_text(self, action_uid: str) -> FailedText | None:
        """The text of this action, None unless it is one and stands as failed."""
        row = self._connection.execute(
            "select kind, params, policy, planned_at from actions "
            "where uid = ? and kind = 'send_message' and state = 'failed'",
            (action_uid,),
        ).fetchone()
        text = read_action(*row[:3]) if row else None
        return FailedText(text, from_iso(row[3])) if isinstance(text, SendMessage) else None

    def end_before(self, sid: str) -> TextEnd | None:
        """The end that is counted for a text, as far as the events on record tell of one."""
        return counted_end(self._connection, sid)

    def placed_call(self, event: Event) -> str:
        """The nonce of the call of ours that an event is about, when a run goes on in that call."""
        row = self._connection.execute(
            "select json_extract(params, '$.step') from actions where uid = coalesce("
            "nullif(:action, ''), "
            "(select action_uid from attempts where tag <> '' and tag = :tag), "
            "(select uid from actions where remote_sid <> '' and remote_sid = :sid))",
            {"action": event.cause.action, "tag": event.tag, "sid": event.subject_sid},
        ).fetchone()
        return str(row[0] or "") if row else ""

    def rule_of(self, sid: str, tag: str) -> str:
        """The rule that asked for a text, empty when no action of ours made it."""
        row = self._connection.execute(
            "select rule from actions where uid = (select action_uid from attempts where tag = ?) "
            "union all select rule from actions where remote_sid = ? and remote_sid <> '' "
            "and effect <> '' limit 1",
            (tag, sid),
        ).fetchone()
        return str(row[0]) if row else ""
