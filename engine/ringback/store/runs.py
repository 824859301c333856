"""Runs: what rules do with events, step by step, each step written with its actions at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ringback.events import Event
from ringback.store.actions import NewAction, StoredAction, insert_actions, next_ordinal
from ringback.store.attempts import Opening, open_attempt
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.log import LogReader
from ringback.store.matching import Matched, NewRun, Recorded, insert_runs, record, wake
from ringback.store.meta import FORGOTTEN, IS_OPEN, Revision, note_rules
from ringback.store.operations.cards import note
from ringback.store.operations.doings import Doing, carry_out
from ringback.store.operations.list_turns import note_turns
from ringback.store.operations.rule_strikes import note_fault, release, strike


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


RUN_COLUMNS = "uid, event_uid, rule, rule_rev, key, state, priority, due_at, started_at, memory"


@dataclass(frozen=True, slots=True)
class RunStep:
    """Where a run has got to: its state with the reason, the actions of this step, the answer to a
    call that waits, and the row of the event that woke it. `memory` and `due_at` are of a wait.
    `question` is what it had asked, when the event was what it waited for, else None.

    `turns` are those of lists that the run has taken.

    `portion` is the one of a long answer that these actions are. With an empty `state` more of them
    follow, and the run stays where it is.
    """

    run_uid: str
    state: str
    reason: str
    actions: Sequence[NewAction] = ()
    due_at: str | None = None
    memory: str | None = None
    twiml: str | None = None
    wake_id: int = 0
    question: str | None = None
    portion: int = 0
    turns: Mapping[str, int] = field(default_factory=dict)


class Runs:
    """The runs of the journal, the events that lie ready for them, the answers that they gave to
    calls, and the strikes of their rules."""

    def __init__(self, database: Database, log: LogReader) -> None:
        self._database = database
        self._log = log

    async def get(self, uid: str) -> StoredRun | None:
        """One run by its uid."""
        row = await self._database.one(f"select {RUN_COLUMNS} from runs where uid = ?", (uid,))
        return StoredRun(*row) if row else None

    async def due(self, now: str, limit: int) -> list[StoredRun]:
        """Waiting runs whose time has come."""
        rows = await self._database.all(
            f"select {RUN_COLUMNS} from runs where {IS_OPEN} and state = 'waiting' and due_at <= ? "
            "order by due_at, id limit ?",
            (now, limit),
        )
        return [StoredRun(*row) for row in rows]

    async def next_due(self, after: str = "") -> str | None:
        """When the next waiting run is due, of those that were not by that moment."""
        row = await self._database.one(
            f"select min(due_at) from runs where {IS_OPEN} and state = 'waiting' and due_at > ?",
            (after,),
        )
        return str(row[0]) if row and row[0] else None

    async def next_wake(self, run_uid: str) -> tuple[int, str] | None:
        """The oldest event that a waiting run has yet to take: the row and the event's uid."""
        row = await self._database.one(
            "select id, event_uid from wakes where run_uid = ? order by id limit 1", (run_uid,)
        )
        return (row[0], row[1]) if row else None

    async def next_queued(self, rule: str, key: str) -> str | None:
        """The run whose turn it is, when nothing else of this rule and key is under way."""
        return await self._database.read(_next_queued, rule, key)

    async def at_work(self, before: str, now: str) -> bool:
        """Whether a run of before that moment, or one whose wait is over, has not come to its
        actions yet."""
        row = await self._database.one(
            f"select 1 from runs where {IS_OPEN} and ((state <> 'waiting' and started_at < ?) "
            "or (state = 'waiting' and due_at <= ?)) limit 1",
            (before, now),
        )
        return row is not None

    async def note(self, uids: Sequence[str], reason: str, due_at: str | None) -> None:
        """Say of runs that have not ended what they wait for, and until when."""
        await self._database.write(_note, uids, reason, due_at)

    async def wake(self, run_uid: str, event_uid: str) -> None:
        """Lay an event ready for a run that waits."""
        await self._database.write(wake, run_uid, event_uid)

    async def finish(self, step: RunStep, now: str) -> bool:
        """Write where a run has got to, with the actions of this step and the answer to a waiting
        call. False, and nothing is written, when somebody else has ended the run meanwhile."""
        return await self._database.write(_finish, step, now)

    async def finish_and_open(
        self, step: RunStep, leaving: Sequence[tuple[StoredAction, Opening]], now: str
    ) -> list[str] | None:
        """`finish`, and in the same unit of work an attempt for each of these of its actions: what
        `Attempts.open` answers to each. None where `finish` says False."""
        return await self._database.write(_finish_and_open, step, leaving, now)

    async def record_done_with(
        self, batch: Sequence[Matched], cursor: int, later: Sequence[Event],
        steps: Sequence[RunStep], leaving: Sequence[tuple[StoredAction, Opening]], now: str,
    ) -> tuple[Recorded, list[str]]:  # fmt: skip
        """`Matching.record`, and in the same unit of work the actions of those runs of the batch
        that are over with it, and an attempt for each of these, as `finish_and_open` does."""
        return await self._database.write(
            _record_done_with, self._log, batch, cursor, later, steps, leaving, now
        )

    async def note_rules(self, revisions: Sequence[Revision], now: str) -> None:
        """Keep what these rules say from now on, where it is something new."""
        await self._database.write(note_rules, revisions, now)

    async def keep(self, run_uid: str, bodies: Sequence[str]) -> bool:
        """Keep a long answer, whose actions are written in portions: the first body says how the
        run goes on behind them, each other one is a portion. False, and nothing is kept, when
        somebody else has ended the run meanwhile."""
        return await self._database.write(_keep, run_uid, bodies)

    async def kept(self) -> list[str]:
        """The runs of whose answers portions are left to be written."""
        rows = await self._database.all("select distinct run_uid from portions")
        return [row[0] for row in rows]

    async def portion(self, run_uid: str, after: int) -> tuple[int, str, bool] | None:
        """The next portion of a kept answer: its number, its body, and whether it is the last one.
        The one behind -1 says how the run goes on. None when none is left."""
        rows = await self._database.all(
            "select n, body from portions where run_uid = ? and n > ? order by n limit 2",
            (run_uid, after),
        )
        return (rows[0][0], rows[0][1], len(rows) == 1) if rows else None

    async def record_done(self, run: NewRun, actions: Sequence[NewAction], now: str) -> None:
        """Write a run that began and ended in one go, with its actions. For one that is written
        already, more actions."""
        await self._database.write(record_done, run, actions, now)

    async def cancel(
        self, uids: Sequence[str], reason: str, now: str, doing: Doing | None = None
    ) -> int:
        """End runs that have not ended yet, perhaps as somebody's doing; how many those were."""
        return await self._database.write(carry_out, doing, _cancel, uids, reason, now)

    async def hurry(
        self, uid: str, now: str, doing: Doing | None = None, *, until: str = ""
    ) -> bool:
        """Let the time come that a run waits for, now or `until` then. False when it waits for
        none."""
        return await self._database.write(carry_out, doing, _hurry, uid, now, until or now)

    async def answer(self, event_uid: str) -> str | None:
        """The TwiML that this event's call was given, so that a repeated request gets the same."""
        row = await self._database.one(
            "select twiml from answers where event_uid = ?", (event_uid,)
        )
        return str(row[0]) if row else None

    async def answer_to_step(self, call_sid: str, nonce: str) -> str | None:
        """The TwiML that the last request for this step of a call was given."""
        row = await self._database.one(
            "select a.twiml from events e join answers a on a.event_uid = e.uid "
            "where e.subject_sid = ? and e.tag = ? order by e.id desc limit 1",
            (call_sid, nonce),
        )
        return str(row[0]) if row else None

    async def strike(self, rule: str, plugin: str, reason: str, now: str, limit: int) -> bool:
        """Note that a rule blocked, or ended its process; True when that puts it into quarantine,
        which is at `limit` strikes."""
        return await self._database.write(strike, rule, plugin, reason, now, limit)

    async def note_fault(self, hook: str, plugin: str, reason: str, now: str, count: int) -> None:
        """Note that a plugin's hook failed so many times. A hook only watches: it is never put into
        quarantine, it is named."""
        await self._database.write(note_fault, hook, plugin, reason, now, count)

    async def quarantined(self) -> dict[str, str]:
        """The rules that do not run until a person says otherwise, with the reason."""
        rows = await self._database.all(
            "select rule, reason from strikes where quarantined_at is not null order by rule"
        )
        return {row[0]: row[1] for row in rows}

    async def release(self, rule: str, doing: Doing | None = None) -> bool:
        """A person says otherwise: forget the strikes of a rule. False when it had none."""
        return await self._database.write(carry_out, doing, release, rule)


