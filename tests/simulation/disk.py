"""Journal of a simulated worker: a real database and its real writer, on a disk with drawn faults.

A commit takes a while, several writes share one, and between a commit and the news of it other
things happen, and so may death. Each change of an action is noted by a trigger, so that nothing
that an action ever was can hide from the checker.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple, Protocol

from ringback.errors import StorageError
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.writer import GroupWriter
from simulation.faults import Faults
from simulation.loop import VirtualLoop

Work = Callable[[Any], Any]


class Move(NamedTuple):
    """One change of an action: its state and outcome before and after, and the reason. Or, with the
    kind `heard`, the identity of a text that is on record now, how it came, and who wrote it."""

    uid: str
    kind: str
    old: str
    new: str
    was: str
    outcome: str
    reason: str


class Simulated(Database, Protocol):
    """A database whose faults are drawn, as a life of the worker sees it."""

    faults: Faults
    dead: bool


class Drawn:
    """What makes a real database commit in its own time. Once `dead`, nothing reaches it any more.

    It stands in front of the class of the database, which has its writer.
    """

    faults: Faults
    dead: bool
    _writer: GroupWriter[Work, Any]

    def draw(
        self,
        notes: Sequence[str],
        watch: Connection,
        *,
        loop: VirtualLoop,
        rng: Random,
        faults: Faults,
        on_commit: Callable[[list[Move]], None],
    ) -> None:
        """Begin. `notes` make the table and the triggers by which changes are noted; over `watch`
        they are read, as soon as they are committed."""
        self.dead = False
        self._noted_in = watch
        self._loop = loop
        self._rng = rng
        self.faults = faults
        self._on_commit = on_commit
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._busy = False
        self._writer.push(partial(_take_notes, notes), lambda _: None)
        self._noted = self._last_note()

    def _submit(self, work: Work) -> "asyncio.Future[Any]":
        if self.dead:
            raise asyncio.CancelledError
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((work, future))
        if not self._busy:
            self._busy = True
            self._start()
        return future

    def _start(self) -> None:
        rng = self._rng
        if rng.random() < self.faults.disk_slow:
            self._loop.call_later(rng.uniform(0.5, 8.0), self._commit)
        elif rng.random() < 0.3:
            self._loop.call_later(rng.uniform(0.0005, 0.02), self._commit)
        else:
            self._loop.call_soon(self._commit)

    def _commit(self) -> None:
        batch, self._waiting = self._waiting, []
        results: list[Any] = []
        refused: StorageError | None = None
        if self._rng.random() < self.faults.disk_refuses:
            refused = StorageError("the disk is full")
        else:
            for work, _ in batch:
                self._writer.push(work, results.append)
            if self._rng.random() < self.faults.disk_unsure:
                refused = StorageError("the disk does not answer")
        moves = self._moves()
        self._loop.call_soon(partial(self._answer, batch, refused, results))
        self._on_commit(moves)

    def _answer(
        self,
        batch: list[tuple[Work, asyncio.Future[Any]]],
        refused: StorageError | None,
        results: list[Any],
    ) -> None:
        for index, (_, future) in enumerate(batch):
            if future.done():
                continue
            result = refused or results[index]
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        self._busy = bool(self._waiting)
        if self._busy:
            self._start()

    def _moves(self) -> list[Move]:
        rows = self._noted_in.execute(
            "select id, uid, kind, old, new, was, outcome, reason from sim_moves where id > ? "
            "order by id",
            (self._noted,),
        ).fetchall()
        if rows:
            self._noted = rows[-1][0]
        return [Move(*row[1:]) for row in rows]

    def _last_note(self) -> int:
        found = self._noted_in.execute("select coalesce(max(id), 0) from sim_moves").fetchone()
        return int(found[0])


def _take_notes(notes: Sequence[str], connection: Connection) -> None:
    for statement in notes:
        connection.execute(statement)
