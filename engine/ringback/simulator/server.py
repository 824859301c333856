"""Server of the simulator: it listens, goes out of reach for a while, and stops."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from email.utils import formatdate

import uvicorn

from ringback.errors import HeldError
from ringback.simulator.app import Simulator, build
from ringback.simulator.wire import BreakableConnection


def bind(host: str, port: int) -> socket.socket:
    """A socket to listen on. Raises HeldError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, every answer waits 40 ms.
    plug = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        plug.bind((host, port))
    except OSError as error:
        plug.close()
        raise HeldError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return plug


class Server(uvicorn.Server):
    """uvicorn, telling when it listens; it can go out of reach and come back."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], simulator: Simulator
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._simulator = simulator
        self._address: tuple[str, int] = ("", 0)
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End quietly, with exit code 0, on SIGTERM and SIGINT; uvicorn would raise them again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        yield

    def _end(self, number: int) -> None:
        for line in self._lines():
            if line.held:
                line.reset()
        self.handle_exit(number, None)

    def _lines(self) -> list[BreakableConnection]:
        return [
            line for line in self.server_state.connections if isinstance(line, BreakableConnection)
        ]

    async def on_tick(self, counter: int) -> bool:
        ending = await super().on_tick(counter)
        self._date()
        self._simulator.world.clock.jumped = self._date  # of the world that runs since a reset
        return ending

    def _date(self) -> None:
        """Date answers by the clock that dates the records, unless it stands still."""
        clock = self._simulator.world.clock
        if not clock.stepped:
            date = formatdate(clock.shown().timestamp(), usegmt=True).encode()
            self.server_state.default_headers = [(b"date", date), *self.config.encoded_headers]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._address = self.servers[0].sockets[0].getsockname()[:2]
        self._ready()

    def outage(self, seconds: float) -> None:
        """Refuse every connection for so many real seconds; those that are open are reset."""
        loop = asyncio.get_running_loop()
        # A moment later, so that who asked for it still gets an answer.
        loop.call_later(0.05, self._leave)
        loop.call_later(0.05 + seconds, lambda: self._tasks.add(loop.create_task(self._return())))

    def _leave(self) -> None:
        for server in self.servers:
            server.close()
        self.servers.clear()
        for line in self._lines():
            line.reset()

    async def _return(self) -> None:
        def protocol() -> asyncio.Protocol:
            return BreakableConnection(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )

        plug = bind(*self._address)
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_server(protocol, sock=plug, ssl=self.config.ssl))


async def serve(
    simulator: Simulator,
    plug: socket.socket,
    secure: tuple[str, str] | None,
    ready: Callable[[], None],
) -> None:
    """Serve a simulator until a signal comes. `secure` is a certificate and its key, for https."""
    config = uvicorn.Config(
        build(simulator),
        http=BreakableConnection,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=secure[0] if secure else None,
        ssl_keyfile=secure[1] if secure else None,
    )
    server = Server(config, ready, simulator)
    simulator.outage = server.outage
    await server.serve(sockets=[plug])