def _next_queued(connection: Connection, rule: str, key: str) -> str | None:
    busy = connection.execute(
        f"select 1 from runs where rule = ? and key = ? and {IS_OPEN} "
        "and (state <> 'waiting' or memory is not null) limit 1",
        (rule, key),
    ).fetchone()
    if busy:
        return None
    row = connection.execute(
        f"select uid from runs where rule = ? and key = ? and {IS_OPEN} and state = 'waiting' "
        "and memory is null order by id limit 1",
        (rule, key),
    ).fetchone()
    return str(row[0]) if row else None


def _note(connection: Connection, uids: Sequence[str], reason: str, due_at: str | None) -> None:
    connection.executemany(
        f"update runs set reason = ?, due_at = ? where uid = ? and {IS_OPEN}",
        [(reason, due_at, uid) for uid in uids],
    )


_TURN = """
insert into turns (run_uid, event_uid, question, ordinal, at)
select r.uid, w.event_uid, ?, (
    select coalesce(max(a.ordinal), -1) + 1 from actions a
    where a.event_uid = r.event_uid and a.rule = r.rule
), ? from wakes w join runs r on r.uid = w.run_uid where w.id = ?
"""
"""What comes of the event are the actions from that ordinal on, up to the next turn of the run."""


_FINISH = f"""
update runs set state = ?, reason = ?, ended_at = ?, due_at = ?, memory = ?
where uid = ? and {IS_OPEN} returning
exists (select 1 from portions where run_uid = runs.uid)
or exists (select 1 from wakes where run_uid = runs.uid)
"""
"""Nothing when somebody has ended the run, else whether anything lies ready for it or is kept."""


