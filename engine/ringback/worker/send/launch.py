"""Launches: the few places of attempts that have no connection yet.

An attempt is committed before a byte leaves. When the worker dies before there is a connection, the
attempt is in doubt all the same, for some minutes. So no more attempts are opened than connections
come about: at a gateway that does not answer, a death leaves a few in doubt and not all that wait.
While connections do come about there are more of them, so that many attempts share one commit.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ringback.store.actions import StoredAction
from ringback.store.attempts import Opening

FEW = 8
"""So many places are there until connections come about: one more for each that does."""
STALE_SECONDS = 1.0
"""So long after the last connection there are few again."""


class Places:
    """How many attempts may be without a connection at once; who waits is served in turn."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._limit, self._most = most, FEW
        self._monotonic = monotonic
        self._connected_at = monotonic()
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether an action would have to wait."""
        return bool(self._waiting) or self._taken >= self._most

    def take_now(self) -> bool:
        """Take a place if one is free."""
        if self._monotonic() - self._connected_at > STALE_SECONDS:
            self._most = FEW
        if self.full:
            return False
        self._taken += 1
        return True

    async def take(self) -> None:
        """Wait for a place."""
        if self.take_now():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.free()
            raise

    def free(self) -> None:
        """A place is not needed any more."""
        self._taken -= 1
        self._serve()

    def connected(self) -> None:
        """An attempt has got its connection."""
        self._connected_at = self._monotonic()
        self._most = min(self._limit, self._most + 1)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._taken < self._most:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._taken += 1
                waiter.set_result(None)


class Launch:
    """The place of one action, from `begin` to `left`, or to the end of its context."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._begun = False

    async def begin(self) -> None:
        """Wait for a place."""
        await self._places.take()
        self._begun = True

    def begin_now(self) -> bool:
        """Take a place if one is free."""
        self._begun = self._places.take_now()
        return self._begun

    def connected(self) -> None:
        """There is a connection."""
        if self._begun:
            self._places.connected()
            self.left()

    def left(self) -> None:
        """The place is free: nothing leaves now."""
        if self._begun:
            self._begun = False
            self._places.free()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.left()


@dataclass(frozen=True, slots=True)
class Boarded:
    """A new action with the attempt that is committed together with it, the place that it has, and
    the moment of the monotonic clock."""

    action: StoredAction
    opening: Opening
    launch: Launch
    at: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """New actions that are about to be written: those that may leave at once, and the `rest`."""

    boarded: list[Boarded] = field(default_factory=list)
    rest: list[StoredAction] = field(default_factory=list)

    @property
    def openings(self) -> list[tuple[StoredAction, Opening]]:
        """The attempts that are to be committed with them."""
        return [(each.action, each.opening) for each in self.boarded]
