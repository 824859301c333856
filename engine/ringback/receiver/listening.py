"""How does the process listen, and how does it stop?"""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Iterator

import uvicorn

from ringback.config import Settings
from ringback.errors import HeldError, StorageError

DRAIN_SECONDS = 5.0
"""How long what is in hand may take when the process is asked to stop."""


class Server(uvicorn.Server):
    """uvicorn without its signal handling, for the node has two processes to end in order, and with
    an end that waits for what happens and not for a clock."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def leave(self) -> None:
        """Stop accepting and finish what is in hand."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # writes the date of the answers anew, once a second
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        deadline = time.monotonic() + DRAIN_SECONDS
        while (state.connections or state.tasks) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(state.connections):
            connection.transport.abort()


def listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises HeldError when the port is taken, StorageError for a host that
    this machine does not have."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        if error.errno == errno.EADDRINUSE:
            raise HeldError(f"{where} is already in use by another program") from error
        raise StorageError(f"cannot listen on {where}: {error.strerror}") from error
    return listener
