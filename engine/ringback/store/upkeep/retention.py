"""Retention: old rows go and old texts are blanked, in small steps beside the daily work.

Each function does one step of at most `limit` rows inside the caller's transaction and says how
many it found; the caller comes again until there are none. What still waits or wants a person
stays. The journal's steps belong to the worker, the log's to the receiver: one writer each.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.log import Log
from ringback.store.matching import cursor
from ringback.store.meta import get_meta, set_meta
from ringback.store.operations.run_locks import sweep
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.store.upkeep.blanking import OPEN_RUNS, blank_action, blank_events, blank_runs
from ringback.store.upkeep.log_retention import first_since

STEP = 1000
OPEN_ACTIONS = ("planned", "deferred", "sending", "unknown", "parked")
_BODIES = "blanked_to"
_LATER = "blanked_later"
"""The actions before that point (ids) that were open when they were passed."""
_BLANKING = "id, uid, event_uid, state, kind, params"


class Retention:
    """How the journal lets go of what is older than it is to be kept, a step at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retire(self, before: str, limit: int = STEP) -> int:
        """Delete events that came before that moment, with their runs, actions, attempts and
        answers, then contacts who have been silent since; how many, 0 when none are left.

        Those stay of which a run or an action has not come to its end. Consents and strikes stay as
        well.
        """
        found = await self._database.write(_retire, before, limit)
        return found or await self._database.write(_retire_contacts, before, limit)

    async def blank(self, before: str, limit: int = STEP) -> int:
        """Blank what was said in actions planned before that moment, in the answers to calls, in
        runs, events and contacts; how many it looked at, 0 when none are left. What still waits, or
        wants a person, keeps its text."""
        steps = (_blank, blank_runs, blank_events)
        return max([await self._database.write(step, before, limit) for step in steps])


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
    connection.execute("delete from text_counts where minute < ?", (before[:16],))
    connection.execute("delete from spend_counts where span < ?", (before[:16],))
    connection.execute("delete from pending_texts where began_at < ?", (before,))
    sweep(connection, before)
    return len(uids)


def _retire_contacts(connection: Connection, before: str, limit: int) -> int:
    """Of whom an event or an action is kept stays."""
    return connection.execute(
        "delete from contacts where conversation in (select conversation from contacts c "
        "where first_at < ? and coalesce(last_inbound_at, '') < ? "
        "and coalesce(last_outbound_at, '') < ? "
        "and not exists (select 1 from events e where e.conversation = c.conversation) "
        "and not exists (select 1 from actions a where a.conversation = c.conversation) limit ?)",
        (before, before, before, limit),
    ).rowcount


def forget_events(connection: Connection, uids: Sequence[str]) -> None:
    """Delete these events and everything that hangs on them."""
    for start in range(0, len(uids), 500):
        chunk = list(uids[start : start + 500])
        marks = ",".join("?" * len(chunk))
        for statement in (
            f"delete from wakes where event_uid in ({marks}) or run_uid in "
            f"(select uid from runs where event_uid in ({marks}))",
            f"delete from turns where event_uid in ({marks}) or run_uid in "
            f"(select uid from runs where event_uid in ({marks}))",
            f"delete from timers where event_uid in ({marks})",
            "delete from portions where run_uid in "
            f"(select uid from runs where event_uid in ({marks}))",
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
        f"select {_BLANKING} from actions where id > ? and planned_at < ? order by id limit ?",
        (done, before, limit),
    ).fetchall()
    if not rows:
        return _blank_later(connection)
    waiting = [row[0] for row in rows if row[3] in OPEN_ACTIONS]
    for row in rows:
        if row[3] not in OPEN_ACTIONS:
            _blank_ended(connection, *row)
    if waiting:
        later = json.loads(get_meta(connection, _LATER, "[]"))
        set_meta(connection, _LATER, json.dumps([*later, *waiting]))
    set_meta(connection, _BODIES, str(rows[-1][0]))
    return len(rows)


def _blank_ended(
    connection: Connection, _id: int, uid: str, event_uid: str, _state: str, kind: str, params: str
) -> None:
    blank_action(connection, uid, kind, json.loads(params))
    runs = "select uid from runs where event_uid = ?"
    connection.execute(
        "delete from answers where event_uid = ? or event_uid in "
        f"(select event_uid from turns where run_uid in ({runs}))",
        (event_uid, event_uid),
    )
    connection.execute(f"update turns set question = '' where run_uid in ({runs})", (event_uid,))


def _blank_later(connection: Connection) -> int:
    """Actions that waited, or wanted a person, when their time came, and have ended since."""
    later: list[int] = json.loads(get_meta(connection, _LATER, "[]"))
    left: list[int] = []
    done = 0
    for start in range(0, len(later), 500):
        chunk = later[start : start + 500]
        rows = connection.execute(
            f"select {_BLANKING} from actions where id in ({','.join('?' * len(chunk))})", chunk
        ).fetchall()
        for row in rows:
            if row[3] in OPEN_ACTIONS:
                left.append(row[0])
            else:
                _blank_ended(connection, *row)
                done += 1
    if left != later:
        set_meta(connection, _LATER, json.dumps(left))
    return done


async def matched_on_server(log: Log) -> int:
    """`matched_up_to`, where log and journal are tables of one database."""
    return await log.writer.tend(cursor)


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
