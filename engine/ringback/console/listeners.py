"""Live stream of one console: looks into the journal once for everybody who listens.

The journal is asked four times a second whether it has changed, and only while somebody listens.
What came is read once; each listener gets it through a short queue. Whoever reads too slowly loses
rows and is told how many, and never holds up anybody, nor memory.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ringback.console.problems import Refusal
from ringback.console.pulse import Pulse
from ringback.console.reading import Reading
from ringback.store.queries.questions import Questions

LOOK_SECONDS = 0.25
MOST_ROWS = 15
MOST_WHOLE = 500
MOST_BACK = 10_000
MOST_STREAMS, MOST_OF_ONE = 32, 4
QUEUE = 8

_logger = logging.getLogger("ringback.console")


@dataclass(frozen=True, slots=True)
class Push:
    """What came since the last look, up to the row `last`, oldest first: `events` as rows of
    `Questions`, `came` what came of each. `dropped` are those that are not
    among them."""

    last: int
    events: tuple[Mapping[str, Any], ...] = ()
    came: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    dropped: int = 0
    beat: Mapping[str, Any] | None = None


@dataclass(eq=False)
class Listener:
    """One who listens. `full` wants every row, else the newest few of each look."""

    who: str
    full: bool = False
    queue: "asyncio.Queue[Push | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE))
    lost: int = 0
    enough: bool = False

    def take(self, push: Push) -> None:
        """Queue what came, or count it as lost."""
        try:
            self.queue.put_nowait(push)
        except asyncio.QueueFull:
            self.lost += len(push.events) + push.dropped

    def end(self) -> None:
        """Let it end, ahead of what waits."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Live:
    """Everybody who listens to one console."""

    def __init__(self, reading: Reading, pulse: Pulse) -> None:
        self._reading = reading
        self._pulse = pulse
        self._listeners: list[Listener] = []
        self._looking: asyncio.Task[None] | None = None
        self._version = -1
        self._last = 0
        self.ended = asyncio.Event()
        """Set when the process is asked to end: no stream begins any more, and all end."""

    @contextlib.asynccontextmanager
    async def listening(self, who: str, *, full: bool = False) -> AsyncIterator[Listener]:
        """Listen. Of too many streams the oldest ends, of this person or of all."""
        mine = [each for each in self._listeners if each.who == who]
        for old, most in ((mine, MOST_OF_ONE), (list(self._listeners), MOST_STREAMS)):
            if len(old) >= most:
                old[0].enough = True
                old[0].end()
                self._listeners.remove(old[0])
        listener = Listener(who, full)
        if not self._listeners:
            self._last = await self._reading.ask(lambda asked: asked.last_event_id())
            self._version = -1
        self._listeners.append(listener)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield listener
        finally:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def close(self) -> None:
        """End all streams."""
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()

    async def since(self, after: int) -> tuple[tuple[Mapping[str, Any], ...], bool]:
        """The events behind a row, and whether more than can be told were missed."""

        def ask(asked: Questions) -> tuple[tuple[Mapping[str, Any], ...], bool]:
            if asked.last_event_id() - after > MOST_BACK:
                return (), True
            return tuple(asked.events(after=after, follow=True, limit=MOST_WHOLE)), False

        return await self._reading.ask(ask)

    async def whole(self, events: Sequence[Mapping[str, Any]]) -> Push:
        """These events as a push, with what came of them."""
        uids = [event["uid"] for event in events]
        came = await self._reading.ask(lambda asked: asked.came_of(uids))
        return Push(events[-1]["id"], tuple(events), came)

    async def _look(self) -> None:
        """Look until nobody listens."""
        while self._listeners:
            try:
                await self._once()
            except Refusal as error:
                _logger.info("the live stream: %s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _once(self) -> None:
        version = await self._reading.ask(lambda asked: asked.version())
        if version == self._version:
            return
        full = any(each.full for each in self._listeners)
        last = self._last

        def ask(asked: Questions) -> Push:
            newest = asked.last_event_id()
            most = MOST_WHOLE if full else MOST_ROWS
            first = last if full else max(last, newest - most)
            events = asked.events(after=first, follow=True, limit=most)
            end = events[-1]["id"] if full and events else newest
            came = asked.came_of([each["uid"] for each in events])
            return Push(end, tuple(events), came, max(end - last - len(events), 0))

        push = await self._reading.ask(ask)
        beat = await self._pulse.beat()
        self._version, self._last = version, push.last
        for listener in list(self._listeners):
            listener.take(replace(push, beat=beat.shown()))
