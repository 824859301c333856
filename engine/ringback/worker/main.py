"""Worker process: takes the lock, opens the files, runs the engine, and ends in order."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ringback.config import Settings
from ringback.errors import HeldError
from ringback.heartbeat import NAME, Heartbeat
from ringback.hooks import definitions_file
from ringback.ipc import REFUSED, Link, socket_path
from ringback.plugins.manifest import Manifest
from ringback.rules.files.report import render
from ringback.store.journal import Store, open_store
from ringback.store.upkeep.locks import end_orphan, hold
from ringback.worker.cluster.place import Place
from ringback.worker.hosts.pool import Pool
from ringback.worker.hosts.server_link import PLUGIN_SECONDS, Launched, command_for
from ringback.worker.strikes import Faults

if TYPE_CHECKING:
    from ringback.worker.reload import Describe

log = logging.getLogger(__name__)

LOCK_PATIENCE = 8.0
"""How long a worker waits for the lock of its predecessor; the old one drains at most so long."""
ORPHAN_SECONDS = 4.0
"""After so long a predecessor whose receiver is gone is taken to hang, and is killed."""
PARENT_GRACE = 2.0
BEAT_SECONDS = 0.1
WORKER_NICE = 5
"""When both want the same core, reception goes first: what waits in the log is not lost."""


def work(
    settings: Settings,
    describe: "Describe",
    *,
    again: Callable[[], Settings] | None = None,
    launched: Launched | None = None,
    supervised: bool = False,
    checking: bool = False,
) -> int:
    """Run a worker until it is asked to stop. Returns the exit code.

    `describe` compiles the rules when the plugins have been imported in a process of their own,
    which may have been `launched` already. On SIGHUP the settings are read once more by `again`.
    `supervised` means that a receiver started it: its end (seen on standard input) is ours too, and
    it starts us again when we end. `checking` means that the receiver waits to hear that the rules
    are good; when they are not, they are named and the exit code is 1.
    Raises HeldError when another worker holds the data folder, DataError and StorageError for
    files that cannot be used.
    """
    patience = LOCK_PATIENCE if supervised else 0.0
    with contextlib.ExitStack() as stack:
        stack.enter_context(_hold(settings, patience))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            again = again or (lambda: settings)
            return runner.run(_work(settings, describe, again, launched, supervised, checking))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # it does not exist for Windows
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _hold(settings: Settings, patience: float) -> contextlib.AbstractContextManager[object]:
    began, looked = time.monotonic(), False
    while True:
        try:
            return hold(settings.data, "worker")
        except HeldError:
            waited = time.monotonic() - began
            if waited >= patience:
                raise
            if waited >= ORPHAN_SECONDS and not looked:
                looked = True
                end_orphan(settings.data, "worker")
            time.sleep(0.05)


async def _work(
    settings: Settings, describe: "Describe", again: Callable[[], Settings],
    launched: Launched | None, supervised: bool, checking: bool,
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
        priority = os.getpriority(os.PRIO_PROCESS, 0) + (WORKER_NICE if supervised else 0)
        if not checking:
            _yield_to_reception(priority)
        faults = Faults()
        pool = Pool(
            replace(command_for(settings, dict(os.environ)), priority=priority),
            launched=launched, on_fault=faults, hook_seconds=settings.handler_seconds,
        )  # fmt: skip
        starting = asyncio.ensure_future(pool.start())  # plugins and tables take their time
        place: Place | None = None
        store: Store | None = None
        try:
            if settings.database_url:
                place = await Place.join(settings, restart)
                stack.push_async_callback(place.close)
            else:
                # In a thread: tables that get a new form may take minutes, in which the loop beats.
                store = await asyncio.to_thread(open_store, settings.data)
        except BaseException:
            starting.cancel()
            await pool.close()
            raise
        opened = stack.enter_context(contextlib.ExitStack())
        if store is not None:
            opened.callback(store.close)
        stack.push_async_callback(faults.noted)
        stack.push_async_callback(pool.close)
        _listen(stop, supervised)
        if checking and not await _good(settings, describe, starting):
            starting.cancel()
            return REFUSED
        _yield_to_reception(priority)  # not before: reception waited for this
        # Half of what a worker imports: not before, either.
        from ringback.worker.service import Start, serve_rules, unless

        manifest = await unless(stop, starting)
        if manifest is None:
            return code
        if place is not None:
            async with place.standing_by(socket_path(settings.data)):
                await unless(stop, asyncio.ensure_future(place.owned()))
            if stop.is_set():
                return code
            store = await place.opened()
            opened.callback(store.close)
        assert store is not None
        start = Start(
            settings, describe, again, restart, supervised, store.journal, pool, faults, place
        )
        await serve_rules(start, manifest, stop)
    return code


async def _good(
    settings: Settings, describe: "Describe", starting: "asyncio.Future[Manifest]"
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
    hooks = project.ruleset.language.hooks or {}
    await asyncio.to_thread(definitions_file.put, settings.data, hooks)
    link = Link(socket_path(settings.data, "receiver"))
    await link.ask({"op": "checked"}, 30.0)
    await link.close()
    return True


def _yield_to_reception(priority: int) -> None:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, priority)


async def _beat(heartbeat: Heartbeat) -> None:
    while True:
        heartbeat.beat()
        await asyncio.sleep(BEAT_SECONDS)


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
