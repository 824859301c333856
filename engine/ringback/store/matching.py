"""What is written when events are matched: cursor, events, runs, outcomes, all at once."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection, Row

from ringback.events import Event
from ringback.outcomes import advance, normal_status, rank, state_for
from ringback.runtime import iso
from ringback.store import evidence
from ringback.store.consents import learn
from ringback.store.meta import get_meta, set_meta

CURSOR = "cursor"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that matching decided on. `state` is `pending`, or `waiting` with a `due_at`."""

    uid: str
    event_uid: str
    rule: str
    rule_rev: str
    key: str
    priority: int
    started_at: str
    state: str = "pending"
    reason: str = ""
    due_at: str | None = None
    memory: str | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    """One event with the verdict of every rule that looked at it, the runs that it starts,
    those that it cancels (uid and reason), and those that it wakes."""

    event: Event
    log_id: int | None
    verdicts: str
    runs: tuple[NewRun, ...] = ()
    cancels: tuple[tuple[str, str], ...] = ()
    wakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """An action whose state a status callback changed."""

    uid: str
    kind: str
    rule: str
    event_uid: str
    conversation: str
    state: str
    outcome: str
    error_code: int
    remote_sid: str
    depth: int
    reason: str


@dataclass(slots=True)
class Recorded:
    """What came of a batch: the actions that it moved."""

    moved: list[Moved] = field(default_factory=list)


def cursor(connection: Connection) -> int:
    """The id of the last log row that has been matched."""
    return int(get_meta(connection, CURSOR, "0"))


def depths(connection: Connection, tags: Sequence[str]) -> dict[str, int]:
    """How deep in a chain of our own doing the actions behind these attempt tags stand."""
    found: dict[str, int] = {}
    for start in range(0, len(tags), 500):
        chunk = tags[start : start + 500]
        marks = ",".join("?" * len(chunk))
        found.update(
            connection.execute(
                "select t.tag, a.depth from attempts t join actions a on a.uid = t.action_uid "
                f"where t.tag in ({marks})",
                chunk,
            )
        )
    return found


def last_firing(connection: Connection, rule: str, key: str) -> tuple[str, str] | None:
    """When this rule last fired for this key (by the event's time), and in which run."""
    row = connection.execute(
        "select e.received_at, r.uid from runs r join events e on e.uid = r.event_uid "
        "where r.rule = ? and r.key = ? and r.state <> 'skipped' order by r.id desc limit 1",
        (rule, key),
    ).fetchone()
    return (row[0], row[1]) if row else None


def under_way(connection: Connection, rule: str, key: str) -> list[str]:
    """The runs of a rule for a key that have not ended, oldest first."""
    rows = connection.execute(
        "select uid from runs where rule = ? and key = ? "
        "and state in ('pending', 'running', 'waiting') order by id",
        (rule, key),
    )
    return [row[0] for row in rows]


def collecting(connection: Connection, rule: str, key: str) -> str:
    """The newest run of a rule for a key that has not done collecting; empty when there is none."""
    row = connection.execute(
        "select uid from runs where rule = ? and key = ? "
        "and state in ('pending', 'running', 'waiting') "
        "and (memory is null or json_extract(memory, '$.phase') = 'collect') "
        "order by id desc limit 1",
        (rule, key),
    ).fetchone()
    return str(row[0]) if row else ""


def record(connection: Connection, batch: Sequence[Matched], new_cursor: int | None) -> Recorded:
    """Write a batch of events with their runs, fold the statuses in it, move the cursor.

    Events are inserted once by `dedupe_key`; the caller has dropped those that are known.
    """
    connection.executemany(
        "insert into events (log_id, uid, type, at, received_at, trust, source, account_sid, "
        "subject_sid, sender, recipient, conversation, status, error_code, tag, verdicts, "
        "dedupe_key, depth, fields) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        [_row(item) for item in batch],
    )
    recorded = Recorded()
    for item in batch:
        recorded.moved.extend(_believe(connection, item.event))
    insert_runs(connection, [run for item in batch for run in item.runs])
    for item in batch:
        _touch(connection, item)
    if new_cursor is not None:
        set_meta(connection, CURSOR, str(new_cursor))
    return recorded


def _believe(connection: Connection, event: Event) -> list[Moved]:
    """Let an event change what we know of contacts, consent and outcomes. A mere claim does not."""
    if event.trust == "claimed" or event.source in ("internal", "replay"):
        return []
    learn(connection, event)
    if event.type != "message.received":
        return fold(connection, event)
    _heard_from(connection, event)
    return []


def prove(connection: Connection, item: Matched) -> Recorded:
    """A claimed event has been confirmed: believe it, and start what it starts."""
    connection.execute(
        "update events set trust = ?, verdicts = ? where uid = ?",
        (item.event.trust, item.verdicts, item.event.uid),
    )
    insert_runs(connection, item.runs)
    _touch(connection, item)
    return Recorded(_believe(connection, item.event))


def doubt(connection: Connection, event_uid: str, why: str) -> None:
    """A claimed event was not confirmed: say why beside its verdicts."""
    connection.execute(
        "update events set verdicts = json_set(coalesce(verdicts, '{}'), '$.proof', ?) "
        "where uid = ? and trust = 'claimed'",
        (why, event_uid),
    )


def ran(connection: Connection, event_uid: str) -> set[str]:
    """The rules that have a run for this event."""
    rows = connection.execute("select rule from runs where event_uid = ?", (event_uid,))
    return {row[0] for row in rows}


