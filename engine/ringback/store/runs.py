"""What is written when a run takes a step: its state and its actions, all at once."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ringback.action_kinds import kind_of
from ringback.actions import Action, Remember, to_params
from ringback.store.attempts import StoredAction
from ringback.store.facts import remember


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the journal holds it. `memory` is where a waiting run goes on from."""

    uid: str
    event_uid: str
    rule: str
    rule_rev: str
    key: str
    state: str
    priority: int
    due_at: str | None
    started_at: str
    memory: str | None


@dataclass(frozen=True, slots=True)
class NewAction:
    """An action about to be written. `state` is `planned`, `captured`, `settled`, `refused`…"""

    uid: str
    run_uid: str
    event_uid: str
    rule: str
    ordinal: int
    action: Action
    state: str
    reason: str
    planned_at: str
    conversation: str
    collision_key: str
    depth: int
    settled_at: str | None = None
    due_at: str | None = None
    send_by: str | None = None

    def stored(self) -> StoredAction:
        """The same action as it stands in the journal once it is written."""
        return StoredAction(
            uid=self.uid, run_uid=self.run_uid, event_uid=self.event_uid, rule=self.rule,
            kind=self.action.kind, effect=kind_of(self.action).effect,
            params=json.dumps(to_params(self.action), ensure_ascii=False),
            policy=self.action.policy, state="planned", reason=self.reason, remote_sid="",
            outcome="", planned_at=self.planned_at, due_at=self.due_at, send_by=self.send_by,
            tries=0, collision_key=self.collision_key, conversation=self.conversation,
            depth=self.depth,
        )  # fmt: skip


_COLUMNS = "uid, event_uid, rule, rule_rev, key, state, priority, due_at, started_at, memory"


def open_runs(connection: sqlite3.Connection, state: str, limit: int) -> list[StoredRun]:
    """Runs in this state, oldest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from runs where state = ? order by id limit ?", (state, limit)
    )
    return [StoredRun(*row) for row in rows]


def due_runs(connection: sqlite3.Connection, now: str, limit: int) -> list[StoredRun]:
    """Waiting runs whose time has come."""
    rows = connection.execute(
        f"select {_COLUMNS} from runs where state = 'waiting' and due_at <= ? "
        "order by due_at limit ?",
        (now, limit),
    )
    return [StoredRun(*row) for row in rows]


def next_due_run(connection: sqlite3.Connection) -> str | None:
    """When the next waiting run is due."""
    row = connection.execute(
        "select min(due_at) from runs where state = 'waiting' and due_at is not null"
    ).fetchone()
    return str(row[0]) if row and row[0] else None


def get_run(connection: sqlite3.Connection, uid: str) -> StoredRun | None:
    """One run by its uid."""
    row = connection.execute(f"select {_COLUMNS} from runs where uid = ?", (uid,)).fetchone()
    return StoredRun(*row) if row else None


def next_wake(connection: sqlite3.Connection, run_uid: str) -> tuple[int, str] | None:
    """The oldest event that a waiting run has yet to take: the row and the event's uid."""
    row = connection.execute(
        "select id, event_uid from wakes where run_uid = ? order by id limit 1", (run_uid,)
    ).fetchone()
    return (row[0], row[1]) if row else None


def woken(connection: sqlite3.Connection) -> list[str]:
    """The runs for which events lie ready."""
    return [row[0] for row in connection.execute("select distinct run_uid from wakes")]


def next_queued(connection: sqlite3.Connection, rule: str, key: str) -> str | None:
    """The run whose turn it is, when nothing else of this rule and key is under way."""
    busy = connection.execute(
        "select 1 from runs where rule = ? and key = ? and (state in ('pending', 'running') "
        "or (state = 'waiting' and memory is not null)) limit 1",
        (rule, key),
    ).fetchone()
    if busy:
        return None
    row = connection.execute(
        "select uid from runs where rule = ? and key = ? and state = 'waiting' and memory is null "
        "order by id limit 1",
        (rule, key),
    ).fetchone()
    return str(row[0]) if row else None


