"""Broadcasts: one text to all of a group, as a bulk whose things are its members, each once.

A broadcast begins in the transaction that writes its action. Its members are those of that moment;
they are listed in batches, then each gets an action of its own, whose id follows from the broadcast
and the number: what a crash has left undone is done by the next worker, and nothing twice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ringback.events import Event, telephone
from ringback.runtime import ulid_from
from ringback.store.actions import NewAction
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.events import record_internal
from ringback.store.matching import NewRun
from ringback.store.operations.broadcast_start import (
    ENDED,
    LISTING,
    OP,
    cause,
    depth_of,
    event_of,
    named,
)
from ringback.store.operations.doings import Doing, carry_out
from ringback.store.runs import record_done

RUNNING, STOPPING = "running", "stopping"
OPEN = (LISTING, RUNNING, STOPPING)
COUNTED: Mapping[str, str] = {
    "accepted": "done", "settled": "done", "refused": "refused", "failed": "failed",
    "parked": "failed", "cancelled": "skipped", "": "skipped",
}  # fmt: skip
"""As what a member counts whose action is in this state (empty: it was erased). In every other one
it is under way; `later` are those that quiet hours put off."""


@dataclass(frozen=True, slots=True)
class Under:
    """A broadcast that is under way."""

    id: int
    uid: str
    wanted: Mapping[str, Any]
    until_id: int
    state: str
    total: int
    done: int
    refused: int
    failed: int

    @property
    def event_uid(self) -> str:
        """The event that its texts hang on."""
        return named("evt", self.uid)

    @property
    def run_uid(self) -> str:
        """The run that its texts are of."""
        return named("run", self.uid)

    @property
    def group(self) -> str:
        """The name of the group."""
        return str(self.wanted["to"]).removeprefix("groups.")

    @property
    def words(self) -> str:
        """The result, or how far it is."""
        said = f"sent {self.done}, refused {self.refused}, failed {self.failed}"
        left = self.total - self.done - self.refused - self.failed
        if self.state in OPEN:
            return f"{said}, {left} to go"
        return f"{said}, left {left}" if left else said


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a broadcast: their place in it, the id of their text, their address, the state
    of the text."""

    n: int
    action: str
    address: str
    state: str = ""


class Broadcasts:
    """The broadcasts of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self, event: Event, run: NewRun, action: NewAction, now: str, doing: Doing | None = None
    ) -> None:
        """Begin one that no rule has asked for, as somebody's doing, with its event and run."""
        await self._database.write(carry_out, doing, _start, event, run, action, now)

    async def open(self) -> list[Under]:
        """Those that are under way, the oldest first."""
        return await self._database.read(_open)

    async def list_members(
        self, under: Under, given: Sequence[tuple[str, str]] | None, size: int
    ) -> None:
        """List the next members: those of the journal, or `given` ones in the order of their
        numbers, each with the address. When there are no more, its texts begin."""
        await self._database.write(_list, under, given, size)

    async def members(self, under: Under, state: str, after: int, limit: int) -> list[Member]:
        """Members in a state (empty: they have no text yet; `open`, `later`) behind a place, each
        with the state of the text."""
        rows = await self._database.all(
            "select i.n, i.uid, i.was, coalesce(a.state, '') from bulk_items i "
            "left join actions a on a.uid = i.uid "
            "where i.bulk = ? and i.state = ? and i.n > ? order by i.n limit ?",
            (under.id, state, after, limit),
        )
        return [Member(*row) for row in rows]

    async def write(
        self, under: Under, run: NewRun, texts: Sequence[tuple[Member, NewAction]], now: str
    ) -> bool:
        """Write the texts of members; False when it was stopped meanwhile."""
        return await self._database.write(_write, under, run, texts, now)

    async def count(self, under: Under, ended: Sequence[tuple[int, str, str]]) -> None:
        """Note what became of members, by their places: `done`, `refused`, `failed`, `skipped`, or
        `later`; and why."""
        await self._database.write(_count, under, ended)

    async def end(self, under: Under, uid: str, now: str) -> None:
        """It is over: record its event, under this id, for whoever waits for it."""
        await self._database.write(_end, under, uid, now)