def _finish(connection: Connection, step: RunStep, now: str) -> bool:
    if step.portion and not step.state:
        return _go_on(connection, step, now)
    ended = None if step.state in ("pending", "waiting") else now
    changed = connection.execute(
        _FINISH, (step.state, step.reason, ended, step.due_at, step.memory, step.run_uid)
    ).fetchone()
    if changed != (0,):
        connection.execute("delete from portions where run_uid = ?", (step.run_uid,))
    elif not step.wake_id:  # the usual case: a run of one step, with nothing beside it
        _write(connection, step, now)
        return True
    _note_turn(connection, step, now)
    heard = _heard(connection, step)
    if step.wake_id:
        connection.execute("delete from wakes where id = ?", (step.wake_id,))
    if ended is not None:
        connection.execute("delete from wakes where run_uid = ?", (step.run_uid,))
    if not changed:
        return False
    _write(connection, step, now, heard)
    return True


def _finish_and_open(
    connection: Connection,
    step: RunStep,
    leaving: Sequence[tuple[StoredAction, Opening]],
    now: str,
) -> list[str] | None:
    if not _finish(connection, step, now):
        return None
    return [open_attempt(connection, action, opening) for action, opening in leaving]


def _record_done_with(
    connection: Connection,
    log: LogReader,
    batch: Sequence[Matched],
    cursor: int,
    later: Sequence[Event],
    steps: Sequence[RunStep],
    leaving: Sequence[tuple[StoredAction, Opening]],
    now: str,
) -> tuple[Recorded, list[str]]:
    over = {step.run_uid: (step.state, step.reason, None, None, now) for step in steps}
    recorded = record(connection, batch, cursor, later, log, over)
    for step in steps:
        _write(connection, step, now)
    return recorded, [open_attempt(connection, action, opening) for action, opening in leaving]


