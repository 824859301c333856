"""Event loop whose clock stands still until nothing is left to do, one callback at a time.

It has what tasks, futures and time-outs ask of a loop, and no sockets, threads or signals. Whoever
drives it decides after each callback whether there will be another one.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, cast

EPOCH = 1_767_225_600.0
"""The moment at which every story begins: 2026-01-01T00:00:00Z."""


class Clock:
    """The one time of a simulated world, in seconds since its beginning. `wrong` is by how much the
    wall clock of our machine is ahead of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wrong = 0.0

    def wall(self) -> float:
        """What our machine takes this moment for, in seconds since 1970."""
        return EPOCH + self.now + self.wrong


class VirtualLoop:
    """Runs callbacks in the order in which they became ready, timers in the order of their time.

    `complaints` collects what asyncio would only have logged: an exception that nobody took.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.complaints: list[str] = []
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._self = cast(asyncio.AbstractEventLoop, self)

    @property
    def ready(self) -> bool:
        """Whether there is something to do at this moment."""
        return bool(self._ready)

    def next_time(self) -> float:
        """When the next timer is due; infinite when there is none."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else float("inf")

    def ring(self) -> None:
        """Make the timers ready whose time has come."""
        while self.next_time() <= self.clock.now:
            self._ready.append(heapq.heappop(self._timers)[2])

    def step(self) -> None:
        """Run one callback."""
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        asyncio._set_running_loop(self._self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)

    def drain(self) -> None:
        """End every task by cancelling it, and everything that starts meanwhile. Time stands."""
        for _ in range(1000):
            if not self.tasks and not self._ready:
                break
            for task in list(self.tasks):
                task.cancel()
            while self._ready:
                self.step()
        self._timers.clear()

    def time(self) -> float:
        return self.clock.now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.clock.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self._self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **options: Any
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self._self, name=name, **options)
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context.get('message')}: {error!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio tells a loop that a timer was cancelled; `next_time` drops it when it is met."""
