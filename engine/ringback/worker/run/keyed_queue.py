"""Keyed queue: one piece of work at a time per key, different keys side by side."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from ringback.errors import RingbackError

log = logging.getLogger(__name__)


class KeyedQueue:
    """One thing at a time per key, in the order of arrival; different keys go side by side."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[tuple[Callable[[], Awaitable[None]], int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs = 0

    def __len__(self) -> int:
        """How many runs wait or are under way."""
        return self._runs

    def put(self, key: str, work: Callable[[], Awaitable[None]], runs: int = 1) -> None:
        """Do `work`, which is so many runs, after everything that was put under the same key
        before."""
        self._runs += runs
        queue = self._queues.get(key)
        if queue is not None:
            queue.append((work, runs))
            return
        self._queues[key] = deque([(work, runs)])
        task = asyncio.ensure_future(self._drive(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _drive(self, key: str) -> None:
        queue = self._queues[key]
        try:
            while queue:
                work, runs = queue.popleft()
                try:
                    await work()
                except RingbackError as error:
                    log.error("%s: %s", key, error)
                except Exception:  # a fault of our own must not end what waits behind it
                    log.exception("%s: this should not happen", key)
                finally:
                    self._runs -= runs
        finally:
            del self._queues[key]
