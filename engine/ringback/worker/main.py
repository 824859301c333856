"""Worker process: takes the lock, opens the files, runs the engine, and ends in order."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from ringback.config import Settings
from ringback.errors import HeldError, RingbackError
from ringback.gateway.channels import Channels
from ringback.gateway.client import Gateway
from ringback.gateway.safe_http import Outbound
from ringback.heartbeat import NAME, Heartbeat
from ringback.ipc import REFUSED, Link, serve, socket_path
from ringback.plugins.manifest import Manifest
from ringback.rules.files.report import render
from ringback.runtime import REAL
from ringback.store.journal import open_store
from ringback.store.upkeep.locks import hold
from ringback.worker.control import PAUSED, Control
from ringback.worker.engine import Engine
from ringback.worker.hosts.pool import Pool, command_for
from ringback.worker.reload import Describe, Reloading, tell
from ringback.worker.send.notices import Notices
from ringback.worker.strikes import Faults

log = logging.getLogger(__name__)

T = TypeVar("T")

LOCK_PATIENCE = 8.0
"""How long a worker waits for the lock of its predecessor; the old one drains at most so long."""
PARENT_GRACE = 2.0
BEAT_SECONDS = 0.1
WORKER_NICE = 5
"""When both want the same core, reception goes first: what waits in the log is not lost."""
PLUGIN_SECONDS = 2.0
"""So long a node waits for its plugins before it listens without knowing what they bring."""

TROUBLE = "RINGBACK_WORKER_TROUBLE"
"""That the workers before this one kept ending: since when (seconds), and in words."""


def work(
    settings: Settings,
    describe: Describe,
    *,
    again: Callable[[], Settings] | None = None,
    supervised: bool = False,
    checking: bool = False,
) -> int:
    """Run a worker until it is asked to stop. Returns the exit code.

    `describe` compiles the rules when the plugins have been imported in a process of their own. On
    SIGHUP the settings are read once more by `again`. `supervised` means that a receiver started
    it: its end (seen on standard input) is ours too, and it starts us again when we end. `checking`
    means that the receiver waits to hear that the rules are good; when they are not, they are
    named and the exit code is 1.
    Raises HeldError when another worker holds the data folder, DataError and StorageError for
    files that cannot be used.
    """
    patience = LOCK_PATIENCE if supervised else 0.0
    with contextlib.ExitStack() as stack:
        stack.enter_context(_hold(settings, patience))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(
                _work(settings, describe, again or (lambda: settings), supervised, checking)
            )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # it does not exist for Windows
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _hold(settings: Settings, patience: float) -> contextlib.AbstractContextManager[object]:
    deadline = time.monotonic() + patience
    while True:
        try:
            return hold(settings.data, "worker")
        except HeldError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)


async def _work(
    settings: Settings, describe: Describe, again: Callable[[], Settings], supervised: bool,
    checking: bool,
) -> int:  # fmt: skip
    beating = asyncio.ensure_future(_beat(Heartbeat.create(settings.data / NAME)))
    stop = asyncio.Event()
    code = 0

    def restart(reason: str) -> None:
        nonlocal code
        log.error("the worker restarts: %s", reason)
        code = 1
        stop.set()

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(beating.cancel)
        store = open_store(settings.data)
        stack.callback(store.close)
        _listen(stop, supervised)
        paused = bool(await store.journal.meta.get(PAUSED))
        if paused:
            log.warning("paused by a person: nothing is sent until `ringback resume`")
        priority = os.getpriority(os.PRIO_PROCESS, 0) + (WORKER_NICE if supervised else 0)
        if not checking:
            _yield_to_reception(priority)
        faults = Faults()
        stack.push_async_callback(faults.noted)
        pool = Pool(
            replace(command_for(settings, dict(os.environ)), priority=priority),
            on_fault=faults, hook_seconds=settings.handler_seconds,
        )  # fmt: skip
        stack.push_async_callback(pool.close)
        starting = asyncio.ensure_future(pool.start())
        if checking and not await _good(settings, describe, starting):
            starting.cancel()
            return REFUSED
        _yield_to_reception(priority)  # not before: reception waited for this
        manifest = await _unless(stop, starting)
        if manifest is None:
            return code
        loaded = describe(settings, manifest)
        gateway = await stack.enter_async_context(_gateway(settings))
        outbound = await stack.enter_async_context(Outbound(allow=settings.outbound_allow))
        engine = Engine(
            settings=settings, loaded=loaded, journal=store.journal,
            gateway=gateway, runtime=REAL, calls=pool,
            notices=Notices(
                outbound, Channels(settings.channels, outbound, environ=settings.environ), REAL,
                going_out=settings.notify,
            ),
        )  # fmt: skip
        since, _, trouble = os.environ.get(TROUBLE, "").partition(" ")
        if trouble:
            engine.sending.trouble = (datetime.fromtimestamp(float(since), UTC), trouble)
        faults.strikes = engine.strikes
        await tell(engine, loaded)
        engine.sender.paused = paused

        reloading = Reloading(
            settings, describe, again, engine, pool, gateway, restart if supervised else None
        )
        control = Control(engine, REAL, reloading.rules)
        server = await serve(socket_path(settings.data), control.handle)
        stack.push_async_callback(server.close)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloading.everything)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
        await engine.run(stop, engine.watch.run)
    return code


async def _good(
    settings: Settings, describe: Describe, starting: "asyncio.Future[Manifest]"
) -> bool:
    """Whether nothing of the project keeps a node from starting: the receiver hears that, a person
    reads what does."""
    await asyncio.wait((starting,), timeout=PLUGIN_SECONDS)
    known = starting.done() and not starting.exception()
    project = describe(settings, starting.result() if known else Manifest())
    problems = project.refusals(missing=not known)
    if problems:
        print(render(problems, "text").rstrip("\n"), file=sys.stderr, flush=True)
        return False
    link = Link(socket_path(settings.data, "receiver"))
    await link.ask({"op": "checked"}, 30.0)
    await link.close()
    return True


def _yield_to_reception(priority: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, priority)


async def _unless(stop: asyncio.Event, working: "asyncio.Future[T]") -> T | None:
    """The result of `working`; None when it is asked to stop meanwhile."""
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait((working,))
    return None


async def _beat(heartbeat: Heartbeat) -> None:
    while True:
        heartbeat.beat()
        await asyncio.sleep(BEAT_SECONDS)


@contextlib.asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[Gateway | None]:
    """The gateway, or None when no credentials are configured (rules may still run and notify)."""
    try:
        gateway = Gateway.from_settings(settings, runtime=REAL)
    except RingbackError as error:
        log.warning("%s", error)
        yield None
        return
    async with gateway:
        yield gateway


def _listen(stop: asyncio.Event, supervised: bool) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    if supervised:
        _end_with_parent(stop)


def _end_with_parent(stop: asyncio.Event) -> None:
    """Standard input is a pipe that the receiver holds open: its end of file is the receiver's."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 1):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()
            loop.call_later(PARENT_GRACE, sys.exit, 0)

    loop.add_reader(sys.stdin.fileno(), readable)
