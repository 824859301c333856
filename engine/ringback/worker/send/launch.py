"""Launches: the few places of attempts that have no connection yet.

An attempt is committed before a byte leaves. When the worker dies before there is a connection, the
attempt is in doubt all the same, for some minutes. So no more attempts are opened than connections
come about: at a gateway that does not answer, a death leaves a few in doubt and not all that wait.
"""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ringback.store.actions import StoredAction
from ringback.store.attempts import Opening

PLACES = 8


class Launch:
    """The place of one action, from `begin` to `left`, or to the end of its context."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._begun = False

    async def begin(self) -> None:
        """Wait for a place."""
        await self._places.acquire()
        self._begun = True

    def left(self) -> None:
        """The place is free: there is a connection, or nothing leaves now."""
        if self._begun:
            self._begun = False
            self._places.release()

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