def _note_turn(connection: Connection, step: RunStep, now: str) -> None:
    if step.wake_id and step.question is not None:
        connection.execute(_TURN, (step.question, now, step.wake_id))


def _go_on(connection: Connection, step: RunStep, now: str) -> bool:
    """One portion is planned, and more of them follow; unless the run was ended meanwhile, and with
    it what was kept."""
    taken = connection.execute(
        "delete from portions where run_uid = ? and n = ?", (step.run_uid, step.portion)
    ).rowcount
    if taken:
        _note_turn(connection, step, now)
        _write(connection, step, now, _heard(connection, step))
    return bool(taken)


def _heard(connection: Connection, step: RunStep) -> str:
    """The event that has woken the run for this step; empty for none."""
    query = "select event_uid from wakes where id = ?"
    row = connection.execute(query, (step.wake_id,)).fetchone() if step.wake_id else None
    return str(row[0]) if row else ""


def _write(connection: Connection, step: RunStep, now: str, heard: str = "") -> None:
    insert_actions(connection, step.actions)
    note_turns(connection, step.turns)
    for item in step.actions:
        if item.state == "settled":
            note(connection, item.uid, item.action, item.rule, now)
    if step.twiml is not None and step.actions:
        connection.execute(
            "insert into answers (event_uid, twiml, at) values (?, ?, ?) "
            "on conflict (event_uid) do nothing",
            (heard or step.actions[0].event_uid, step.twiml, now),
        )


def _keep(connection: Connection, run_uid: str, bodies: Sequence[str]) -> bool:
    kept = connection.executemany(
        "insert into portions (run_uid, n, body) select uid, ?, ? from runs "
        f"where uid = ? and {IS_OPEN}",
        [(n, body, run_uid) for n, body in enumerate(bodies)],
    )
    return kept.rowcount > 0


def record_done(c: Connection, run: NewRun, actions: Sequence[NewAction], now: str) -> None:
    """`Runs.record_done`, within a unit of work."""
    first = next_ordinal(c, run.event_uid, run.rule)
    numbered = [replace(item, ordinal=first + index) for index, item in enumerate(actions)]
    step = RunStep(run.uid, "done", "", numbered)
    if c.execute("select 1 from runs where uid = ?", (run.uid,)).fetchone():
        _write(c, step, now)
        return
    insert_runs(c, [run])
    _finish(c, step, now)


def _hurry(connection: Connection, uid: str, now: str, until: str) -> bool:
    return bool(
        connection.execute(
            f"update runs set due_at = ? where uid = ? and {IS_OPEN} and state = 'waiting' "
            "and memory is not null and due_at > ?",
            (until, uid, now),
        ).rowcount
    )


def _cancel(connection: Connection, uids: Sequence[str], reason: str, now: str) -> int:
    for table in ("wakes", "portions"):
        connection.executemany(f"delete from {table} where run_uid = ?", [(uid,) for uid in uids])
    return connection.executemany(
        "update runs set state = 'cancelled', reason = ?, ended_at = ?, due_at = null, "
        f"memory = {FORGOTTEN} where uid = ? and {IS_OPEN}",
        [(reason, now, uid) for uid in uids],
    ).rowcount
