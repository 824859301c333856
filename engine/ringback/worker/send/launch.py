"""Launches: the few places of attempts that have no connection yet.

An attempt is committed before a byte leaves. When the worker dies before there is a connection, the
attempt is in doubt all the same, for some minutes. So no more attempts are opened than connections
come about: at a gateway that does not answer, a death leaves a few in doubt and not all that wait.
"""

import asyncio
from types import TracebackType
from typing import Self

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
