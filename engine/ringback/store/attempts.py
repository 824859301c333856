"""How much has left the house? The questions of the budgets, asked when a tally begins."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from ringback.action_kinds import from_params
from ringback.actions import Action
from ringback.outcomes import advance, normal_status, state_for
from ringback.runtime import from_iso, iso
from ringback.store.consents import note
from ringback.twilio.consent import OPTED_OUT


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action as the journal holds it."""

    uid: str
    run_uid: str
    event_uid: str
    rule: str
    kind: str
    effect: str
    params: str
    policy: str
    state: str
    reason: str
    remote_sid: str
    outcome: str
    planned_at: str
    due_at: str | None
    send_by: str | None
    tries: int
    collision_key: str
    conversation: str
    depth: int

    @property
    def action(self) -> Action:
        """The wish itself."""
        return read_action(self.kind, self.params, self.policy)


@lru_cache(4096)
def read_action(kind: str, params: str, policy: str) -> Action:
    """Read once for all who look at an action on its way: the gate, the rates, the request."""
    return from_params(kind, json.loads(params), policy)


COLUMNS = ", ".join(StoredAction.__slots__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one attempt came to.

    `result` is the attempt's class (`accepted`, `rejected`, `unknown`, `not_sent`, `throttled`…),
    `state` the action's next state with its reason; `due_at` says when to look at it again.
    """

    result: str
    state: str
    reason: str
    http_status: int = 0
    twilio_code: int = 0
    request_id: str = ""
    detail: str = ""
    remote_sid: str = ""
    status: str = ""
    due_at: str | None = None
    spent: bool = True


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that has not been closed."""

    uid: str
    action_uid: str
    tag: str
    started_at: str
    boot: str


def get_action(connection: sqlite3.Connection, uid: str) -> StoredAction | None:
    """One action by its uid."""
    row = connection.execute(f"select {COLUMNS} from actions where uid = ?", (uid,)).fetchone()
    return StoredAction(*row) if row else None


def sendable(
    connection: sqlite3.Connection, now: str, limit: int, *, far: str = "9"
) -> list[StoredAction]:
    """Actions that may be tried now, oldest first. What is to be tried again later than `far` was
    put off before the clock was set back, and may be tried too."""
    rows = connection.execute(
        f"select {COLUMNS} from actions where state = 'planned' "
        "and (due_at is null or due_at <= ? or due_at > ?) order by id limit ?",
        (now, far, limit),
    ).fetchall()
    rows += connection.execute(
        f"select {COLUMNS} from actions where state = 'deferred' and due_at <= ? "
        "order by due_at limit ?",
        (now, limit),
    ).fetchall()
    return [StoredAction(*row) for row in rows[:limit]]


def due_unknown(
    connection: sqlite3.Connection, now: str, limit: int, *, far: str = "9"
) -> list[StoredAction]:
    """Actions whose fate is unknown and should be looked into now. What is due later than `far` was
    put off before the clock was set back."""
    rows = connection.execute(
        f"select {COLUMNS} from actions where state = 'unknown' and (due_at <= ? or due_at > ?) "
        "order by due_at limit ?",
        (now, far, limit),
    )
    return [StoredAction(*row) for row in rows]


def next_due_send(connection: sqlite3.Connection, after: str) -> str | None:
    """When the next delayed or deferred action may be tried, of those that could not be before."""
    row = connection.execute(
        "select min(due_at) from actions where state in ('planned', 'deferred') and due_at > ?",
        (after,),
    ).fetchone()
    return str(row[0]) if row and row[0] else None


def next_due_unknown(connection: sqlite3.Connection) -> str | None:
    """When the next unknown action wants to be looked into."""
    row = connection.execute(
        "select min(due_at) from actions where state = 'unknown' and due_at is not null"
    ).fetchone()
    return str(row[0]) if row and row[0] else None


def open_attempt(
    connection: sqlite3.Connection,
    action: StoredAction,
    *,
    attempt_uid: str,
    tag: str,
    now: str,
    boot: str,
) -> str:
    """Commit to one request before a byte of it leaves. Returns "" when it may go out.

    Otherwise says why not: somebody decided about the action meanwhile, or another attempt with the
    same sender, recipient and text is under way or unsettled (the two would steal each other's
    evidence).
    """
    try:
        changed = connection.execute(
            "update actions set state = 'sending', reason = 'the request is under way', "
            "due_at = null, tries = tries + 1 where uid = ? and state in ('planned', 'deferred')",
            (action.uid,),
        ).rowcount
    except sqlite3.IntegrityError:
        return "collision"
    if not changed:
        return "decided"
    connection.execute(
        "insert into attempts (uid, action_uid, n, tag, started_at, boot) values "
        "(?, ?, (select count(*) + 1 from attempts where action_uid = ?), ?, ?, ?)",
        (attempt_uid, action.uid, action.uid, tag, now, boot),
    )
    return ""


def close_attempt(
    connection: sqlite3.Connection,
    action: StoredAction,
    attempt_uid: str,
    verdict: Verdict,
    now: str,
) -> str:
    """Write what the request came to, and return the action's state after it.

    A status callback may have moved the action already: what it proved stands, and a good answer
    only adds to it.
    """
    connection.execute(
        "update attempts set ended_at = ?, result = ?, http_status = ?, twilio_code = ?, "
        "request_id = ?, detail = ? where uid = ?",
        (
            now, verdict.result, verdict.http_status, verdict.twilio_code, verdict.request_id,
            verdict.detail, attempt_uid,
        ),
    )  # fmt: skip
    if verdict.twilio_code == OPTED_OUT:
        sender, _, recipient = action.conversation.partition("/")
        note(connection, sender, recipient, "out", f"error {OPTED_OUT}", now, action.event_uid)
    row = connection.execute(
        "select state, outcome, remote_sid from actions where uid = ?", (action.uid,)
    ).fetchone()
    state, outcome, remote_sid = row
    proven = state != "sending"
    if proven and verdict.result != "accepted":
        return str(state)
    if verdict.result == "accepted":
        outcome = advance(action.effect, outcome, normal_status(verdict.status))
        # Callbacks without a tag (of a Messaging Service, say) may have come before the SID.
        for (status,) in connection.execute(
            "select status from events where subject_sid = ? and subject_sid <> ''",
            (verdict.remote_sid,),
        ):
            outcome = advance(action.effect, outcome, normal_status(status))
        moved = verdict.state
        if action.effect:
            moved = state_for(action.effect, outcome)
        if proven:
            connection.execute(
                "update actions set outcome = ?, state = ?, "
                "remote_sid = case when remote_sid = '' then ? else remote_sid end where uid = ?",
                (outcome, moved, verdict.remote_sid, action.uid),
            )
            return moved
        state = moved
    else:
        state = verdict.state
    settled = now if state in ("settled", "failed", "refused", "cancelled") else None
    try:
        _write(connection, action, verdict, state, outcome, remote_sid, settled)
    except sqlite3.IntegrityError:
        if not verdict.remote_sid:
            raise
        # Another action holds this SID: the answer cannot be ours.
        clash = Verdict("unknown", "unknown", f"{verdict.remote_sid} belongs to another action")
        _write(connection, action, clash, "unknown", outcome, remote_sid, None)
        return "unknown"
    if verdict.result == "accepted" and action.effect == "message" and action.conversation:
        connection.execute(
            "insert into contacts (conversation, first_at, last_outbound_at, outbound) "
            "values (?, ?, ?, 1) on conflict (conversation) do update set "
            "last_outbound_at = excluded.last_outbound_at, outbound = outbound + 1",
            (action.conversation, now, now),
        )
    return str(state)


def _write(
    connection: sqlite3.Connection,
    action: StoredAction,
    verdict: Verdict,
    state: str,
    outcome: str,
    remote_sid: str,
    settled: str | None,
) -> None:
    connection.execute(
        "update actions set state = ?, reason = ?, outcome = ?, remote_sid = ?, error_code = ?, "
        "due_at = ?, settled_at = ?, tries = tries - ? where uid = ?",
        (
            state, verdict.reason, outcome, verdict.remote_sid or remote_sid, verdict.twilio_code,
            verdict.due_at, settled, 0 if verdict.spent else 1, action.uid,
        ),
    )  # fmt: skip


def decide(
    connection: sqlite3.Connection,
    uid: str,
    *,
    expected: tuple[str, ...],
    state: str,
    reason: str,
    now: str,
    due_at: str | None = None,
    send_by: str | None = None,
) -> bool:
    """Move an action to another state without a request; False when in no `expected` one.

    `send_by`, when it is given, is a new time until which it is wanted.
    """
    marks = ",".join("?" * len(expected))
    settled = now if state in ("settled", "failed", "refused", "cancelled", "captured") else None
    return bool(
        connection.execute(
            f"update actions set state = ?, reason = ?, due_at = ?, settled_at = ?, "
            f"send_by = coalesce(?, send_by) where uid = ? and state in ({marks})",
            (state, reason, due_at, settled, send_by, uid, *expected),
        ).rowcount
    )


def abandoned(connection: sqlite3.Connection, boot: str) -> list[OpenAttempt]:
    """Attempts that another life of the worker opened and never closed."""
    rows = connection.execute(
        "select uid, action_uid, tag, started_at, boot from attempts "
        "where ended_at is null and boot <> ?",
        (boot,),
    )
    return [OpenAttempt(*row) for row in rows]


def recover(connection: sqlite3.Connection, boot: str, now: str, settle_at: str) -> int:
    """After a restart: every request that was under way becomes unknown, never planned again."""
    found = abandoned(connection, boot)
    for attempt in found:
        connection.execute(
            "update attempts set ended_at = ?, result = 'unknown', "
            "detail = 'the worker ended while the request was under way' where uid = ?",
            (now, attempt.uid),
        )
        connection.execute(
            "update actions set state = 'unknown', "
            "due_at = case policy when 'natural' then ? else ? end, "
            "reason = 'the worker ended while the request was under way' "
            "where uid = ? and state = 'sending'",
            (now, settle_at, attempt.action_uid),
        )
    return len(found)


def sent_in_all(connection: sqlite3.Connection, since: str) -> list[str]:
    """When anything was tried since then, oldest first."""
    rows = connection.execute(
        "select t.started_at from attempts t where t.started_at >= ? order by t.id", (since,)
    )
    return [row[0] for row in rows]


def left_since(
    connection: sqlite3.Connection, since: str, before: str
) -> Iterator[tuple[str, Action]]:
    """The rule and the wish of each message and call that left in this span, or may have: once
    for each request that Twilio took, or of which nobody knows."""
    # Only the end of the table is read: no clock is set back by more than a day, as a rule.
    early = iso(from_iso(since) - timedelta(days=1))
    rows = connection.execute(
        "select a.rule, a.kind, a.params, a.policy from attempts t "
        "join actions a on a.uid = t.action_uid where t.id > coalesce((select id from attempts "
        "where started_at < ? order by id desc limit 1), 0) "
        "and t.started_at >= ? and t.started_at < ? "
        "and t.result in ('', 'accepted', 'unknown') and a.effect <> ''",
        (early, since, before),
    )
    for rule, kind, params, policy in rows:
        yield rule, read_action(kind, params, policy)
