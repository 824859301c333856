"""Virtual clock and event queue: in real time, sped up, or stepped by hand.

Everything in the simulator that takes time is an entry in this heap. `now` counts virtual seconds;
`shown` is the date that records carry: under a speed factor waits shrink, while dates stay near the
wall clock, so that a client which compares dates with its own clock is not led astray.
"""

import asyncio
import heapq
import itertools
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

STEPPED_START = 1_770_667_200.0
"""A stepped clock always starts at 2026-02-09 20:00:00 UTC, so that its history can be repeated."""

ROUNDS = 100_000


@dataclass(slots=True, order=True)
class Timer:
    """One thing that will happen. `cancel` it and it will not."""

    when: float
    order: int
    do: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        self.do = None


class _Piece(NamedTuple):
    """A stretch of time: from here on, dates move at the wall's pace and waits at `speed`."""

    virtual: float
    shown: float
    speed: float


class Clock:
    """Virtual time and the heap of events that fall due in it. Lives in one event loop."""

    def __init__(self, *, speed: float = 1.0, stepped: bool = False, ahead: float = 0.0) -> None:
        self.speed = speed
        self.stepped = stepped
        self.start = (STEPPED_START if stepped else time.time()) + ahead
        self.quiet: Callable[[], Awaitable[None]] | None = None
        self.broken: Callable[[str], None] = lambda _: None
        self.jumped: Callable[[], None] = lambda: None
        self._anchor_virtual = self.start
        self._anchor_real = time.monotonic()
        self._pieces: list[_Piece] = [_Piece(self.start, self.start, 1.0 if stepped else speed)]
        self._heap: list[Timer] = []
        self._order = itertools.count()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._stepping = asyncio.Lock()

    def now(self) -> float:
        """Virtual seconds since the epoch."""
        if self.stepped:
            return self._anchor_virtual
        return self._anchor_virtual + (time.monotonic() - self._anchor_real) * self.speed

    def shown(self) -> datetime:
        """The date that a record made now carries, in UTC."""
        return self.date(self.now())

    def date(self, virtual: float) -> datetime:
        """The date that belongs to a moment of virtual time."""
        piece = next(
            (piece for piece in reversed(self._pieces) if piece.virtual <= virtual), self._pieces[0]
        )
        return datetime.fromtimestamp(piece.shown + (virtual - piece.virtual) / piece.speed, UTC)

    def until(self, date: datetime) -> float:
        """How many virtual seconds from now to a date that a client named."""
        return (date - self.shown()).total_seconds()

    def after(self, delay: float, do: Callable[[], object]) -> Timer:
        """Let `do` happen `delay` virtual seconds from now; at equal times, in order of asking."""
        timer = Timer(self.now() + max(0.0, delay), next(self._order), do)
        heapq.heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._rearm()
        return timer

    def pending(self, within: float | None = None) -> int:
        """How many events wait, in all or within the next virtual seconds."""
        limit = float("inf") if within is None else self.now() + within
        return sum(1 for timer in self._heap if timer.do and timer.when <= limit)

    def next_in(self) -> float | None:
        """Virtual seconds until the next event; nothing when none waits."""
        soonest = min((timer.when for timer in self._heap if timer.do), default=None)
        return None if soonest is None else max(0.0, soonest - self.now())

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to move by itself, unless stepped."""
        self.loop = loop
        self._rearm()

    def set_speed(self, speed: float) -> None:
        """From now on one real second is `speed` virtual ones."""
        self._turn(speed)

    async def advance(self, seconds: float) -> int:
        """Move on by hand and run all that falls due, each event to its end. Answers how many ran.

        After each event the answers of the webhooks that it posted are awaited, so what they cause
        happens before the next event. A clock that runs by itself jumps.
        """
        async with self._stepping:
            target = self.now() + seconds
            if not self.stepped:
                self._turn(self.speed, jump=seconds)
                return 0
            return await self._until(target)

    async def exhaust(self, limit: float = 86_400.0 * 40) -> int:
        """Run until nothing is pending, at most `limit` virtual seconds ahead (stepped only)."""
        async with self._stepping:
            return await self._until(self.now() + limit, land=False)

    async def _until(self, target: float, *, land: bool = True) -> int:
        ran = 0
        await self._settle()
        while ran < ROUNDS and (timer := self._next(target)) is not None:
            self._anchor_virtual = max(self._anchor_virtual, timer.when)
            self._fire(timer)
            ran += 1
            await self._settle()
        if land:
            self._anchor_virtual = max(self._anchor_virtual, target)
        return ran

    async def _settle(self) -> None:
        if self.quiet is not None:
            await self.quiet()

    def _next(self, limit: float) -> Timer | None:
        while self._heap and (self._heap[0].do is None or self._heap[0].when <= limit):
            timer = heapq.heappop(self._heap)
            if timer.do is not None:
                return timer
        return None

    def _fire(self, timer: Timer) -> None:
        do, timer.do = timer.do, None
        if do is None:
            return
        try:
            do()
        except Exception as error:
            # One broken story must not stop the world of all the others.
            traceback.print_exc(file=sys.stderr)
            self.broken(f"{type(error).__name__}: {error}")

    def _turn(self, speed: float, jump: float = 0.0) -> None:
        """Begin a new stretch of time: another speed, or a jump ahead."""
        now = self.now()
        shown = self.date(now).timestamp()
        self._anchor_virtual, self._anchor_real = now + jump, time.monotonic()
        self.speed = speed
        if not self.stepped:
            self._pieces.append(_Piece(now + jump, shown + jump, speed))
        if jump:
            self.jumped()
        self._rearm()

    def _rearm(self) -> None:
        if self.stepped or self.loop is None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._heap:
            delay = max(0.0, (self._heap[0].when - self.now()) / self.speed)
            self._alarm = self.loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        while (timer := self._next(self.now())) is not None:
            self._fire(timer)
        self._rearm()

    def stop(self) -> None:
        """Move no more and forget what was to come."""
        self._heap.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
