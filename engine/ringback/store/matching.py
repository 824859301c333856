"""Matching: what is written when events are matched, events, runs, outcomes and cursor at once."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from ringback.events import Event
from ringback.outcomes import normal_status, rank, state_for
from ringback.runtime import iso
from ringback.store import evidence
from ringback.store.connection import Connection, named
from ringback.store.consents import heard_from, learn
from ringback.store.database import Database
from ringback.store.deliveries.ended_texts import count_texts
from ringback.store.events import record_internal
from ringback.store.later_reports import add_reports
from ringback.store.log import LogReader
from ringback.store.meta import FORGOTTEN, IS_OPEN, LAST_TURN, get_meta, in_account, set_meta
from ringback.store.operations.doings import Doing, carry_out
from ringback.store.upkeep.event_counts import add_counts

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


_RUN = (*NewRun.__slots__, "ended_at")
_RUN_ROW = attrgetter(*NewRun.__slots__)
_BEGUN = NewRun.__slots__.index("state")
Over = Mapping[str, tuple[object, ...]]
"""By their uid, what there is to say of runs that are over: from the state on, their columns."""
_INSERT_RUN = f"insert into runs ({', '.join(_RUN)}) values ({', '.join('?' * len(_RUN))})"


@dataclass(frozen=True, slots=True)
class Matched:
    """One event with the verdict of every rule that looked at it, the runs that it starts, cancels
    (uid and reason) and wakes. `displaces` is a mere claim (uid) that had its identity."""

    event: Event
    log_id: int | None
    verdicts: str
    runs: tuple[NewRun, ...] = ()
    cancels: tuple[tuple[str, str], ...] = ()
    wakes: tuple[str, ...] = ()
    displaces: str = ""


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
    """What came of a batch: the actions that it moved, and its runs that are over with it."""

    moved: list[Moved] = field(default_factory=list)
    done: Set[str] = frozenset()


class Matching:
    """What matching writes, each step as one unit: it is what moves the cursor in the log."""

    def __init__(self, database: Database, log: LogReader) -> None:
        self._database = database
        self._log = log

    async def cursors(self) -> tuple[int, int]:
        """The id of the last log row that has been matched, and the one up to which the log at hand
        is the one that was."""
        return await self._database.read(_cursors, self._log)

    async def record(
        self, batch: Sequence[Matched], new_cursor: int | None, later: Sequence[Event] = ()
    ) -> Recorded:
        """Write a batch of events with their runs, fold the statuses in it, move the cursor.

        Events are inserted once by `dedupe_key`; the caller has put those that are known into
        `later`, for what they add.
        """
        return await self._database.write(record, batch, new_cursor, later, self._log)

    async def settle(self, batch: Sequence[Matched]) -> None:
        """Write the verdicts and runs of events that were recorded before they were matched."""
        await self._database.write(_settle, batch)

    async def again(self, run_uid: str, batch: Sequence[Matched]) -> None:
        """Write what becomes of the events that lie ready for a run which does not take them."""
        await self._database.write(_again, run_uid, batch)

    async def replay(self, copy: Matched, doing: Doing | None = None) -> None:
        """Record the copy of an event with its verdicts and runs, and change nothing else again."""
        await self._database.write(carry_out, doing, _replay, copy)

    async def prove(self, item: Matched) -> Recorded:
        """A claimed event has been confirmed: believe it, and start what it starts."""
        return await self._database.write(_prove, item)

    async def doubt(self, event_uid: str, why: str) -> None:
        """A claimed event was not confirmed: say why beside its verdicts."""
        await self._database.write(_doubt, event_uid, why)


def cursor(connection: Connection) -> int:
    """The id of the last log row that has been matched."""
    return int(get_meta(connection, CURSOR, "0"))


def _cursors(connection: Connection, log: LogReader) -> tuple[int, int]:
    """A log that lost its end, or that was begun anew, may have got other rows since under ids that
    were matched. It is the same as far as the events of the journal have the moments of its rows.
    """
    known = cursor(connection)
    end = min(known, log.last_id())
    newest = int(connection.execute("select coalesce(max(id), 0) from events").fetchone()[0])
    same = _same_until(connection, log, newest)
    if same is None:
        low, high, same = 0, newest - 1, 0  # events up to `low` are the log's, none after `high` is
        while low < high:
            middle = (low + high + 1) // 2
            found = _same_until(connection, log, middle)
            if found is None:
                high = middle - 1
            else:
                low, same = middle, found
        end = min(end, same)
    return known, end


def _same_until(connection: Connection, log: LogReader, event_id: int) -> int | None:
    """The row of the log that the last event up to this one was parsed from, 0 when there is no
    such event; None when the log at hand has another row there, or none."""
    found = connection.execute(
        "select log_id, received_at from events where id <= ? and log_id is not null "
        "order by id desc limit 1",
        (event_id,),
    ).fetchone()
    if found is None:
        return 0
    row = log.get(found[0])
    return int(found[0]) if row is not None and row.received_at == found[1] else None


def record(
    connection: Connection,
    batch: Sequence[Matched],
    new_cursor: int | None,
    later: Sequence[Event],
    log: LogReader,
    over: Over = MappingProxyType({}),
) -> Recorded:
    """`Matching.record`, within a unit of work."""
    for item in batch:
        if item.displaces:
            _displace(connection, item.displaces)
            _doubt(connection, item.displaces, f"{item.event.uid} is proven and says otherwise")
    connection.executemany(
        "insert into events (log_id, uid, type, at, received_at, trust, source, account_sid, "
        "subject_sid, sender, recipient, conversation, status, error_code, tag, verdicts, "
        "dedupe_key, depth, fields) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        [_row(item) for item in batch],
    )
    events = [item.event for item in batch]
    add_counts(connection, events)
    ours = evidence.ours(connection, events)
    recorded = Recorded([moved for each in events for moved in _believe(connection, each, ours)])
    count_texts(connection, events)
    insert_runs(connection, [run for item in batch for run in item.runs], over)
    for item in batch:
        _touch(connection, item)
    for proof in add_reports(connection, log, later):
        recorded.moved.extend(fold(connection, proof))
    if new_cursor is not None:
        set_meta(connection, CURSOR, str(new_cursor))
    return recorded


def _believe(connection: Connection, event: Event, ours: Set[str] | None = None) -> list[Moved]:
    """Let an event change what we know of contacts, consent and outcomes. A mere claim does not.
    `ours` are the tags and SIDs of actions of ours, when that is known."""
    if event.trust == "claimed" or event.source in ("internal", "replay"):
        return []
    learn(connection, event)
    if event.type == "message.received":
        heard_from(connection, event)
    elif ours is None or event.tag in ours or event.subject_sid in ours:
        return fold(connection, event)
    return []


def _prove(connection: Connection, item: Matched) -> Recorded:
    uid = item.event.uid
    (stored,) = connection.execute("select dedupe_key from events where uid = ?", (uid,)).fetchone()
    key = stored.partition("~")[0]
    if key != stored:
        for (other,) in connection.execute(
            "select uid from events where dedupe_key = ? and trust = 'claimed'", (key,)
        ).fetchall():
            _displace(connection, other)
    connection.execute(
        "update events set trust = ?, verdicts = ?, dedupe_key = ? where uid = ?",
        (item.event.trust, item.verdicts, key, uid),
    )
    insert_runs(connection, item.runs)
    _touch(connection, item)
    moved = _believe(connection, item.event)
    count_texts(connection, [item.event], anew=True)
    return Recorded(moved)


def _displace(connection: Connection, uid: str) -> None:
    """Let a claim stand under an identity of its own: another event has the one that it names."""
    connection.execute(
        "update events set dedupe_key = substr(dedupe_key, 1, instr(dedupe_key || '~', '~') - 1) "
        "|| '~' || uid where uid = ?",
        (uid,),
    )


def _doubt(connection: Connection, event_uid: str, why: str) -> None:
    connection.execute(
        "update events set verdicts = json_set(coalesce(verdicts, '{}'), '$.proof', ?) "
        "where uid = ? and trust = 'claimed'",
        (why, event_uid),
    )


def insert_runs(
    connection: Connection, runs: Iterable[NewRun], over: Over = MappingProxyType({})
) -> None:
    """Write runs that are about to start or to wait, or are over already."""
    rows = [
        (*row[:_BEGUN], *over[row[0]]) if row[0] in over else (*row, None)
        for row in map(_RUN_ROW, runs)
    ]
    if rows:
        connection.executemany(_INSERT_RUN, rows)


def _settle(connection: Connection, batch: Sequence[Matched]) -> None:
    for item in batch:
        connection.execute(
            "update events set verdicts = ? where uid = ?", (item.verdicts, item.event.uid)
        )
        insert_runs(connection, item.runs)
        _touch(connection, item)


def _again(connection: Connection, run_uid: str, batch: Sequence[Matched]) -> None:
    connection.execute("delete from wakes where run_uid = ?", (run_uid,))
    _settle(connection, batch)


def _replay(connection: Connection, copy: Matched) -> None:
    record_internal(connection, copy.event)
    _settle(connection, [copy])


def _touch(connection: Connection, item: Matched) -> None:
    for uid in item.wakes:
        wake(connection, uid, item.event.uid)
    for uid, reason in item.cancels:
        at = iso(item.event.received_at)
        connection.execute(LAST_TURN, {"event": item.event.uid, "at": at, "run": uid})
        connection.execute(
            "update runs set state = 'cancelled', reason = ?, ended_at = ?, due_at = null, "
            f"memory = {FORGOTTEN} where uid = ? and {IS_OPEN}",
            (reason, iso(item.event.received_at), uid),
        )
        connection.execute("delete from wakes where run_uid = ?", (uid,))
        connection.execute("delete from portions where run_uid = ?", (uid,))


def wake(connection: Connection, run_uid: str, event_uid: str) -> None:
    """Lay an event ready for a run, unless the run has ended meanwhile."""
    connection.execute(
        "insert into wakes (run_uid, event_uid) select uid, ? from runs where uid = ? "
        f"and {IS_OPEN} on conflict do nothing",
        (event_uid, run_uid),
    )


def fold(connection: Connection, event: Event) -> list[Moved]:
    """Let a status callback advance the outcome of the action that caused it.

    The action is found by the tag in the callback's path, else by the SID in its account. A tag
    that arrives before the API's own answer claims the SID for its action: it is the proof that the
    request was carried out.
    """
    effect, status = event.type.partition(".")[0], normal_status(event.status)
    if not event.subject_sid or not rank(effect, status):
        return []
    row = _action_behind(connection, event)
    if row is None or row["effect"] != effect:
        return []
    held, claimed = row["remote_sid"], _proven(connection, event, row)
    outcome, error_code = evidence.folded(connection, event, row, claimed)
    state = state_for(effect, outcome)
    if outcome == row["outcome"] and claimed == held and state == row["state"]:
        return []
    reason = f"{outcome} reported by Twilio" + (f", error {error_code}" if error_code else "")
    if row["state"] in ("unknown", "parked"):
        reason += "; the status callback proves that the request was carried out"
    connection.execute(
        "update actions set outcome = ?, error_code = ?, state = ?, reason = ?, remote_sid = ?, "
        "settled_at = coalesce(settled_at, ?), due_at = null where uid = ?",
        (outcome, error_code, state, reason, claimed,
         None if state == "accepted" else iso(event.received_at), row["uid"]),
    )  # fmt: skip
    return [
        Moved(
            uid=row["uid"], kind=row["kind"], rule=row["rule"], event_uid=row["event_uid"],
            conversation=row["conversation"], state=state, outcome=outcome,
            error_code=error_code, remote_sid=claimed, depth=row["depth"], reason=reason,
        )
    ]  # fmt: skip


def _proven(connection: Connection, event: Event, row: dict[str, Any]) -> str:
    """The SID that the action has, after a callback that may carry its tag. A tag is proof, a claim
    from the list was the best guess at its time."""
    held, reported = str(row["remote_sid"]), event.subject_sid
    if held == reported or not event.tag:
        return held or reported
    if held and evidence.made_before(connection, row["uid"], event.tag):
        uid = event.uid.replace("evt", "inc", 1)
        evidence.made_twice(connection, row["uid"], (held, reported), uid, event.received_at)
        return held
    evidence.give_back(connection, reported, row["uid"])
    return reported


def _action_behind(connection: Connection, event: Event) -> dict[str, Any] | None:
    columns = (
        "a.uid, a.kind, a.effect, a.rule, a.event_uid, a.conversation, a.outcome, a.error_code, "
        "a.state, a.remote_sid, a.depth, a.account_sid"
    )
    found = None
    if event.tag:
        by_tag = "attempts t join actions a on a.uid = t.action_uid where t.tag = ?"
        found = named(connection.execute(f"select {columns} from {by_tag}", (event.tag,)))
    if found is None:
        by_sid = "actions a where a.remote_sid = ? and a.remote_sid <> '' and a.effect <> ''"
        found = named(connection.execute(f"select {columns} from {by_sid}", (event.subject_sid,)))
        if found is not None and not in_account(
            connection, event.account_sid, found["account_sid"]
        ):
            return None
    return found


def _row(item: Matched) -> tuple[object, ...]:
    event = item.event
    received_at = iso(event.received_at)
    at = received_at if event.at is event.received_at else iso(event.at)
    return (
        item.log_id, event.uid, event.type, at, received_at, event.trust,
        event.source, event.account_sid, event.subject_sid, event.sender, event.recipient,
        event.conversation, event.status, event.error_code, event.tag, item.verdicts,
        event.dedupe_key, event.depth,
        None if item.log_id is not None else json.dumps(dict(event.fields)),
    )  # fmt: skip
