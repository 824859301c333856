"""Escalations of incidents: the next step of each, when it is due, and the notices of the last."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ringback.store.actions import NewAction
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.incidents import OPEN, acknowledge
from ringback.store.matching import NewRun
from ringback.store.runs import record_done

_COLUMNS = (
    "uid, key, kind, state, text, opened_at, acked_at, policy, step, coalesce(step_due, ''), told"
)
_LOST = ("failed", "refused", "cancelled")


@dataclass(frozen=True, slots=True)
class Told:
    """One channel that was told of an incident: when, by which step (counted over all rounds) and
    by which action, and when it was told of the end (empty: not yet)."""

    at: str
    step: int
    channel: str
    action: str
    end: str = ""


@dataclass(frozen=True, slots=True)
class Escalation:
    """An incident with its policy, the number of the step that is next, when it is due (ISO; empty:
    nothing is), and who was told."""

    uid: str
    key: str
    kind: str
    state: str
    text: str
    opened_at: str
    acked_at: str | None
    policy: str
    step: int
    due: str
    told: tuple[Told, ...]

    def to(self, channels: Collection[str]) -> bool:
        """Whether one of these channels was told."""
        return any(each.channel in channels for each in self.told)


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of an escalation: its policy, the next step and when that is due (None: nothing
    follows), and all that was told."""

    policy: str
    step: int
    due: str | None
    told: Sequence[Told]


class Escalations:
    """The escalations of the journal, one for each incident."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: str) -> list[Escalation]:
        """Those whose next step is due."""
        rows = await self._database.all(
            f"select {_COLUMNS} from incidents where step_due <= ? order by id", (now,)
        )
        return [_escalation(row) for row in rows]

    async def next_due(self) -> str | None:
        """When the next step is due."""
        row = await self._database.one(
            "select min(step_due) from incidents where step_due is not null"
        )
        return str(row[0]) if row and row[0] else None

    async def move(
        self, before: Escalation, move: Move, run: NewRun | None, actions: Sequence[NewAction],
        now: str,
    ) -> bool:  # fmt: skip
        """Write one step with its notices. False, and nothing is written, when the incident is not
        as it was before: somebody knows of it, it is over, or the step was taken."""
        return await self._database.write(_move, before, move, run, actions, now)

    async def lost(self, waiting: Sequence[Escalation]) -> list[str]:
        """The incidents (uid) whose last step reached nobody: none of its notices went out."""
        return await self._database.read(_lost, waiting)

    async def waiting(self) -> list[Escalation]:
        """The open ones that wait for an answer to a step."""
        rows = await self._database.all(
            f"select {_COLUMNS} from {OPEN} and step_due is not null and step > 0 order by id"
        )
        return [_escalation(row) for row in rows]

    async def hasten(self, uids: Iterable[str], now: str) -> None:
        """The next step of these is due now."""
        await self._database.write(_hasten, tuple(uids), now)

    async def known(self, run: NewRun, reply: NewAction, uid: str, by: str, now: str) -> None:
        """Somebody has answered that they know of an incident (empty: of one that is over, or that
        was known): it is noted with the text that says so."""
        await self._database.write(_known, run, reply, uid, by, now)

    async def unanswered(self, verdict: str, rule: str, limit: int) -> list[str]:
        """Of the last received texts those (uid, oldest first) with this verdict that nothing of
        this rule followed."""
        rows = await self._database.all(
            "select e.uid, e.id from (select uid, id, verdicts from events "
            "where type = 'message.received' order by id desc limit ?) e where e.verdicts = ? "
            "and not exists (select 1 from actions a where a.event_uid = e.uid and a.rule = ?) "
            "order by e.id",
            (limit, verdict, rule),
        )
        return [row[0] for row in rows]

    async def told_to(self, channels: Collection[str]) -> list[Escalation]:
        """The open ones that one of these channels was told of, the newest first."""
        return await self._database.read(told_to, channels)


def told_to(connection: Connection, channels: Collection[str]) -> list[Escalation]:
    """`Escalations.told_to`, over a connection."""
    rows = connection.execute(f"select {_COLUMNS} from {OPEN} and told <> '[]' order by id desc")
    return [found for found in map(_escalation, rows) if found.to(channels)]


def _escalation(row: Iterable[Any]) -> Escalation:
    *plain, told = row
    return Escalation(*plain, tuple(Told(**each) for each in json.loads(str(told))))  # type: ignore[call-arg]


def _move(
    connection: Connection, before: Escalation, move: Move, run: NewRun | None,
    actions: Sequence[NewAction], now: str,
) -> bool:  # fmt: skip
    told = json.dumps([asdict(each) for each in move.told])
    moved = connection.execute(
        "update incidents set policy = ?, step = ?, step_due = ?, told = ? "
        "where uid = ? and state = ? and step = ? and step_due = ?",
        (move.policy, move.step, move.due, told, before.uid, before.state, before.step, before.due),
    ).rowcount
    if moved and run is not None:
        record_done(connection, run, actions, now)
    return bool(moved)


def _lost(connection: Connection, waiting: Sequence[Escalation]) -> list[str]:
    found = []
    for each in waiting:
        last = [told.action for told in each.told if told.step == each.step - 1]
        states = connection.execute(
            f"select state from actions where uid in ({','.join('?' * len(last))})", last
        ).fetchall()
        if states and all(state in _LOST for (state,) in states):
            found.append(each.uid)
    return found


def _hasten(connection: Connection, uids: Sequence[str], now: str) -> None:
    connection.executemany(
        "update incidents set step_due = ? where uid = ? and state = 'open' and step_due > ?",
        [(now, uid, now) for uid in uids],
    )


def _known(
    connection: Connection, run: NewRun, reply: NewAction, uid: str, by: str, now: str
) -> None:
    if uid:
        acknowledge(connection, uid, by, now)
    record_done(connection, run, [reply], now)
