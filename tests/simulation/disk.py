"""Journal of a simulated worker: the real file and the real writer, on a disk with drawn faults.

A commit takes a while, several writes share one, and between a commit and the news of it other
things happen, and so may death. Each change of an action is noted by a trigger, so that nothing
that an action ever was can hide from the checker.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from ringback.errors import StorageError
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from simulation.faults import Faults
from simulation.loop import VirtualLoop

Work = Callable[[Any], Any]

_NOTES = (
    "create table if not exists sim_moves (id integer primary key, uid text, kind text, old text, "
    "new text, was text, outcome text, reason text)",
    "create trigger if not exists sim_changed after update on actions "
    "when old.state <> new.state or old.outcome <> new.outcome begin "
    "insert into sim_moves (uid, kind, old, new, was, outcome, reason) values "
    "(new.uid, new.effect, old.state, new.state, old.outcome, new.outcome, new.reason); end",
    "create trigger if not exists sim_planned after insert on actions begin "
    "insert into sim_moves (uid, kind, old, new, was, outcome, reason) values "
    "(new.uid, new.effect, '', new.state, '', new.outcome, new.reason); end",
    "create trigger if not exists sim_heard after insert on events "
    "when new.type = 'message.received' begin "
    "insert into sim_moves (uid, kind, old, new, was, outcome, reason) values "
    "(new.dedupe_key, 'heard', '', '', '', new.source, new.sender); end",
)


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


class SimulatedDatabase(SqliteDatabase):
    """A database that commits in its own time. Once `dead`, nothing reaches the file any more."""

    def __init__(
        self,
        path: Path,
        *,
        loop: VirtualLoop,
        rng: Random,
        faults: Faults,
        on_commit: Callable[[list[Move]], None],
    ) -> None:
        super().__init__(path, threaded=False)
        self.dead = False
        self._loop = loop
        self._rng = rng
        self.faults = faults
        self._on_commit = on_commit
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._busy = False
        self._writer.push(_take_notes, lambda _: None)
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
        rows = (
            self.connection()
            .execute(
                "select id, uid, kind, old, new, was, outcome, reason from sim_moves where id > ?",
                (self._noted,),
            )
            .fetchall()
        )
        if rows:
            self._noted = rows[-1][0]
        return [Move(*row[1:]) for row in rows]

    def _last_note(self) -> int:
        return int(
            self.connection().execute("select coalesce(max(id), 0) from sim_moves").fetchone()[0]
        )


def _take_notes(connection: Any) -> None:
    for statement in _NOTES:
        connection.execute(statement)
