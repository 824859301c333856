"""Worker process: takes the lock, opens the files, runs the engine, and ends in order."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ringback.config import Settings
from ringback.errors import HeldError, RingbackError
from ringback.gateway.channels import Channels
from ringback.gateway.client import Gateway
from ringback.gateway.safe_http import Outbound
from ringback.inflight import InFlight, UserCall
from ringback.ipc import serve, socket_path
from ringback.plugins.manifest import Manifest, read_manifest
from ringback.runtime import REAL
from ringback.store.journal import open_store
from ringback.store.upkeep.locks import hold
from ringback.worker.control import PAUSED, Control
from ringback.worker.engine import Engine, Loaded
from ringback.worker.reload import Reloading
from ringback.worker.run.handlers import Handlers, LocalCalls
from ringback.worker.send.notices import Notices

log = logging.getLogger(__name__)

Describe = Callable[[Settings, Manifest], Loaded]
"""Compiles the rules of a project of which only the plugins' manifest is known."""

LOCK_PATIENCE = 8.0
"""How long a worker waits for the lock of its predecessor; the old one drains at most so long."""
PARENT_GRACE = 2.0
ENDED = "RINGBACK_WORKER_ENDED"
"""How the supervisor saw the last worker end: `killed 123.4` (by it, at that monotonic time),
`signal 11`, `exit 3`, or nothing when none of them is to blame."""


TROUBLE = "RINGBACK_WORKER_TROUBLE"
"""That the workers before this one kept ending: since when (seconds), and in words."""


def work(
    settings: Settings,
    load: Callable[[Settings], Any],
    describe: Describe,
    *,
    again: Callable[[], Settings] | None = None,
    supervised: bool = False,
) -> int:
    """Run a worker until it is asked to stop. Returns the exit code.

    On SIGHUP the settings are read once more by `again`. `supervised` means that a receiver started
    it: its end (seen on standard input) is ours too, and it starts us again when we end.
    Raises HeldError when another worker holds the data folder, DataError and StorageError for
    files that cannot be used.
    """
    patience = LOCK_PATIENCE if supervised else 0.0
    with contextlib.ExitStack() as stack:
        stack.enter_context(_hold(settings, patience))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(
                _work(settings, load, describe, again or (lambda: settings), supervised)
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
    settings: Settings,
    load: Callable[[Settings], Any],
    describe: Describe,
    again: Callable[[], Settings],
    supervised: bool,
) -> int:
    inflight_path = settings.data / "worker.inflight"
    left = _left_behind(inflight_path)
    in_flight = InFlight.create(inflight_path)
    in_flight.beat()
    store = open_store(settings.data)
    stop = asyncio.Event()
    code = 0

    def restart(reason: str) -> None:
        nonlocal code
        log.error("the worker restarts: %s", reason)
        code = 1
        stop.set()

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(store.close)
        handlers = Handlers(in_flight, restart)
        project = load(settings)
        told = describe(settings, read_manifest(project.manifest()))
        calls = LocalCalls(handlers, project, store.journal.facts(REAL), REAL)

        def reload(fresh: Settings) -> Loaded:
            found = load(fresh)
            if not found.problems:
                calls.project = found
            return describe(fresh, read_manifest(found.manifest()))

        gateway = await stack.enter_async_context(_gateway(settings))
        outbound = await stack.enter_async_context(Outbound(allow=settings.outbound_allow))
        engine = Engine(
            settings=settings, loaded=told, journal=store.journal,
            gateway=gateway, runtime=REAL, in_flight=in_flight, calls=calls,
            notices=Notices(
                outbound, Channels(settings.channels, outbound, environ=settings.environ), REAL,
                going_out=settings.notify,
            ),
        )  # fmt: skip
        since, _, trouble = os.environ.get(TROUBLE, "").partition(" ")
        if trouble:
            engine.sending.trouble = (datetime.fromtimestamp(float(since), UTC), trouble)
        engine.sender.paused = bool(await store.journal.meta.get(PAUSED))
        if engine.sender.paused:
            log.warning("paused by a person: nothing is sent until `ringback resume`")

        reloading = Reloading(
            settings, reload, again, engine, gateway, restart if supervised else None
        )
        control = Control(engine, REAL, reloading.rules)
        server = await serve(socket_path(settings.data), control.handle)
        stack.push_async_callback(server.close)
        _listen(stop, reloading.everything, supervised)
        if left:
            await engine.blame(left, os.environ.get(ENDED, ""))
        fault = engine.strikes.fault
        await calls.announce("startup", settings.handler_seconds, fault)
        await engine.run(stop, engine.watch.run)
        await calls.announce("shutdown", settings.handler_seconds, fault)
        handlers.close()
    return code


def _left_behind(path: Path) -> list[UserCall]:
    """The calls of user code that the last worker had begun when it ended."""
    old = InFlight.open(path)
    if old is None:
        return []
    held = [item for item in old.calls() if item.run_uid]
    old.close()
    return held


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


def _listen(stop: asyncio.Event, reload: Callable[[], object], supervised: bool) -> None:
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
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
