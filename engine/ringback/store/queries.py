"""Queries of the log and the journal for people: read-only, each one short.

Every answer is plain data under the names of the columns, ready for a table, for JSON or for a
template. Nothing here needs a running node, and nothing here can change a file.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ringback.errors import RingbackError
from ringback.store import events, replays
from ringback.store.consents import OptOuts, opt_outs
from ringback.store.events import of_row
from ringback.store.log import LogReader, LogRow
from ringback.store.meta import get_meta
from ringback.store.migrations import connect_journal
from ringback.store.runs import lines_at, made_in, turns
from ringback.store.sqlite import translated

Row = dict[str, Any]

_EVENT = (
    "uid, type, at, received_at, trust, source, account_sid, subject_sid, sender, recipient, "
    "conversation, status, error_code, tag, verdicts, depth, log_id, dedupe_key, fields"
)
_CONTACTS_PER_NUMBER = 50
_EVENTS_PER_SID = 20
_OVERTAKING = 2000
_COMMON = ("settled", "accepted", "done")
"""States that most rows are in: the newest of them are found by going back, not by the index."""


class Questions:
    """The questions to one data folder. Raises StorageError when no node of this program has run
    on it, and DataError for the journal of a newer one."""

    def __init__(self, data: Path) -> None:
        self._path = data / "journal.db"
        self._connection = connect_journal(self._path)
        self._log = LogReader(data / "log.db") if (data / "log.db").exists() else None

    def close(self) -> None:
        """Close the files."""
        self._connection.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> "Questions":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        with translated(self._path):
            return [dict(row) for row in self._connection.execute(sql, values)]

    def _one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def meta(self, key: str) -> str:
        """A fact about the journal itself; empty when it is not there."""
        with translated(self._path):
            return get_meta(self._connection, key)

    def open_incidents(self, kind: str = "") -> list[Row]:
        """The incidents that are not over, oldest first."""
        return self._all(
            "select * from incidents where state = 'open' and ? in (kind, '') order by id", (kind,)
        )

    def opt_outs(self, since: str) -> OptOuts:
        """Who has left whom. Those of whom only a refused send told are counted since then."""
        with translated(self._path):
            return opt_outs(self._connection, since)

    # Events ---------------------------------------------------------------------------------

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
        where, values = _filters(sid=sid, error=error)
        if number:
            conversations = self.conversations(number)
            where.append(f"conversation in ({','.join('?' * len(conversations))})")
            values += conversations
        if since:
            where.append("id >= ? and received_at >= ?")
            values += [self._first_since(since), since]
        if follow:
            where.append("id > ?")
            values.append(after)
        if type.endswith(".*"):
            rows = [
                row
                for each in self._types(type[:-1])
                for row in self._events([*where, "type = ?"], [*values, each], follow, limit)
            ]
            rows = sorted(rows, key=lambda row: row["id"], reverse=not follow)[:limit]
        elif type:
            rows = self._events([*where, "type = ?"], [*values, type], follow, limit)
        else:
            rows = self._events(where, values, follow, limit)
        return [self._with_fields(row) for row in rows]

    def _events(
        self, where: list[str], values: list[object], ascending: bool, limit: int
    ) -> list[Row]:
        clause = f"where {' and '.join(where)}" if where else ""
        order = "asc" if ascending else "desc"
        return self._all(
            f"select id, {_EVENT} from events {clause} order by id {order} limit ?",
            [*values, limit],
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

    def _first_since(self, since: str) -> int:
        """The row from which on events are that young, found by halving: rows are in the order in
        which they came. Some slack covers those that overtook each other."""
        low, high = 0, self.last_event_id() + 1
        while low < high:
            middle = (low + high) // 2
            row = self._one(
                "select received_at from events where id >= ? order by id limit 1", (middle,)
            )
            if row is None or row["received_at"] >= since:
                high = middle
            else:
                low = middle + 1
        return max(low - _OVERTAKING, 0)

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
        row["verdicts"] = _loads(row["verdicts"], None)
        added = _loads(row["fields"], {})
        raw, key = self.raw(row), row.pop("dedupe_key")
        row["fields"] = {**_fields_of(raw, key), **added} if raw else added
        return row

    def conversations(self, number: str) -> list[str]:
        """The conversations that a number takes part in, on either side, latest first."""
        rows = self._all(
            "select conversation from contacts where conversation like ? or conversation like ? "
            "order by max(coalesce(last_inbound_at, ''), coalesce(last_outbound_at, '')) desc "
            "limit ?",
            (f"{_escape(number)}/%", f"%/{_escape(number)}", _CONTACTS_PER_NUMBER),
        )
        found = [row["conversation"] for row in rows]
        recent = self._all(
            "select distinct conversation from (select conversation, sender, recipient from events "
            "order by id desc limit 5000) where sender = ? or recipient = ?",
            (number, number),
        )
        return found + [r["conversation"] for r in recent if r["conversation"] not in found]

    # Runs, actions, attempts ----------------------------------------------------------------

    def runs(
        self, *, event: str = "", state: str = "", rule: str = "", limit: int = 50
    ) -> list[Row]:
        """Runs, newest first; of one event in the order in which they began."""
        where, values = _equal(event_uid=event, state=state, rule=rule)
        order = "priority desc, id" if event else "id desc"
        return self._all(f"select * from runs {where} order by {order} limit ?", [*values, limit])

    def actions(
        self, *, run: str = "", state: str = "", rule: str = "", kind: str = "", limit: int = 50
    ) -> list[Row]:
        """Actions, newest first; of one run in their order."""
        where, values = _equal(run_uid=run, state=state, rule=rule, kind=kind)
        order = "ordinal" if run else "id desc"
        rows = self._all(
            f"select * from actions {where} order by {order} limit ?", [*values, limit]
        )
        for row in rows:
            row["params"] = _loads(row["params"], {})
        return rows

    def attempts(self, action: str) -> list[Row]:
        """The requests that were made for an action, in order."""
        return self._all("select * from attempts where action_uid = ? order by n", (action,))

    def callbacks(self, action: Mapping[str, Any]) -> list[Row]:
        """The status callbacks about what an action made, in the order of their times."""
        if not action["remote_sid"] or not action["effect"]:
            return []
        return self._all(
            "select uid, type, at, received_at, status, error_code, trust, source from events "
            "where subject_sid = ? and type not like '%.received' and source <> 'replay' "
            "order by at, id",
            (action["remote_sid"],),
        )

    def answer(self, event: str) -> str | None:
        """The TwiML that the call of this event was given."""
        row = self._one("select twiml from answers where event_uid = ?", (event,))
        return str(row["twiml"]) if row else None

    def quarantined(self) -> dict[str, str]:
        """The rules in quarantine, with the reason."""
        return {row["rule"]: row["reason"] for row in self.strikes() if row["quarantined_at"]}

    def strikes(self) -> list[Row]:
        """The rules that blocked or broke the worker, and those in quarantine for it."""
        return self._all("select * from strikes order by last_at desc")

    def plugin_trouble(self) -> dict[str, str]:
        """What is wrong with each plugin that is not well: its quarantine, or its last failure."""
        failed = self._all(
            "select rule, reason, ended_at from runs where state = 'failed' and rule like '%.%' "
            "and id > (select max(id) from runs) - 20000 order by id"
        )
        trouble = {
            row["rule"].partition(".")[
                0
            ]: f"{row['rule']} failed at {row['ended_at']}: {row['reason']}"
            for row in failed
        }
        for row in reversed(self.strikes()):
            what = "quarantined" if row["quarantined_at"] else f"failed {row['count']}×"
            trouble[row["plugin"]] = f"{row['rule']} {what}, last {row['last_at']}: {row['reason']}"
        return trouble

    # Traces ---------------------------------------------------------------------------------

    def find(self, text: str, limit: int = 5) -> list[str]:
        """The events behind an id of ours, a SID or a phone number, oldest first.

        A SID of something that one of our actions made leads to the event that caused it.
        """
        prefix = text[:4]
        if prefix == "evt_":
            sql = "select uid from events where uid = ?"
        elif prefix == "run_":
            sql = "select event_uid as uid from runs where uid = ?"
        elif prefix in ("act_", "att_"):
            inner = "select action_uid from attempts where uid = ?" if prefix == "att_" else "?"
            sql = f"select event_uid as uid from actions where uid = ({inner})"
        else:
            return self._find_outside(text, limit)
        return [row["uid"] for row in self._all(sql, (text,))]

    def _find_outside(self, text: str, limit: int) -> list[str]:
        caused = self._all(
            "select distinct event_uid as uid from actions "
            "where remote_sid = ? and remote_sid <> ''",
            (text,),
        )
        if caused:
            return [row["uid"] for row in caused]
        about = self._all(
            "select uid from events where subject_sid = ? order by id limit ?",
            (text, max(limit, _EVENTS_PER_SID)),
        )
        if about:
            return [row["uid"] for row in about]
        if not any(c.isdigit() for c in text):
            return []
        began = self.events(number=text, limit=limit * 20)
        firsts = [row["uid"] for row in began if not self._is_callback(row)]
        return list(reversed(firsts[:limit]))

    def _is_callback(self, event: Mapping[str, Any]) -> bool:
        """Whether an event is news about something that an action of ours made."""
        return not event["type"].endswith(".received") and self._cause(event) is not None

    def trace(self, event_uid: str) -> Row | None:
        """The whole life of one event: verdicts, runs, actions, attempts, callbacks, outcomes.

        `cause` is the event and the action that led to this one, when it is a status callback;
        `replays` the event that this one is a copy of, `replayed` the copies of this one. `turns`
        are those of the runs that had waited for this event; each run has the `turns` that later
        events gave to it. `lines` are the conditions of each rule at that time.
        """
        event = self.event(event_uid)
        if event is None:
            return None
        runs = self.runs(event=event_uid, limit=500)
        for run in runs:
            run["actions"] = self._actions_of(run["uid"])
            run["turns"] = turns(self._connection, run=run["uid"])
            for turn in run["turns"]:
                turn["woken_by"] = self.event(turn["event"])
        for turn in (woken := turns(self._connection, event=event_uid)):
            turn["actions"] = made_in(turn, self._actions_of(turn["run"]))
        with translated(self._path):
            copies = events.copies(self._connection, event_uid)
        key = self._one("select dedupe_key from events where uid = ?", (event_uid,))
        original = replays.replayed(key["dedupe_key"]) if key else ""
        return {
            "event": event, "cause": self._cause(event), "runs": runs,
            "answer": self.answer(event_uid), "replays": original, "replayed": copies,
            "turns": woken, "lines": lines_at(self._connection, event["id"]),
        }  # fmt: skip

    def _actions_of(self, run: str) -> list[Row]:
        """The actions of a run, each with its attempts and the callbacks about it."""
        found = self.actions(run=run, limit=500)
        for action in found:
            action["attempts"] = self.attempts(action["uid"])
            action["callbacks"] = self.callbacks(action)
        return found

    def _cause(self, event: Mapping[str, Any]) -> Row | None:
        if event["type"].endswith(".received"):
            return None
        tagged = self._one(
            "select a.uid as action, a.event_uid as event, a.rule from attempts t "
            "join actions a on a.uid = t.action_uid where t.tag = ? and t.tag <> ''",
            (event["tag"],),
        )
        if tagged or not event["subject_sid"]:
            return tagged
        return self._one(
            "select uid as action, event_uid as event, rule from actions "
            "where remote_sid = ? and remote_sid <> '' and effect <> ''",
            (event["subject_sid"],),
        )


def _filters(*, sid: str, error: bool) -> tuple[list[str], list[object]]:
    where: list[str] = []
    values: list[object] = []
    if sid:
        where.append("subject_sid = ?")
        values.append(sid)
    if error:
        where.append("error_code > 0")
    return where, values


def _equal(**wanted: str) -> tuple[str, list[object]]:
    given = {column: value for column, value in wanted.items() if value}
    clause = " and ".join(
        f"{'+' if value in _COMMON else ''}{column} = ?" for column, value in given.items()
    )
    return (f"where {clause}" if given else ""), list(given.values())


def _escape(text: str) -> str:
    """A number with nothing in it that LIKE would read as a wildcard."""
    return text.replace("%", "").replace("_", "")


def _loads(text: str | None, default: Any) -> Any:
    if not text:
        return default
    try:
        return json.loads(text)
    except ValueError:
        return text


def _fields_of(raw: LogRow, dedupe_key: str) -> Mapping[str, str]:
    """The parameters of a webhook as they came; of Event Streams, by the names of the webhook."""
    try:
        event = of_row(raw, dedupe_key)
    except RingbackError:  # a foreign row, or one whose texts were blanked
        return {}
    return event.fields if event else {}
