"""A TCP link that can stall, lose its answers, be cut and lead elsewhere.

It stands between a client and a server, or between a primary and its standby.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

PIECE = 65536


class Link:
    """One port that leads to another, and back. All methods may be called from any thread."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._open: set[asyncio.Task[None]] = set()
        self._is_cut = False
        self._requests = asyncio.Event()
        self._answers = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)

    def stall(self, *, requests: bool = True, answers: bool = True) -> None:
        """Deliver nothing more, and lose nothing: connections stay, new ones wait. With one of
        the two as False that direction still works."""
        self._do(self._set_flow, not requests, not answers)

    def go_on(self) -> None:
        """Deliver again, what was kept first; take connections again."""
        self._do(self._set_flow, True, True)

    def cut(self) -> None:
        """End all connections with what is on its way; refuse new ones until `go_on`."""
        self._do(self._set_cut)

    def lead_to(self, target: int) -> None:
        """Connections that come from now on lead to another port."""
        self._target = target

    def _set_flow(self, requests: bool, answers: bool) -> None:
        for event, flows in ((self._requests, requests), (self._answers, answers)):
            if flows:
                event.set()
            else:
                event.clear()
        self._is_cut = self._is_cut and not (requests and answers)

    def _set_cut(self) -> None:
        self._is_cut = True
        for task in self._open:
            task.cancel()

    def _do(self, change: Callable[..., None], *given: bool) -> None:
        async def made() -> None:
            change(*given)

        self._wait(made())

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self) -> None:
        self._set_flow(True, True)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._server.close()
        self._set_cut()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0)  # transports that were aborted close their sockets

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        ends = [back]
        with suppress(OSError, asyncio.CancelledError):
            if not self._is_cut:
                await self._requests.wait()
                server, forth = await asyncio.open_connection("127.0.0.1", self._target)
                ends.append(forth)
                await self._carry(client, forth, server, back)
        self._open.discard(task)
        for end in ends:
            end.transport.abort()

    async def _carry(
        self,
        client: asyncio.StreamReader,
        forth: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(client, forth, self._requests))
                both.create_task(_pump(server, back, self._answers))
        except* OSError:
            pass  # one end is gone; the other one goes with it


async def _pump(
    source: asyncio.StreamReader, to: asyncio.StreamWriter, flows: asyncio.Event
) -> None:
    """Carry one direction to its end, piece by piece, while it flows."""
    while piece := await source.read(PIECE):
        await flows.wait()
        to.write(piece)
        await to.drain()
    await flows.wait()
    to.write_eof()


@contextmanager
def link(target: int) -> Iterator[Link]:
    """A link to a port of this machine."""
    made = Link(target)
    made._thread.start()
    try:
        made._wait(made._listen())
        yield made
        made._wait(made._end())
    finally:
        made._loop.call_soon_threadsafe(made._loop.stop)
        made._thread.join()
        made._loop.close()