def claimed_twin(connection: Connection, dedupe_key: str) -> str | None:
    """The event of this identity, when all that is known of it is a claim."""
    row = connection.execute(
        "select uid from events where dedupe_key = ? and trust = 'claimed'", (dedupe_key,)
    ).fetchone()
    return str(row[0]) if row else None


def insert_runs(connection: Connection, runs: Iterable[NewRun]) -> None:
    """Write runs that are about to start or to wait."""
    connection.executemany(
        "insert into runs (uid, event_uid, rule, rule_rev, key, priority, started_at, state, "
        "reason, due_at, memory) values (?,?,?,?,?,?,?,?,?,?,?)",
        [
            (
                run.uid, run.event_uid, run.rule, run.rule_rev, run.key, run.priority,
                run.started_at, run.state, run.reason, run.due_at, run.memory,
            )
            for run in runs
        ],
    )  # fmt: skip


def settle_verdicts(connection: Connection, item: Matched) -> None:
    """Write the verdicts and runs of an event that was recorded before it was matched."""
    connection.execute(
        "update events set verdicts = ? where uid = ?", (item.verdicts, item.event.uid)
    )
    insert_runs(connection, item.runs)
    _touch(connection, item)


def _touch(connection: Connection, item: Matched) -> None:
    for uid in item.wakes:
        connection.execute(
            "insert into wakes (run_uid, event_uid) values (?, ?) on conflict do nothing",
            (uid, item.event.uid),
        )
    for uid, reason in item.cancels:
        connection.execute(
            "update runs set state = 'cancelled', reason = ?, ended_at = ?, due_at = null "
            "where uid = ? and state in ('pending', 'running', 'waiting')",
            (reason, iso(item.event.received_at), uid),
        )


def fold(connection: Connection, event: Event) -> list[Moved]:
    """Let a status callback advance the outcome of the action that caused it.

    The action is found by the tag in the callback's path, else by the SID. A tag that arrives
    before the API's own answer claims the SID for its action: it is the proof that the request
    was carried out.
    """
    effect = event.type.partition(".")[0]
    status = normal_status(event.status)
    if not event.subject_sid or not rank(effect, status):
        return []
    row = _action_behind(connection, event)
    if row is None or row["effect"] != effect:
        return []
    outcome = advance(effect, row["outcome"], status)
    state = state_for(effect, outcome)
    claimed = _proven(connection, event, row)
    if outcome == row["outcome"] and claimed == row["remote_sid"] and state == row["state"]:
        return []
    error_code = event.error_code if outcome == status else row["error_code"]
    reason = f"{status} reported by Twilio"
    if error_code:
        reason += f", error {error_code}"
    if row["state"] in ("unknown", "parked"):
        reason += "; the status callback proves that the request was carried out"
    connection.execute(
        "update actions set outcome = ?, error_code = ?, state = ?, reason = ?, remote_sid = ?, "
        "settled_at = coalesce(settled_at, ?), due_at = null where uid = ?",
        (
            outcome, error_code, state, reason, claimed,
            None if state == "accepted" else iso(event.received_at), row["uid"],
        ),
    )  # fmt: skip
    return [
        Moved(
            uid=row["uid"], kind=row["kind"], rule=row["rule"], event_uid=row["event_uid"],
            conversation=row["conversation"], state=state, outcome=outcome,
            error_code=error_code, remote_sid=claimed, depth=row["depth"], reason=reason,
        )
    ]  # fmt: skip


def _proven(connection: Connection, event: Event, row: Row) -> str:
    """The SID that the action has, after a callback that may carry its tag. A tag is proof, a claim
    from the list was the best guess at its time."""
    held, told = str(row["remote_sid"]), event.subject_sid
    if held == told or not event.tag:
        return held or told
    if held and evidence.made_before(connection, row["uid"], event.tag):
        uid = event.uid.replace("evt", "inc", 1)
        evidence.made_twice(connection, row["uid"], (held, told), uid, event.received_at)
        return held
    evidence.give_back(connection, told, row["uid"])
    return told


def _action_behind(connection: Connection, event: Event) -> Row | None:
    columns = (
        "a.uid, a.kind, a.effect, a.rule, a.event_uid, a.conversation, a.outcome, a.error_code, "
        "a.state, a.remote_sid, a.depth"
    )
    found = None
    query = connection.cursor()
    query.row_factory = Row
    if event.tag:
        found = query.execute(
            f"select {columns} from attempts t join actions a on a.uid = t.action_uid "
            "where t.tag = ?",
            (event.tag,),
        ).fetchone()
    if found is None:
        found = query.execute(
            f"select {columns} from actions a where a.remote_sid = ? and a.remote_sid <> '' "
            "and a.effect <> ''",
            (event.subject_sid,),
        ).fetchone()
    return found if isinstance(found, Row) else None


def _row(item: Matched) -> tuple[object, ...]:
    event = item.event
    return (
        item.log_id, event.uid, event.type, iso(event.at), iso(event.received_at), event.trust,
        event.source, event.account_sid, event.subject_sid, event.sender, event.recipient,
        event.conversation, event.status, event.error_code, event.tag, item.verdicts,
        event.dedupe_key, event.depth,
        None if item.log_id is not None else json.dumps(dict(event.fields)),
    )  # fmt: skip


def _heard_from(connection: Connection, event: Event) -> None:
    moment = iso(event.at)
    connection.execute(
        "insert into contacts (conversation, first_at, last_inbound_at, inbound) "
        "values (?, ?, ?, 1) on conflict (conversation) do update set "
        "last_inbound_at = max(coalesce(last_inbound_at, ''), excluded.last_inbound_at), "
        "inbound = inbound + 1",
        (event.conversation, moment, moment),
    )
