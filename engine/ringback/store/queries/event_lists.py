"""Lists of events, the newest first, and single ones with what their webhooks said."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ringback.errors import RingbackError
from ringback.events import person
from ringback.store.connection import first_since
from ringback.store.events import of_row
from ringback.store.log import LogRow
from ringback.store.queries.files import Files, Row, loads

_EVENT = (
    "uid, type, at, received_at, trust, source, account_sid, subject_sid, sender, recipient, "
    "conversation, status, error_code, tag, verdicts, depth, log_id, dedupe_key, fields"
)
THEIRS = "substr(conversation, instr(conversation, '/') + 1)"
"""The other side of a conversation, in the words of its index."""
_CONTACTS_PER_NUMBER = 50
_LOOKED_AT = 1000


class EventLists(Files):
    """Events by what people look for."""

    def oldest_event(self) -> str:
        """When the oldest event came that is kept; empty when there is none."""
        row = self._one("select received_at from events order by id limit 1", ())
        return str(row["received_at"]) if row else ""

    def events(
        self,
        *,
        type: str = "",  # noqa: A002 - the word of the column and of the option
        number: str = "",
        sid: str = "",
        since: str = "",
        error: bool = False,
        after: int = 0,
        follow: bool = False,
        limit: int = 50,
    ) -> list[Row]:
        """Events, newest first; with `follow`, those after the row `after` in order.

        `type` may end in `.*`; `number` is either side; `since` is a stored time.
        """
        rows = self._found(
            type, number, sid, error, since=since, after=after, follow=follow, limit=limit
        )
        return [self._with_fields(row) for row in rows]

    def _found(
        self,
        kind: str = "",
        number: str = "",
        sid: str = "",
        error: bool = False,
        *,
        since: str = "",
        after: int = 0,
        follow: bool = False,
        limit: int,
    ) -> list[Row]:
        """The rows of `events`, without the fields of their webhooks."""
        where: list[str] = []
        values: list[object] = []
        first = first_since(self._connection, "events", "received_at", since) if since else 0
        if since:
            where.append("received_at >= ?")
            values.append(since)
        if since or follow:  # one bound: of two SQLite begins at the first
            where.append("id > ?")
            values.append(max(first - 1, after if follow else 0))
        ways = [
            ([*where, *clause], [*values, *value])
            for clause, value in self._ways(kind, number, sid, error)
        ]
        return self._newest_of(_EVENT, ways, limit, ascending=follow)

    def _ways(
        self, kind: str, number: str, sid: str, error: bool
    ) -> list[tuple[list[str], list[object]]]:
        """What to ask for one after the other, so that each is answered by one index: the one SID,
        the conversations of a number, the error codes, or the types. A plus keeps SQLite from the
        index of types, where something narrower is asked for."""
        if sid:
            ways: list[tuple[str, object]] = [("subject_sid = ?", sid)]
        elif number:
            ways = [("conversation = ?", each) for each in self.conversations(number)]
        elif error:
            ways = [("error_code > 0 and error_code = ?", each) for each in self._codes()]
        elif kind:
            types = self._types(kind[:-1]) if kind.endswith(".*") else [kind]
            return [(["type = ?"], [each]) for each in types]
        else:
            return [([], [])]
        clause, values = _like_type(kind)
        errors = ["+error_code > 0"] if error and (sid or number) else []
        return [([way, *clause, *errors], [value, *values]) for way, value in ways]

    def _codes(self) -> list[int]:
        """The error codes that occur: one step through the index for each, which begins at the
        first of two bounds."""
        found: list[int] = []
        while True:
            row = self._one(
                "select min(error_code) as code from events where error_code > ? "
                "and error_code > 0",
                (found[-1] if found else 0,),
            )
            if not row or not row["code"]:
                return found
            found.append(row["code"])

    def _newest_of(
        self,
        columns: str,
        ways: Sequence[tuple[list[str], list[object]]],
        limit: int,
        *,
        ascending: bool,
    ) -> list[Row]:
        """The newest events that any of these conditions finds; the oldest in ascending order.

        The ids of each type, code or conversation are read off an index and merged, and whole rows
        are read only of those that are left then.
        """
        ids = [row["id"] for way in ways for row in self._ids(*way, limit, ascending=ascending)]
        rows = self._all(
            f"select id, {columns} from events where id in "
            "(select cast(value as bigint) from json_each(?)) order by id",
            (json.dumps(sorted(ids, reverse=not ascending)[:limit]),),
        )
        return rows if ascending else rows[::-1]

    def _ids(
        self, where: list[str], values: list[object], limit: int, *, ascending: bool
    ) -> list[Row]:
        clause = f"where {' and '.join(where)}" if where else ""
        order = "asc" if ascending else "desc"
        return self._all(
            f"select id from events {clause} order by id {order} limit ?", [*values, limit]
        )

    def _types(self, prefix: str) -> list[str]:
        """The event types that occur and begin with this: one step through the index for each."""
        found: list[str] = []
        last = prefix
        while True:
            row = self._one("select min(type) as type from events where type > ?", (last,))
            if not row or not row["type"] or not row["type"].startswith(prefix):
                return found
            last = row["type"]
            found.append(last)

    def last_event_id(self) -> int:
        """The row number of the newest event; 0 when there is none."""
        row = self._one("select max(id) as last from events")
        return int(row["last"] or 0) if row else 0

    def event(self, uid: str) -> Row | None:
        """One event by its uid, with all the fields of its webhook."""
        row = self._one(f"select id, {_EVENT} from events where uid = ?", (uid,))
        return self._with_fields(row) if row else None

    def raw(self, event: Mapping[str, Any]) -> LogRow | None:
        """The request behind an event, byte for byte; None for an internal event."""
        log_id = event["log_id"]
        return self._log.get(log_id) if self._log is not None and log_id else None

    def _with_fields(self, row: Row) -> Row:
        row["verdicts"] = loads(row["verdicts"], None)
        added = loads(row["fields"], {})
        raw, key = self.raw(row), row.pop("dedupe_key")
        row["fields"] = {**_fields_of(raw, key), **added} if raw else added
        return row

    def conversations(self, number: str) -> list[str]:
        """The conversations that a number takes part in, on either side, latest first."""
        latest = "max(coalesce(last_inbound_at, ''), coalesce(last_outbound_at, ''))"
        who = person(number)
        rows = self._all(
            f"select conversation from (select conversation, {latest} as at from contacts "
            f"where {THEIRS} = ? union all select * from (select conversation, {latest} from "
            "contacts where conversation >= ? and conversation < ? limit ?) as ours) as theirs "
            "order by at desc, conversation limit ?",
            (who, f"{who}/", f"{who}0", _LOOKED_AT, _CONTACTS_PER_NUMBER),
        )
        found = [row["conversation"] for row in rows]
        recent = self._all(  # who has called, and never texted
            "select distinct conversation from (select conversation, sender, recipient from events "
            "order by id desc limit ?) as newest where sender in (?, ?) or recipient in (?, ?)",
            (_LOOKED_AT, *(number, who) * 2),
        )
        return found + [r["conversation"] for r in recent if r["conversation"] not in found]


def _like_type(kind: str) -> tuple[list[str], list[str]]:
    """The events of a type among those that something else has found; all, without one."""
    if not kind:
        return [], []
    if kind.endswith(".*"):
        return ["+type >= ?", "+type < ?"], [kind[:-1], f"{kind[:-2]}/"]
    return ["+type = ?"], [kind]


def _fields_of(raw: LogRow, dedupe_key: str) -> Mapping[str, str]:
    """The parameters of a webhook as they came; of Event Streams, by the names of the webhook."""
    try:
        event = of_row(raw, dedupe_key)
    except RingbackError:  # a foreign row, or one whose texts were blanked
        return {}
    return event.fields if event else {}
