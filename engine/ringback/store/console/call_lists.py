"""Lists of calls: those that are under way, as far as the journal knows, and those in queues."""

from datetime import datetime, timedelta
from typing import Any

from ringback.events import CALL_OVER
from ringback.runtime import iso
from ringback.store.digests.newest_rows import NewestRows
from ringback.store.queries.files import Row

LONGEST = timedelta(hours=4)
"""No call lasts longer than Twilio lets it by default: one whose end nobody told is over then.
https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource"""
LOOKED_AT = 200
_BEGAN = ("call.received", "call.initiated")
_MARKS = ", ".join("?" * len(CALL_OVER))


class CallLists(NewestRows):
    """Calls by how far they are."""

    def calls_going(self, now: datetime) -> list[Row]:
        """The calls that go on, the latest first: `sid`, the two sides, `since`, `inbound`, and the
        `last` event of each. Those that began last are looked at, `LOOKED_AT` of each way."""
        found: dict[str, Row] = {}
        for kind in _BEGAN:
            rows = self._all(
                "select id, uid, subject_sid, sender, recipient, conversation, received_at, type "
                "from events where type = ? and trust <> 'claimed' order by id desc limit ?",
                (kind, LOOKED_AT),
            )
            for row in rows:
                if row["received_at"] >= iso(now - LONGEST) and row["subject_sid"]:
                    found.setdefault(row["subject_sid"], row)
        calls = [self._going(row) for sid, row in found.items() if not self.call_over(sid)]
        return sorted(calls, key=lambda call: str(call["since"]), reverse=True)

    def call_over(self, sid: str) -> bool:
        """Whether a call is known to have ended."""
        row = self._one(
            "select 1 from events where subject_sid = ? and trust <> 'claimed' "
            f"and +type in ({_MARKS}) limit 1",
            (sid, *CALL_OVER),
        )
        return row is not None

    def _going(self, began: Row) -> Row:
        last = self._one(
            "select * from events where subject_sid = ? and trust <> 'claimed' "
            "order by id desc limit 1",
            (began["subject_sid"],),
        )
        shown = self._with_fields(last) if last else began | {"fields": {}}
        return {
            "sid": began["subject_sid"], "event_uid": began["uid"], "sender": began["sender"],
            "recipient": began["recipient"], "conversation": began["conversation"],
            "inbound": began["type"] == "call.received", "since": began["received_at"],
            "last": shown["type"], "last_at": shown["received_at"], "status": shown["status"],
            "queue": _queue(shown), "heard": self._heard(began["subject_sid"]),
        }  # fmt: skip

    def _heard(self, sid: str) -> str:
        """What the caller was told to hear last: the TwiML."""
        row = self._one(
            "select a.twiml from (select uid from events where subject_sid = ? order by id desc "
            "limit 20) e join answers a on a.event_uid = e.uid limit 1",
            (sid,),
        )
        return str(row["twiml"]) if row else ""

    def waited(self, since: str) -> dict[str, list[int]]:
        """By queue (its SID), how many seconds those waited who left it since then."""
        rows = self._all(
            "select * from events where type = 'call.dequeued' and trust <> 'claimed' "
            "order by id desc limit ?",
            (LOOKED_AT,),
        )
        found: dict[str, list[int]] = {}
        for row in rows:
            if row["received_at"] < since:
                break
            fields = self._with_fields(row)["fields"]
            seconds = str(fields.get("QueueTime") or "")
            if seconds.isdecimal():
                found.setdefault(str(fields.get("QueueSid") or ""), []).append(int(seconds))
        return found


def _queue(event: Row) -> Row | None:
    """The queue that a call waits in, by the last that Twilio has told of it."""
    if event["type"] != "call.queued":
        return None
    fields: dict[str, Any] = event["fields"] if isinstance(event["fields"], dict) else {}
    return {
        "sid": str(fields.get("QueueSid") or ""), "position": _number(fields.get("QueuePosition")),
        "waited": _number(fields.get("QueueTime")), "size": _number(fields.get("CurrentQueueSize")),
    }  # fmt: skip


def _number(given: Any) -> int:
    text = str(given or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