def queues(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The rules and keys of which runs are queued."""
    return connection.execute(
        "select distinct rule, key from runs where state = 'waiting' and memory is null"
    ).fetchall()


def early_message(connection: sqlite3.Connection, conversation: str, after: str) -> str | None:
    """The oldest message on a conversation that was recorded after an event."""
    row = connection.execute(
        "select uid from events where conversation = ? and type = 'message.received' "
        "and id > (select id from events where uid = ?) order by id limit 1",
        (conversation, after),
    ).fetchone()
    return str(row[0]) if row else None


def put_wake(connection: sqlite3.Connection, run_uid: str, event_uid: str) -> None:
    """Lay an event ready for a run that waits."""
    connection.execute(
        "insert into wakes (run_uid, event_uid) values (?, ?) on conflict do nothing",
        (run_uid, event_uid),
    )


def next_ordinal(connection: sqlite3.Connection, event_uid: str, rule: str) -> int:
    """The number of the next action of this rule for this event."""
    row = connection.execute(
        "select coalesce(max(ordinal), -1) + 1 from actions where event_uid = ? and rule = ?",
        (event_uid, rule),
    ).fetchone()
    return int(row[0])


def finish(
    connection: sqlite3.Connection,
    run_uid: str,
    *,
    state: str,
    reason: str,
    now: str,
    actions: Sequence[NewAction] = (),
    due_at: str | None = None,
    memory: str | None = None,
    twiml: str | None = None,
    wake_id: int = 0,
) -> bool:
    """Write where a run has got to, with the actions of this step and the answer to a waiting call.

    False, and nothing is written, when somebody else has ended the run meanwhile.
    """
    ended = None if state in ("pending", "waiting") else now
    changed = connection.execute(
        "update runs set state = ?, reason = ?, ended_at = ?, due_at = ?, memory = ? "
        "where uid = ? and state in ('pending', 'running', 'waiting')",
        (state, reason, ended, due_at, memory, run_uid),
    ).rowcount
    if wake_id:
        connection.execute("delete from wakes where id = ?", (wake_id,))
    if ended is not None:
        connection.execute("delete from wakes where run_uid = ?", (run_uid,))
    if not changed:
        return False
    insert_actions(connection, actions)
    for item in actions:
        if isinstance(item.action, Remember) and item.state == "settled":
            wish = item.action
            remember(connection, wish.conversation, wish.name, wish.value, now)
    if twiml is not None and actions:
        connection.execute(
            "insert into answers (event_uid, twiml, at) values (?, ?, ?) "
            "on conflict (event_uid) do nothing",
            (actions[0].event_uid, twiml, now),
        )
    return True


def reopen_answer(connection: sqlite3.Connection, uid: str) -> None:
    """An answer that came too late for its call: send it as an update of the live call instead."""
    connection.execute(
        "update actions set state = 'planned', settled_at = null, "
        "reason = 'the call had stopped waiting: sent as an update' "
        "where uid = ? and state = 'settled'",
        (uid,),
    )


def insert_actions(connection: sqlite3.Connection, actions: Sequence[NewAction]) -> None:
    """Write planned actions. The same (event, rule, ordinal) is written once."""
    connection.executemany(
        "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, effect, params, "
        "policy, state, reason, planned_at, settled_at, due_at, send_by, collision_key, "
        "conversation, depth) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "on conflict (event_uid, rule, ordinal) do nothing",
        [
            (
                item.uid, item.run_uid, item.event_uid, item.rule, item.ordinal, item.action.kind,
                kind_of(item.action).effect,
                json.dumps(to_params(item.action), ensure_ascii=False), item.action.policy,
                item.state, item.reason, item.planned_at, item.settled_at, item.due_at,
                item.send_by, item.collision_key, item.conversation, item.depth,
            )
            for item in actions
        ],
    )  # fmt: skip


def cancel_runs(connection: sqlite3.Connection, uids: Sequence[str], reason: str, now: str) -> int:
    """End runs that have not ended yet."""
    return sum(
        connection.execute(
            "update runs set state = 'cancelled', reason = ?, ended_at = ?, due_at = null "
            "where uid = ? and state in ('pending', 'running', 'waiting')",
            (reason, now, uid),
        ).rowcount
        for uid in uids
    )


def stored_answer(connection: sqlite3.Connection, event_uid: str) -> str | None:
    """The TwiML that this event's call was given, so that a repeated request gets the same."""
    row = connection.execute(
        "select twiml from answers where event_uid = ?", (event_uid,)
    ).fetchone()
    return str(row[0]) if row else None


def strike(
    connection: sqlite3.Connection, rule: str, plugin: str, reason: str, now: str, limit: int
) -> bool:
    """Note that a rule blocked or killed the worker; True when that puts it into quarantine."""
    connection.execute(
        "insert into strikes (rule, plugin, count, last_at, reason) values (?, ?, 1, ?, ?) "
        "on conflict (rule) do update set count = count + 1, last_at = excluded.last_at, "
        "reason = excluded.reason",
        (rule, plugin, now, reason),
    )
    return bool(
        connection.execute(
            "update strikes set quarantined_at = ? "
            "where rule = ? and count >= ? and quarantined_at is null",
            (now, rule, limit),
        ).rowcount
    )


def note_fault(
    connection: sqlite3.Connection, hook: str, plugin: str, reason: str, now: str, count: int
) -> None:
    """Note that a plugin's hook failed so many times. A hook only watches: it is never put into
    quarantine, it is named."""
    connection.execute(
        "insert into strikes (rule, plugin, count, last_at, reason) values (?, ?, ?, ?, ?) "
        "on conflict (rule) do update set count = count + excluded.count, "
        "last_at = excluded.last_at, reason = excluded.reason",
        (hook, plugin, count, now, reason),
    )


def quarantined(connection: sqlite3.Connection) -> dict[str, str]:
    """The rules that do not run until a person says otherwise, with the reason."""
    rows = connection.execute("select rule, reason from strikes where quarantined_at is not null")
    return {row[0]: row[1] for row in rows}


def release(connection: sqlite3.Connection, rule: str) -> bool:
    """A person says otherwise: forget the strikes of a rule."""
    return bool(connection.execute("delete from strikes where rule = ?", (rule,)).rowcount)
