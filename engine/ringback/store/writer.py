"""Group commit: many small writes share one transaction.

Everything that gathered while the last commit ran goes into the next transaction. There is no
waiting window: an idle writer commits at once, a busy one commits more at a time.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Generic, Protocol, TypeVar

from ringback.errors import RingbackError, StorageError
from ringback.store.connection import Connection

T = TypeVar("T")
R = TypeVar("R")
W = TypeVar("W")


class WriteTarget(Protocol):
    """What a group writer writes to. It is used by one thread at a time."""

    @property
    def name(self) -> str:
        """What errors call it: the path of a file, or a database."""

    @property
    def broken(self) -> RingbackError | None:
        """Why nothing can be written any more; None while all is well."""

    def transact(self, work: Callable[[Connection], W]) -> tuple[W | None, Exception | None]:
        """Run `work` in a transaction: what it gave, or why nothing of it was written."""

    def tidy(self, idle: bool) -> None:
        """Called behind each commit; `idle` when nobody waits for the next."""

    def close(self) -> None:
        """Let go of it, with everything that was committed at home."""


Apply = Callable[[Connection, list[T]], "list[R | Exception]"]
"""Writes the items inside an open transaction; one result per item, in order."""

GROUP = 1000
"""So many items share a transaction at most: the last of a flood do not hold up the first."""


def each(
    apply_one: Callable[[Connection, T], R],
) -> "Callable[[Connection, list[T]], list[R | Exception]]":
    """Make an `apply` that isolates the items: one that raises is undone alone, the rest stand.

    When one raises, all are done again, each behind a savepoint: `apply_one` must do nothing beside
    what it does to the connection.
    """

    def apply(connection: Connection, items: list[T]) -> list[R | Exception]:
        # Nearly always all is well, and a savepoint for each item costs as much as its own writes.
        connection.execute("SAVEPOINT items")
        try:
            return [apply_one(connection, item) for item in items]
        except Exception:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO items")
        return one_by_one(connection, items)

    def one_by_one(connection: Connection, items: list[T]) -> list[R | Exception]:
        results: list[R | Exception] = []
        for item in items:
            connection.execute("SAVEPOINT item")
            try:
                results.append(apply_one(connection, item))
            except Exception as error:
                if not connection.in_transaction:  # SQLite gave up the whole transaction
                    raise
                connection.execute("ROLLBACK TO item")
                results.append(error)
            connection.execute("RELEASE item")
        return results

    return apply


_Pending = tuple[T, Callable[["R | Exception"], object]]


class GroupWriter(Generic[T, R]):
    """The one writer of one target: one connection, used by one thread, commits in groups.

    `apply(connection, items)` runs inside a transaction that the writer opens and commits; it gives
    one result per item. A result that is an exception fails that item alone; an exception raised by
    `apply` or by the commit fails the whole group and undoes it.

    `limit` bounds the items in flight (waiting or being committed): what is above it is refused at
    once, for callers whose own caller tries again. With None everything waits for its turn.
    `patience` is how many seconds a disk may give no answer: a long transaction shows that it goes
    on by `goes_on`. With `threaded=False`
    every item is committed inside `submit`, in order, by the calling thread: for simulations that
    must be repeatable.

    After an error that cannot pass by itself (fsync, I/O, corruption) the writer refuses everything
    from then on: `broken` holds the reason and the process should end and start again.
    """

    def __init__(
        self,
        target: WriteTarget,
        apply: Callable[[Connection, list[T]], "list[R | Exception] | list[R]"],
        *,
        threaded: bool = True,
        limit: int | None = 512,
        patience: float = 5.0,
    ) -> None:
        self.target = target
        self.commit_seconds = 0.0
        self._apply = apply
        self._limit = limit
        self._patience = patience
        self._closed = False
        self._in_flight = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: list[_Pending[T, R]] = []
        self._waiting: list[_Pending[T, R]] = []
        self._committing: list[_Pending[T, R]] = []
        self._given_up: list[_Pending[T, R]] = []
        self._chores: list[tuple[Callable[[Connection], int], asyncio.Future[int]]] = []
        self._since = 0.0
        self._watched = False
        self._bell = threading.Condition()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name=f"write-{target.name}")
            self._thread.daemon = True
            self._thread.start()

    @property
    def broken(self) -> RingbackError | None:
        """Why everything is refused from now on; None while the target works."""
        return self.target.broken

    @property
    def in_flight(self) -> int:
        """How many items wait or are being committed right now."""
        return self._in_flight

    def submit(self, item: T) -> "asyncio.Future[R]":
        """Hand over one item. The future is resolved after the commit: the item is on disk then.

        Raises StorageError at once when too much is in flight, after `close`, and for ever once the
        writer is broken. The future fails with StorageError when the commit failed.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def settle(result: "R | Exception") -> None:
            if future.done():  # cancelled by who waited for it
                return
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.push(item, settle)
        return future

    def push(self, item: T, done: Callable[["R | Exception"], object]) -> None:
        """What `submit` does, without a future: `done` is called once, on the loop, with the result
        or with the exception."""
        if self.broken is not None:
            raise StorageError(str(self.broken))
        if self._closed:
            raise StorageError(f"{self.target.name}: the writer is closed")
        if self._limit is not None and self._in_flight >= self._limit:
            raise StorageError(
                f"{self.target.name}: {self._in_flight} writes are waiting for the disk"
            )
        self._in_flight += 1
        if self._thread is None:
            self._finish([(item, done)], *self._commit([(item, done)]))
            return
        if not self._gathered:
            # At the end of this turn of the loop: all that arrives in one turn shares a commit.
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._ring)
        self._gathered.append((item, done))

    def tend(self, work: Callable[[Connection], int]) -> "asyncio.Future[int]":
        """Run `work` in a transaction of its own, between two groups: upkeep that has time, in
        steps short enough for those who wait meanwhile. The future gives what it returned; it fails
        as that of `submit` does.
        """
        if self.broken is not None or self._closed:
            raise StorageError(f"{self.target.name}: {self.broken or 'the writer is closed'}")
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = self._loop.create_future()
        if self._thread is None:
            _settle(future, *self.target.transact(work))
            return future
        with self._bell:
            self._chores.append((work, future))
            self._bell.notify()
        return future

    def goes_on(self) -> None:
        """Called by `apply`, at each item: much to write is not a disk that does not answer."""
        self._since = monotonic()

    def close(self) -> None:
        """Commit what waits, checkpoint, close the file. Blocks; a second call is void."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._ring_now()
            self._thread.join()
        self.target.close()

    def _ring(self) -> None:
        """On the loop: wake the thread, and see to it that nobody waits for ever."""
        self._ring_now()
        if not self._watched:
            self._watched = True
            asyncio.get_running_loop().call_later(self._patience, self._watch)

    def _ring_now(self) -> None:
        with self._bell:
            self._waiting += self._gathered
            self._gathered = []
            self._bell.notify()

    def _watch(self) -> None:
        """On the loop: fail those who wait for a commit that does not end."""
        with self._bell:
            late = bool(self._committing) and monotonic() - self._since >= self._patience
            waiting: list[_Pending[T, R]] = []
            if late:  # those who wait are dropped unwritten; the ones under way may be written
                waiting, self._waiting = self._waiting, waiting
        if late:
            stuck = [
                *waiting,
                *(self._committing if self._committing is not self._given_up else []),
            ]
            self._given_up = self._committing
            self._in_flight -= len(waiting)
            error = StorageError(f"{self.target.name}: the disk does not answer")
            for _, done in stuck:
                done(error)
        self._watched = bool(self._in_flight)
        if self._watched:
            asyncio.get_running_loop().call_later(self._patience / 2, self._watch)

    def _run(self) -> None:
        while True:
            with self._bell:
                while not self._waiting and not self._chores and not self._closed:
                    self._bell.wait()
                if not self._waiting and not self._chores:
                    return
                batch, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                self._committing, self._since = batch, monotonic()
                chore = None if batch or not self._chores else self._chores.pop(0)
            if chore is not None:
                self._tell(_settle, chore[1], *self.target.transact(chore[0]))
                idle = True
            else:
                results, error = self._commit(batch)
                with self._bell:
                    self._committing = []
                    idle = not self._waiting
                self._tell(self._finish, batch, results, error)
            if self.broken is None:
                self.target.tidy(idle)

    def _tell(self, callback: Callable[..., object], *values: object) -> None:
        """From the thread: call something on the loop."""
        with suppress(RuntimeError):  # the loop is closed, and with it everybody who waited
            assert self._loop is not None
            self._loop.call_soon_threadsafe(callback, *values)

    def _commit(
        self, batch: "list[_Pending[T, R]]"
    ) -> "tuple[list[R | Exception] | list[R], Exception | None]":
        started = monotonic()
        results, error = self.target.transact(lambda c: self._apply(c, [item for item, _ in batch]))
        self.commit_seconds = monotonic() - started
        return results if results is not None else [], error

    def _finish(
        self,
        batch: "list[_Pending[T, R]]",
        results: "list[R | Exception] | list[R]",
        error: Exception | None,
    ) -> None:
        """On the loop: give every caller the answer."""
        self._in_flight -= len(batch)
        if batch is self._given_up:
            return
        if error is not None:
            for _, done in batch:
                done(error)
            return
        for (_, done), result in zip(batch, results, strict=True):
            done(result)


def _settle(future: "asyncio.Future[int]", result: int | None, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result or 0)