_COLUMNS = "id, uid, wanted, until_id, state, total, done, refused, failed"


def _open(connection: Connection) -> list[Under]:
    rows = connection.execute(
        f"select {_COLUMNS} from bulks where state in (?, ?, ?) and op = ? order by id",
        (*OPEN, OP),
    ).fetchall()
    return [_under(row) for row in rows]


def _under(row: Sequence[Any]) -> Under:
    return Under(row[0], row[1], json.loads(row[2]), *row[3:])


def _start(connection: Connection, event: Event, run: NewRun, action: NewAction, now: str) -> None:
    record_internal(connection, event)
    record_done(connection, run, [action], now)


def _now(connection: Connection, under: Under) -> Under:
    """How it stands in this unit of work."""
    found = connection.execute(f"select {_COLUMNS} from bulks where id = ?", (under.id,))
    return _under(found.fetchone())


def _list(
    connection: Connection, under: Under, given: Sequence[tuple[str, str]] | None, size: int
) -> None:
    last = connection.execute(
        "select n, was from bulk_items where bulk = ? order by n desc limit 1", (under.id,)
    ).fetchone()
    n, after = (last[0], telephone(last[1])) if last else (0, "")
    if given is None:
        rows = connection.execute(
            "select number, address from group_members where name = ? and number > ? and id <= ? "
            "order by number limit ?",
            (under.group, after, under.until_id, size),
        ).fetchall()
    else:
        rows = list(islice((row for row in given if row[0] > after), size))
    connection.executemany(
        "insert into bulk_items (bulk, n, uid, was) values (?, ?, ?, ?)",
        [
            (under.id, place, f"act_{ulid_from(f'{under.uid} {number}')}", address)
            for place, (number, address) in enumerate(rows, n + 1)
        ],
    )
    connection.execute(
        "update bulks set total = total + ?, "
        "state = case when ? <> 0 and state = ? then ? else state end where id = ?",
        (len(rows), len(rows) < size, LISTING, RUNNING, under.id),
    )


def _write(
    connection: Connection,
    under: Under,
    run: NewRun,
    texts: Sequence[tuple[Member, NewAction]],
    now: str,
) -> bool:
    if _now(connection, under).state != RUNNING:
        return False
    record_done(connection, run, [action for _, action in texts], now)
    connection.executemany(
        "update bulk_items set state = 'open', was = '' where bulk = ? and n = ? and state = ''",
        [(under.id, member.n) for member, _ in texts],
    )
    return True


def _count(connection: Connection, under: Under, ended: Sequence[tuple[int, str, str]]) -> None:
    connection.executemany(
        "update bulk_items set state = ?, reason = ?, was = '' where bulk = ? and n = ?",
        [(state, reason, under.id, n) for n, state, reason in ended],
    )
    counts = [sum(state == each for _, state, _ in ended) for each in ("done", "refused", "failed")]
    connection.execute(
        "update bulks set done = done + ?, refused = refused + ?, failed = failed + ? where id = ?",
        (*counts, under.id),
    )
    _tell(connection, _now(connection, under))


def _tell(connection: Connection, under: Under) -> None:
    """Let the action say how far its broadcast is."""
    connection.execute(
        "update actions set reason = ? where uid = ?", (under.words, under.wanted["action"])
    )


def _end(connection: Connection, under: Under, uid: str, now: str) -> None:
    stopped = under.state == STOPPING
    connection.execute(
        "update bulks set state = ?, ended_at = ?, skipped = total - done - refused - failed "
        "where id = ?",
        ("stopped" if stopped else "done", now, under.id),
    )
    connection.execute("update bulk_items set was = '' where bulk = ? and was <> ''", (under.id,))
    over = _now(connection, under)
    _tell(connection, over)
    fields = {
        **cause(connection, under.wanted["action"]), "Body": over.words, "Sent": str(over.done),
        "Refused": str(over.refused), "Failed": str(over.failed), "Group": under.group,
        "State": over.state,
    }  # fmt: skip
    depth = depth_of(connection, under.wanted["action"])
    record_internal(connection, event_of(ENDED, under.uid, uid, fields, depth, now))
