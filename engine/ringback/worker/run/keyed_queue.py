"""Keyed queue: one piece of work at a time per key, different keys side by side."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ringback.errors import RingbackError

log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class KeyedQueue:
    """One thing at a time per key, in the order of arrival; different keys go side by side.

    `on_room` is awaited with a rule when runs of it have ended, `on_done` is called with a key when
    nothing is left to do under it; they must not raise.
    """

    def __init__(self) -> None:
        self.by_rule: Counter[str] = Counter()
        """How many runs of each rule wait or are under way."""
        self.on_room: Callable[[str], Awaitable[None]] | None = None
        self.on_done: Callable[[str], None] | None = None
        self._queues: dict[str, deque[tuple[Work, Sequence[str]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runs = 0

    def __len__(self) -> int:
        """How many runs wait or are under way."""
        return self._runs

    def put(
        self, key: str, work: Work, rules: Sequence[str] = ("",), *, first: bool = False
    ) -> None:
        """Do `work`, which is a run of each of these rules, after everything that was put under the
        same key before; as the `first` after what is under way."""
        self._runs += len(rules)
        self.by_rule.update(rules)
        queue = self._queues.get(key)
        if queue is not None:
            (queue.appendleft if first else queue.append)((work, rules))
            return
        self._queues[key] = deque([(work, rules)])
        self._start(key)

    def hold(self, key: str) -> None:
        """Let everything under a key that is free wait for `release`: something is done there."""
        self._queues[key] = deque()

    def release(self, key: str) -> None:
        """What was done under a key that was held is done."""
        if self._queues[key]:
            self._start(key)
        else:
            self._done(key)

    def busy(self, key: str) -> bool:
        """Whether something is to be done under this key."""
        return key in self._queues

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _drive(self, key: str) -> None:
        queue = self._queues[key]
        try:
            while queue:
                work, rules = queue.popleft()
                await self._safely(key, work)
                self._runs -= len(rules)
                for rule in rules:
                    self.by_rule[rule] -= 1
                    if self.on_room is not None:
                        await self._safely(key, partial(self.on_room, rule))
        finally:
            self._done(key)

    def _start(self, key: str) -> None:
        task = asyncio.ensure_future(self._drive(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _done(self, key: str) -> None:
        del self._queues[key]
        if self.on_done is not None:
            self.on_done(key)

    async def _safely(self, key: str, work: Work) -> None:
        try:
            await work()
        except RingbackError as error:
            log.error("%s: %s", key, error)
        except Exception:  # a fault of our own must not end what waits behind it
            log.exception("%s: this should not happen", key)
