"""Live stream of the console: who hears what, and what a slow reader loses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.console import listeners
from ringback.console.api.stream import RESOURCE
from ringback.console.app import create_console
from ringback.console.identity import Identity
from ringback.console.listeners import MOST_OF_ONE, MOST_STREAMS, QUEUE, Live
from ringback.console.surroundings import Surroundings
from unit.console.conftest import away, begin


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Any]:
    begin(tmp_path)
    made = create_console(
        Settings(tmp_path, data=tmp_path), Surroundings(away), lambda _: Identity("ada", "read")
    )
    async with made.router.lifespan_context(made):
        yield made


def live_of(app: Any) -> Live:
    live: Live = app.state.console.live
    return live


async def test_of_too_many_streams_the_oldest_ends(app: Any) -> None:
    """Four for a person, 32 in all; whoever is ended hears why, and nobody else."""
    live = live_of(app)
    async with contextlib.AsyncExitStack() as stack:
        mine = [
            await stack.enter_async_context(live.listening("ada")) for _ in range(MOST_OF_ONE + 1)
        ]
        assert [each.enough for each in mine] == [True, *[False] * MOST_OF_ONE]
        assert await mine[0].queue.get() is None
        others = [
            await stack.enter_async_context(live.listening(f"p{number}"))
            for number in range(MOST_STREAMS - MOST_OF_ONE + 1)
        ]
        assert mine[1].enough
        assert not any(each.enough for each in (*mine[2:], *others))


async def test_a_slow_reader_loses_rows_and_no_memory(app: Any) -> None:
    """Its queue holds eight; what is lost is counted, and told with the next."""
    async with live_of(app).listening("ada") as listener:
        for number in range(100):
            listener.take(listeners.Push(number + 1, events=({"uid": "x"},), dropped=2))
        assert listener.queue.qsize() == QUEUE
        assert listener.lost == 3 * (100 - QUEUE)


async def test_the_journal_is_asked_only_while_somebody_listens(app: Any) -> None:
    """Nobody: no look at all. One: until it leaves."""
    live = live_of(app)
    assert live._looking is None
    async with live.listening("ada"):
        assert live._looking is not None
    await asyncio.wait_for(live._looking, 5)


async def test_streams_end_with_the_console(app: Any) -> None:
    """At once, so that the process does."""
    (endpoint,) = RESOURCE.endpoints
    lines: list[str] = []

    async def read() -> None:
        scope = {
            "type": "http", "method": "GET", "path": "/api/v1/stream", "query_string": b"",
            "headers": [], "raw_path": b"/api/v1/stream", "root_path": "", "scheme": "http",
            "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2), "http_version": "1.1",
        }  # fmt: skip
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            lines.append(str(message.get("body", message.get("status"))))

        await app(scope, receive, send)

    reading = asyncio.create_task(read())
    while len(lines) < 2:
        await asyncio.sleep(0.01)
    assert lines[0] == "200"
    app.state.stopping.set()
    await asyncio.wait_for(reading, 5)
    assert endpoint.media == "text/event-stream"
