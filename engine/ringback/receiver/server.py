"""The receiver process from start to end: locks, log, door, worker, signals, exit code."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.routing import BaseRoute

from ringback.config import FIXED, LOOPBACK, Settings
from ringback.errors import ConfigError, HeldError, StorageError
from ringback.ipc import Link, WorkerAway, socket_path
from ringback.ipc import serve as open_socket
from ringback.receiver.app import front
from ringback.receiver.append_socket import AppendSocket
from ringback.receiver.intake import Intake
from ringback.receiver.metrics import Counts
from ringback.receiver.protocol import MOST_CONNECTIONS, WebhookProtocol
from ringback.receiver.retention import daily
from ringback.receiver.supervisor import Supervisor
from ringback.store.locks import hold
from ringback.store.log import Log
from ringback.store.migrations import refuse_newer

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


SWEEP_SECONDS = 0.5
LEAST_FREE_BYTES = 1024 * 1024

_logger = logging.getLogger("ringback.receiver")


class Node:
    """A running receiver. Made by `running`; `url` is where it listens, `ended` gives the exit code
    when it has stopped."""

    ended: "asyncio.Task[int]"

    def __init__(
        self,
        settings: Settings,
        log: Log,
        listener: socket.socket,
        routes: Sequence[BaseRoute],
        worker: bool,
    ) -> None:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"http://{host}:{listener.getsockname()[1]}"
        self.settings = settings
        self.counts = Counts()
        self.log = log
        self.link = Link(socket_path(settings.data))
        self.intake = Intake(settings, log, self.link, self.counts, self.url)
        self.supervisor: Supervisor | None = None
        if worker:
            self.supervisor = Supervisor(
                worker_command(settings),
                settings.child_environ(os.environ),
                settings.data / "worker.inflight",
                lambda: self.counts.add("worker_restarts"),
            )
        self._listener = listener
        config = uvicorn.Config(
            front(self.counts, self.readiness, routes),
            http=cast(Any, partial(WebhookProtocol, self.intake)),
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

    async def serve(self, on_ready: Callable[[str], object]) -> int:
        """Accept requests until told to stop; the exit code."""
        hatch = await open_socket(
            socket_path(self.settings.data, "receiver"),
            AppendSocket(self.log, self.intake.wake).handle,
        )
        if self.supervisor is not None:
            await self.supervisor.start()
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        sweeping = asyncio.create_task(self._sweep())
        tidying = asyncio.create_task(daily(self.settings, self.log))
        try:
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            if self._server.started:
                on_ready(self.url)
            await serving
        finally:
            sweeping.cancel()
            tidying.cancel()
            self.intake.close()
            if self.supervisor is not None:
                await self.supervisor.stop()
            await hatch.close()
            await self.link.close()
        if self.log.broken is not None:
            return self.log.broken.exit_code
        refused = self.supervisor.refused if self.supervisor is not None else None
        return refused or 0

    def stop(self) -> None:
        """Stop accepting, finish what is in hand, then let the worker finish."""
        self._server.leave()

    def reload(self, again: Callable[[], Settings]) -> None:
        """Read the settings once more: judge by them from now on, and let the worker do the same.

        When they are wrong, everything stays as it is. What only a restart can change is named.
        """
        try:
            fresh = again()
            fresh.require_serving()
        except ConfigError as error:
            problems = "; ".join(error.problems)
            _logger.error("the new settings are wrong, the last good ones stay: %s", problems)
            return
        changed = fresh.differing(self.settings)
        self.settings = fresh.keeping(self.settings)
        self.intake.reload(self.settings)
        if self.supervisor is not None:
            self.supervisor.environ = self.settings.child_environ(os.environ)
            self.supervisor.reload()
        live = ", ".join(name for name in changed if name not in FIXED)
        _logger.warning("the settings were read again; changed: %s", live or "nothing")
        fixed = ", ".join(name for name in changed if name in FIXED)
        if fixed:
            _logger.warning("restart the node to use the new %s", fixed)

    async def readiness(self) -> dict[str, str]:
        """What keeps this node from recording and working, by part."""
        problems = {}
        free = os.statvfs(self.settings.data)
        if self.log.broken is not None:
            problems["log"] = str(self.log.broken)
        elif free.f_bavail * free.f_frsize < LEAST_FREE_BYTES:
            problems["log"] = f"{self.settings.data}: the disk is full"
        try:
            await self.link.ask({"op": "status"}, 1.0)
        except WorkerAway as error:
            problems["worker"] = str(error)
        return problems

    async def _sweep(self) -> None:
        """Now and then: cut slow connections, set the gauges, stop when the log is broken."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in list(self._server.server_state.connections):
                cast(WebhookProtocol, connection).sweep(now)
            writer = self.log.writer
            self.counts.gauge("log_in_flight", "Webhooks waiting for the disk.", writer.in_flight)
            self.counts.gauge(
                "commit_seconds", "How long the last commit took.", writer.commit_seconds
            )
            if self.log.broken is not None or (self.supervisor and self.supervisor.refused):
                if self.log.broken is not None:
                    _logger.error("the log is broken, stopping: %s", self.log.broken)
                self.stop()


