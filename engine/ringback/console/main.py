"""Process of the console: its sockets, uvicorn, and an end in order."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.counting import Counting
from ringback.console.entry import entry_of
from ringback.console.surroundings import Surroundings
from ringback.console.wire import ConsoleProtocol
from ringback.errors import HeldError, StorageError
from ringback.ipc import socket_path
from ringback.private_files import FILE
from ringback.store.console.access import Access
from ringback.store.data_place import DataPlace
from ringback.store.upkeep.locks import hold

HEAD_BYTES = 16 * 1024
MOST_CONNECTIONS = 256
GRACE_SECONDS = 3
NICE = 10
PEER, PLACE = b"x-ringback-peer", b"x-ringback-place"
"""What the receiver says of a request that it passes on: who sent it, and to which address."""


class Server(uvicorn.Server):
    """uvicorn without its signal handling, and with an end that waits for what happens: its own
    looks ten times a second whether it should."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Stop accepting, and finish what has begun."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # writes the date of the answers anew, once a second
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1.0)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Passed:
    """ASGI wrapper that takes over what the receiver says of a request. Only what came over the
    Unix socket is believed; from elsewhere such a header is taken away."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its true client and server."""
        if scope["type"] == "http":
            said = {name: value for name, value in scope["headers"] if name in (PEER, PLACE)}
            scope["headers"] = [each for each in scope["headers"] if each[0] not in (PEER, PLACE)]
            server = scope.get("server")
            if not server or server[1] is None:
                scope["client"] = (said.get(PEER, b"").decode("latin-1"), 0)
                host, _, port = said.get(PLACE, b"").decode("latin-1").rpartition(" ")
                scope["server"] = (host, int(port) if port.isdecimal() else None)
        await self._app(scope, receive, send)


def serve(
    settings: Settings, surroundings: Surroundings, *, supervised: bool, key: str = "",
    on_ready: Callable[[str], object] = lambda _: None,
) -> int:  # fmt: skip
    """Run the console until it is stopped; the exit code. `on_ready` gets its address, empty when
    it has none of its own. With `supervised` it ends when its standard input does. Raises HeldError
    when another console runs on the data folder or the port is taken, and StorageError."""
    if supervised:
        os.nice(NICE)
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(settings.data, "console"))
        listeners = []
        if supervised:
            listeners.append(stack.enter_context(_unix(settings.data)))
        if settings.console_port or not supervised:
            listeners.append(stack.enter_context(_tcp(settings)))
        access = stack.enter_context(Access(settings.data))
        app = create_console(
            settings,
            surroundings,
            entry=entry_of(settings, access, key),
            counting=Counting(DataPlace(settings.data, settings.database_url)),
        )
        config = uvicorn.Config(
            Passed(app), http=ConsoleProtocol, h11_max_incomplete_event_size=HEAD_BYTES, ws="none",
            lifespan="on", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=20,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )  # fmt: skip
        address = "" if supervised and not settings.console_port else _url(listeners[-1])
        stopping: asyncio.Event = app.state.stopping
        asyncio.run(
            _main(Server(config), listeners, stopping, supervised, lambda: on_ready(address))
        )
    return 0


async def _main(
    server: Server, listeners: list[socket.socket], stopping: asyncio.Event, supervised: bool,
    on_ready: Callable[[], object],
) -> None:  # fmt: skip
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        server.leave()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    if supervised:  # the other end is held by the receiver, and by nobody else
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(0, 1) else stop())
    serving = asyncio.create_task(server.serve(sockets=listeners))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        on_ready()
    await serving


@contextlib.contextmanager
def _unix(data: Path) -> Iterator[socket.socket]:
    path = socket_path(data, "console")
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        path.chmod(FILE)  # before anybody can connect
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _tcp(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.console_host, settings.console_port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            where = f"{host}:{port}"
            if error.errno == errno.EADDRINUSE:
                raise HeldError(f"{where} is already in use by another program") from error
            raise StorageError(f"cannot listen on {where}: {error.strerror}") from error
        yield listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
