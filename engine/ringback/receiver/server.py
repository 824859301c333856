"""Process of `ringback serve`: the port, uvicorn, signals and the exit code around a node."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from ringback.config import LOOPBACK, Settings
from ringback.errors import HeldError, StorageError
from ringback.receiver.app import routes_of
from ringback.receiver.node import MOST_CONNECTIONS, Node, owned
from ringback.receiver.protocol import SPARE_FILES, WebhookProtocol, most_connections
from ringback.receiver.requirements import require_serving
from ringback.receiver.service_manager import ServiceManager, inherited
from ringback.receiver.supervisor import Begun
from ringback.runtime import CLOCK
from ringback.store.log import Log

DRAIN_SECONDS = 5.0
"""How long requests that have begun may take when the process is asked to stop."""


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
        """Stop accepting and finish the requests that have begun."""
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
    """The listening socket: the service manager's when it hands one over, whatever the settings
    say. Raises HeldError when the port is taken, StorageError for a host that this machine does not
    have, and for a socket that cannot be served."""
    given = inherited(os.environ)
    if given is not None:
        return given
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


SWEEP_SECONDS = 0.5
PATIENCE_SECONDS = 30.0
"""So often a service manager hears that a start goes on: tables that get a new form take their
time, and a worker that hangs is ended by the supervisor."""

_logger = logging.getLogger("ringback.receiver")


class Serving:
    """A node behind uvicorn. `url` is where it listens."""

    def __init__(
        self, settings: Settings, log: Log, listener: socket.socket, *, worker: bool,
        begun: Begun | None = None, console: bool = False,
    ) -> None:  # fmt: skip
        self.manager = ServiceManager.of(os.environ)  # before what the worker gets is copied
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.node = Node(
            settings, log, worker=worker, base_url=self.url, on_failed=self.stop, begun=begun,
            console=console,
        )  # fmt: skip
        self._listener = listener
        self._stopped = asyncio.Event()
        config = uvicorn.Config(
            routes_of(lambda: self.node),
            http=cast(Any, partial(WebhookProtocol, self.node.intake)),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=2048,
        )
        self._server = Server(config)

    async def run(self, on_ready: Callable[[], object]) -> int:
        """Accept requests until it is stopped; the exit code."""
        async with self.node.working(checking=True):
            if not await self._good():
                return self.node.exit_code
            serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
            sweeping = asyncio.create_task(self._sweep())
            try:
                while not self._server.started and not serving.done():
                    await asyncio.sleep(0.005)
                if self._server.started:
                    if self.node.companion is not None:
                        self.node.companion.start()
                    on_ready()
                await serving
            finally:
                sweeping.cancel()
        return self.node.exit_code

    async def _good(self) -> bool:
        """Whether the worker has found the rules good, and nobody wants this node to stop."""
        waits = [asyncio.ensure_future(each) for each in (self.node.good(), self._stopped.wait())]
        while not any(each.done() for each in waits):
            self.manager.tell(f"EXTEND_TIMEOUT_USEC={2 * PATIENCE_SECONDS * 1_000_000:.0f}")
            await asyncio.wait(waits, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        good, stopped = waits
        good.cancel()
        stopped.cancel()
        return good.done() and good.result()

    def stop(self) -> None:
        """Stop accepting, finish the requests that have begun, then let the worker finish."""
        self._stopped.set()
        self.manager.tell("STOPPING=1")
        if self.node.companion is not None:
            self.node.companion.leave()
        self._server.leave()

    async def _sweep(self) -> None:
        """Cut slow connections now and then, and tell the service manager that all is well."""
        loop = asyncio.get_running_loop()
        told = 0.0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            if self.manager.watchdog and now - told >= self.manager.watchdog:
                self.manager.tell("WATCHDOG=1")
                told = now
            for connection in list(self._server.server_state.connections):
                cast(WebhookProtocol, connection).sweep(now)


@contextlib.contextmanager
def _opened(
    settings: Settings, *, worker: bool, begun: Begun | None = None, console: bool = False
) -> Iterator[Serving]:
    """Take what a node owns, in order: the folder, the log, the port."""
    with (
        owned(settings, worker=worker) as log,
        contextlib.closing(listen(settings)) as listener,
    ):
        yield Serving(settings, log, listener, worker=worker, begun=begun, console=console)


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, worker: bool = False
) -> AsyncIterator[tuple[Serving, "asyncio.Task[int]"]]:
    """A receiver inside this process and loop, for tests, with the task that ends with its exit
    code. Raises what `serve` raises."""
    with _opened(settings, worker=worker) as serving:
        ready = asyncio.Event()
        ended = asyncio.create_task(serving.run(ready.set))
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({ended, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        try:
            yield serving, ended
        finally:
            serving.stop()
            await ended


def serve(
    settings: Settings,
    *,
    worker: bool = True,
    again: Callable[[], Settings] | None = None,
    begun: Begun | None = None,
    console: bool = False,
) -> int:
    """Run the receiver (and its worker) until SIGTERM or SIGINT; gives the exit code.

    SIGTERM finishes what has begun; a second one ends at once. On SIGHUP the settings are read
    once more by `again`, which raises ConfigError when they are wrong. The worker may have `begun`
    already, and waits until this node owns what it needs. With `console` the console runs beside it
    when anybody may use it. The exit code is 0 after an
    orderly stop, 74 or 65 when the log broke, the worker's own when it could not start. Raises
    ConfigError, HeldError, StorageError or DataError when this node cannot start.
    """
    require_serving(settings)
    _allow_connections()
    with _opened(settings, worker=worker, begun=begun, console=console) as serving:
        return _run(_main(serving, again or (lambda: settings)))


def _allow_connections() -> None:
    """Let this process have as many files open as its connections need; say so when it may not."""
    wanted = MOST_CONNECTIONS + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _logger.warning(
            "this process may have %d files open, and so %d connections at once; raise the limit "
            "(LimitNOFILE=%d, or ulimit -n %d)", allowed, most_connections(), wanted, wanted,
        )  # fmt: skip


async def _main(serving: Serving, again: Callable[[], Settings]) -> int:
    node = serving.node
    loop = asyncio.get_running_loop()
    terminal = os.isatty(0)
    asked: list[float] = []

    def on_signal() -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            serving.stop()
            return
        if node.supervisor is not None:
            node.supervisor.kill()
        os._exit(128 + signal.SIGTERM)

    def on_hangup() -> None:
        if terminal and not os.isatty(0):  # the terminal that we were started in is closed
            serving.stop()
        else:
            node.reload(again)

    def ready() -> None:
        pid = node.supervisor.pid if node.supervisor is not None else None
        who = f"worker {pid}" if pid else "no worker"
        print(f"ringback: serving on {serving.url} ({who})", file=sys.stderr, flush=True)
        serving.manager.tell("READY=1", f"STATUS=serving on {serving.url}")
        # What start-up made stays; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGHUP))
    if not os.environ.get(CLOCK):  # `ringback dev` says what is so on purpose, and what is not
        for note in node.settings.notes:
            _logger.warning("%s", note)
        if node.settings.simulated and node.settings.host in LOOPBACK:
            why = "events are trusted because they come from this machine"
            _logger.warning("simulated mode: %s", why)
    return await serving.run(ready)


def _run(main: Coroutine[Any, Any, int]) -> int:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # it does not exist for Windows
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