def worker_command(settings: Settings) -> list[str]:
    """How the worker of this node is started."""
    main = [sys.executable, "-m", "ringback.cli.main"]
    return [*main, "worker", "--supervised", str(settings.project)]


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, worker: bool = False, routes: Sequence[BaseRoute] = ()
) -> AsyncIterator[Node]:
    """A receiver inside this process and loop, for tests and for whoever embeds one.

    Raises what `serve` raises.
    """
    node, release = _open(settings, worker, routes)
    ready = asyncio.Event()
    try:
        node.ended = asyncio.create_task(node.serve(lambda _: ready.set()))
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({node.ended, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        try:
            yield node
        finally:
            node.stop()
            await node.ended
    finally:
        release()


def serve(
    settings: Settings,
    *,
    worker: bool = True,
    on_ready: Callable[[str], object] | None = None,
    again: Callable[[], Settings] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> int:
    """Run the receiver (and its worker) until SIGTERM or SIGINT; the exit code.

    SIGTERM finishes what is in hand; a second one ends at once. On SIGHUP the settings are read
    once more by `again`, which raises ConfigError when they are wrong. `on_ready` gets the address
    when requests are accepted. 0 after an orderly stop, 74 or 65 when the log broke, the worker's
    own code when it could not start at all. Raises ConfigError, HeldError, StorageError or
    DataError when this node cannot start.
    """
    settings.require_serving()
    node, release = _open(settings, worker, routes)
    try:
        return _run(_main(node, on_ready, again or (lambda: settings)))
    finally:
        release()


def _open(
    settings: Settings, worker: bool, routes: Sequence[BaseRoute]
) -> tuple[Node, Callable[[], None]]:
    """Take what a node owns, in order: the folder, the log, the port. The second value gives it
    back."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(hold(settings.data, "receiver"))
        # Every connection that may be open can wait for the disk: what is refused then is what the
        # disk cannot keep up with, and not what merely came at the same time.
        log = Log.open(settings.data / "log.db", limit=MOST_CONNECTIONS)
        stack.callback(log.close)
        if worker:  # it would find out only when this node has said that it serves
            refuse_newer(settings.data / "journal.db")
        listener = stack.enter_context(contextlib.closing(listen(settings)))
        node = Node(settings, log, listener, routes, worker)
        kept = stack.pop_all()
    return node, kept.close


async def _main(
    node: Node, on_ready: Callable[[str], object] | None, again: Callable[[], Settings]
) -> int:
    loop = asyncio.get_running_loop()
    terminal = os.isatty(0)
    asked: list[float] = []

    def on_signal() -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            node.stop()
            return
        if node.supervisor is not None:
            node.supervisor.kill()
        os._exit(128 + signal.SIGTERM)

    def on_hangup() -> None:
        if terminal and not os.isatty(0):  # the terminal that we were started in has gone
            node.stop()
        else:
            node.reload(again)

    def ready(url: str) -> None:
        pid = node.supervisor.pid if node.supervisor is not None else None
        who = f"worker {pid}" if pid else "no worker"
        print(f"ringback: serving on {url} ({who})", file=sys.stderr, flush=True)
        if on_ready is not None:
            on_ready(url)
        # What start-up made stays; the collector need not look at it again and again.
        gc.collect()
        gc.freeze()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    if node.settings.simulated and node.settings.host in LOOPBACK:
        _logger.warning("simulated mode: events are trusted because they come from this machine")
    return await node.serve(ready)


def _run(main: Coroutine[Any, Any, int]) -> int:
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with contextlib.suppress(ImportError):  # it does not exist for Windows
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
