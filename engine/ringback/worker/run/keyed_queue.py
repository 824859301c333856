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
        self._queues: dict[str, deque[Callable[[], Awaitable[None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def put(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` after everything that was put under the same key before."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(work)
            return
        self._queues[key] = deque([work])
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
                try:
                    await queue.popleft()()
                except RingbackError as error:
                    log.error("%s: %s", key, error)
                except Exception:  # a fault of our own must not end what waits behind it
                    log.exception("%s: this should not happen", key)
        finally:
            del self._queues[key]
