"""What is read and written while the fate of a send is looked into."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from ringback.outcomes import advance, normal_status, state_for
from ringback.store.attempts import StoredAction
from ringback.store.incidents import open_incident

DOUBTFUL = ("unknown", "parked")
"""The states of an action that may have been carried out."""


def progress(connection: sqlite3.Connection, action_uid: str) -> tuple[int, int, str]:
    """How often the list was looked at since the last attempt, how often it was sent again, and
    when the last attempt started."""
    polls, resends = connection.execute(
        "select polls, resends from actions where uid = ?", (action_uid,)
    ).fetchone()
    row = connection.execute(
        "select started_at from attempts where action_uid = ? order by id desc limit 1",
        (action_uid,),
    ).fetchone()
    return polls, resends, str(row[0]) if row else ""


def claimed(connection: sqlite3.Connection, sids: Sequence[str]) -> set[str]:
    """Which of these records belong to an action already."""
    marks = ",".join("?" * len(sids))
    rows = connection.execute(
        f"select remote_sid from actions where remote_sid in ({marks}) and remote_sid <> ''",
        list(sids),
    )
    return {row[0] for row in rows}


def claim(
    connection: sqlite3.Connection,
    action: StoredAction,
    sid: str,
    status: str,
    reason: str,
    now: str,
    states: Sequence[str] = DOUBTFUL,
) -> str:
    """The record was found: the request was carried out. Returns the action's state, empty when
    somebody else decided meanwhile (it is in none of `states`) or the record was claimed."""
    outcome = advance(action.effect, action.outcome, normal_status(status))
    state = state_for(action.effect, outcome)
    try:
        changed = connection.execute(
            "update actions set state = ?, outcome = ?, remote_sid = ?, reason = ?, due_at = null, "
            f"settled_at = ? where uid = ? and state in ({','.join('?' * len(states))})",
            (state, outcome, sid, reason, None if state == "accepted" else now, action.uid,
             *states),
        ).rowcount  # fmt: skip
    except sqlite3.IntegrityError:
        return ""
    if not changed:
        return ""
    connection.execute(
        "update attempts set result = 'accepted', detail = detail || '; ' || ? where id = "
        "(select max(id) from attempts where action_uid = ? and result = 'unknown')",
        (reason, action.uid),
    )
    return state


def holder(connection: sqlite3.Connection, sid: str) -> str:
    """The action that a record belongs to, empty when nobody has claimed it."""
    row = connection.execute(
        "select uid from actions where remote_sid = ? and effect <> ''",
        (sid,),
    ).fetchone()
    return str(row[0]) if row else ""


def own(
    connection: sqlite3.Connection, action: StoredAction, sid: str, reason: str, now: str
) -> str:
    """Somebody knows the record that a doubtful action made. Statuses of it that came in before are
    folded. Returns as `claim` does."""
    outcome, error_code = "", 0
    for status, code in connection.execute(
        "select status, error_code from events where subject_sid = ? order by id", (sid,)
    ):
        moved = advance(action.effect, outcome, normal_status(status))
        if moved != outcome:
            outcome, error_code = moved, code
    state = claim(connection, action, sid, outcome, reason, now)
    if state and error_code:
        connection.execute(
            "update actions set error_code = ? where uid = ?", (error_code, action.uid)
        )
    return state


def postpone(
    connection: sqlite3.Connection, action_uid: str, due_at: str, reason: str, *, looked: bool
) -> None:
    """Look again later. `looked` says whether the list was really read."""
    connection.execute(
        "update actions set due_at = ?, reason = ?, polls = polls + ? "
        "where uid = ? and state = 'unknown'",
        (due_at, reason, int(looked), action_uid),
    )


def send_again(connection: sqlite3.Connection, action_uid: str, reason: str) -> bool:
    """The record is absent within the bound: the action may be sent once more."""
    return bool(
        connection.execute(
            "update actions set state = 'planned', reason = ?, due_at = null, polls = 0, "
            "resends = resends + 1 where uid = ? and state = 'unknown'",
            (reason, action_uid),
        ).rowcount
    )


def park(connection: sqlite3.Connection, action_uid: str, reason: str) -> bool:
    """Nothing proves what happened and nothing more may be tried: a person decides."""
    return bool(
        connection.execute(
            "update actions set state = 'parked', reason = ?, due_at = null "
            "where uid = ? and state = 'unknown'",
            (reason, action_uid),
        ).rowcount
    )


def give_back(connection: sqlite3.Connection, sid: str, owner_uid: str) -> None:
    """A tag proves whose record this is. Whoever took it from the list is in doubt again."""
    connection.execute(
        "update actions set state = 'parked', outcome = '', remote_sid = '', settled_at = null, "
        "reason = 'the record that it claimed belongs to another action; a person decides' "
        "where remote_sid = ? and uid <> ? and effect <> ''",
        (sid, owner_uid),
    )


def made_before(connection: sqlite3.Connection, action_uid: str, tag: str) -> bool:
    """Whether another attempt of this action than the one with this tag was carried out too."""
    row = connection.execute(
        "select 1 from attempts where action_uid = ? and tag <> ? and result = 'accepted' limit 1",
        (action_uid, tag),
    ).fetchone()
    return row is not None


def made_twice(
    connection: sqlite3.Connection, action_uid: str, sids: tuple[str, str], uid: str, now: datetime
) -> None:
    """Twilio made an action twice, later than the settle time allows for: a person shall know.
    `uid` is that of the incident."""
    text = f"action {action_uid} was carried out twice: {sids[0]} and {sids[1]}"
    open_incident(connection, uid, f"duplicate:{action_uid}", "duplicate", text, now)
