"""Retention: old rows go and old texts are blanked, in small steps beside the daily work.

Each function does one step of at most `limit` rows inside the caller's transaction and says how
many it found; the caller comes again until there are none. What still waits or wants a person
stays. The journal's steps belong to the worker, the log's to the receiver: one writer each.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ringback.store.database import Database
from ringback.store.matching import cursor
from ringback.store.meta import get_meta, set_meta
from ringback.store.sqlite import connect_reader

STEP = 1000
OPEN_ACTIONS = ("planned", "deferred", "sending", "unknown", "parked")
OPEN_RUNS = ("pending", "running", "waiting")
CONTENT_FIELDS = frozenset(
    {
        "body", "digits", "speechresult", "unstablespeechresult", "transcriptiontext",
        "profilename", "fromcity", "fromzip", "callername", "recordingurl", "text", "value",
        "json", "headers", "media", "payload",
    }
)  # fmt: skip
"""Names, in small letters, under which webhooks and wishes carry what people said."""
BLANKED = "; blanked"
"""Marks the content type of a log row whose texts are gone."""

_BODIES = "blanked_to"


class Retention:
    """How the journal lets go of what is older than it is to be kept, a step at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retire(self, before: str, limit: int = STEP) -> int:
        """Delete events that came before that moment, with their runs, actions, attempts and
        answers; how many, 0 when none are left.

        Those stay of which a run or an action has not come to its end. Contacts, consents and
        strikes stay as well.
        """
        return await self._database.write(_retire, before, limit)

    async def blank(self, before: str, limit: int = STEP) -> int:
        """Blank what was said in actions planned before that moment, and in the answers to calls;
        how many it looked at, 0 when none are left. What still waits, or wants a person, keeps its
        text."""
        return await self._database.write(_blank, before, limit)


def first_since(connection: Connection, table: str, column: str, moment: str) -> int:
    """The first row that is not older than `moment`, found by halving: rows are in the order in
    which they came. One past the last row when all are older."""
    found = connection.execute(f"select min(id), max(id) from {table}").fetchone()
    low, high = int(found[0] or 1), int(found[1] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            f"select {column} from {table} where id >= ? order by id limit 1", (middle,)
        ).fetchone()
        if row is None or row[0] >= moment:
            high = middle
        else:
            low = middle + 1
    return low


def _retire(connection: Connection, before: str, limit: int) -> int:
    bound = first_since(connection, "events", "received_at", before)
    rows = connection.execute(
        "select uid from events e where id < ? and received_at < ? and not exists "
        f"(select 1 from runs r where r.event_uid = e.uid and r.state in {OPEN_RUNS}) "
        "and not exists (select 1 from actions a where a.event_uid = e.uid "
        f"and a.state in {OPEN_ACTIONS}) "
        "and not exists (select 1 from wakes w where w.event_uid = e.uid) order by id limit ?",
        (bound, before, limit),
    )
    uids = [row[0] for row in rows]
    forget_events(connection, uids)
    connection.execute("delete from incidents where state = 'resolved' and last_at < ?", (before,))
    return len(uids)


def forget_events(connection: Connection, uids: Sequence[str]) -> None:
    """Delete these events and everything that hangs on them."""
    for start in range(0, len(uids), 500):
        chunk = list(uids[start : start + 500])
        marks = ",".join("?" * len(chunk))
        for statement in (
            f"delete from wakes where event_uid in ({marks}) or run_uid in "
            f"(select uid from runs where event_uid in ({marks}))",
            f"delete from timers where event_uid in ({marks})",
            "delete from attempts where action_uid in "
            f"(select uid from actions where event_uid in ({marks}))",
            f"delete from actions where event_uid in ({marks})",
            f"delete from runs where event_uid in ({marks})",
            f"delete from answers where event_uid in ({marks})",
            f"delete from events where uid in ({marks})",
        ):
            connection.execute(statement, chunk * statement.count(f"({marks})"))


def _blank(connection: Connection, before: str, limit: int) -> int:
    done = int(get_meta(connection, _BODIES, "0"))
    rows = connection.execute(
        "select id, uid, event_uid, state, params from actions where id > ? and planned_at < ? "
        "order by id limit ?",
        (done, before, limit),
    ).fetchall()
    for _, uid, event_uid, state, params in rows:
        if state not in OPEN_ACTIONS:
            text = json.dumps(without_content(json.loads(params)), ensure_ascii=False)
            connection.execute("update actions set params = ? where uid = ?", (text, uid))
            connection.execute("delete from answers where event_uid = ?", (event_uid,))
    if rows:
        set_meta(connection, _BODIES, str(rows[-1][0]))
    return len(rows)


def without_content(value: Any) -> Any:
    """The same data with every text that a person said, or is to hear, blanked."""
    if isinstance(value, Mapping):
        return {
            key: _blanked(inner) if _is_content(key) else without_content(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_content(each) for each in value]
    return value


def _is_content(name: str) -> bool:
    lowered = name.lower()
    return lowered in CONTENT_FIELDS or lowered.startswith("mediaurl")


def _blanked(value: Any) -> Any:
    if isinstance(value, str):
        return ""
    return type(value)() if isinstance(value, list | dict) else None


def matched_up_to(data: Path) -> int:
    """How far the worker has read the log; 0 when there is no journal. Later rows must stay."""
    path = data / "journal.db"
    if not path.exists():
        return 0
    connection = connect_reader(path)
    try:
        return cursor(connection)
    finally:
        connection.close()


def retire_log(connection: Connection, before: str, matched: int, limit: int = STEP) -> int:
    """Delete rows of the log that came before that moment and have been matched.

    The newest row always stays, so that ids never begin again.
    """
    newest = int(connection.execute("select coalesce(max(id), 0) from log").fetchone()[0])
    bound = min(first_since(connection, "log", "received_at", before), matched + 1, newest)
    return connection.execute(
        "delete from log where id in (select id from log where id < ? order by id limit ?)",
        (bound, limit),
    ).rowcount


def blank_log(connection: Connection, before: str, matched: int, limit: int = STEP) -> int:
    """Blank what was said in rows of the log that came before that moment and have been matched.

    The row stays, with its SIDs, numbers and statuses; its content type says that it was blanked.
    """
    bound = min(first_since(connection, "log", "received_at", before), matched + 1)
    rows = connection.execute(
        "select id, content_type, body from log where id >= ? and id < ? order by id limit ?",
        (_first_unblanked(connection), bound, limit),
    ).fetchall()
    for row_id, content_type, body in rows:
        if not content_type.endswith(BLANKED):
            connection.execute(
                "update log set body = ?, content_type = ? where id = ?",
                (blank_body(content_type, body), content_type + BLANKED, row_id),
            )
    return len(rows)


def _first_unblanked(connection: Connection) -> int:
    """Blanking goes in the order of the ids, so the first row that is left is found by halving."""
    found = connection.execute("select min(id), max(id) from log").fetchone()
    low, high = int(found[0] or 1), int(found[1] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "select content_type from log where id >= ? order by id limit 1", (middle,)
        ).fetchone()
        if row is not None and row[0].endswith(BLANKED):
            low = middle + 1
        else:
            high = middle
    return low


def blank_body(content_type: str, body: bytes) -> bytes:
    """The body of a webhook without what was said in it; what cannot be read becomes empty."""
    try:
        text = body.decode()
        if "json" in content_type:
            return json.dumps(without_content(json.loads(text))).encode()
    except ValueError:
        return b""
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([(name, "" if _is_content(name) else value) for name, value in pairs]).encode()
