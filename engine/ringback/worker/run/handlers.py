"""Calls of user code, which cannot hurt anybody else.

Each call runs in a thread of its own pool, with a time limit, and everything it raises is caught.
A call that is late loses its thread: a sleeping one is left behind and replaced, one that burns the
processor is interrupted and, if that does not help, makes the worker ask for its own restart. Code
that holds the interpreter itself can only be killed from outside: `InFlight` names it to the
supervisor.
"""

import asyncio
import contextlib
import ctypes
import inspect
import logging
import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ringback.errors import PluginBlocked, PluginError, RingbackError
from ringback.inflight import InFlight
from ringback.plugins.context import Clock
from ringback.plugins.perform import Loaded, announce, describe, perform
from ringback.plugins.requests import HandlerCall, StepCall
from ringback.rules.language.scope import Facts

log = logging.getLogger(__name__)

Fault = Callable[[str, str, str], Awaitable[None]]

THREADS = 32
LOST_LIMIT = 32
"""So many sleeping threads left behind are enough: the worker starts afresh then."""
BURNING_SECONDS = 0.2


class HandlerTimeout(RingbackError):
    """User code took longer than its limit."""


class _Interrupted(BaseException):
    """Thrown into a thread whose caller has given up."""


@dataclass(slots=True)
class _Call:
    work: Callable[[], Any]
    future: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread | None = None
    done: bool = False
    abandoned: bool = False


class Handlers:
    """The threads in which user code runs. `on_poisoned` is called when only a restart helps."""

    def __init__(
        self,
        in_flight: InFlight | None,
        on_poisoned: Callable[[str], None],
        *,
        threads: int = THREADS,
    ) -> None:
        self._in_flight = in_flight
        self._on_poisoned = on_poisoned
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._size = threads
        self._idle = 0
        self._started = 0
        self._lost = 0
        self._counting = threading.Lock()

    async def call(
        self, work: Callable[[], Any], *, limit: float, run_uid: str, rule: str, plugin: str
    ) -> Any:
        """Run `work`, sync or async, and give its result.

        Raises HandlerTimeout after `limit` seconds and PluginError for whatever it raised, a
        SystemExit included.
        """
        loop = asyncio.get_running_loop()
        call = _Call(work, loop.create_future(), loop)
        slot = self._in_flight.begin(run_uid, rule, plugin, limit) if self._in_flight else -1
        self._ensure_thread()
        self._queue.put(call)
        try:
            async with asyncio.timeout(limit):
                return await call.future
        except TimeoutError:
            await self._abandon(call, rule, plugin)
            raise HandlerTimeout(f"took longer than {limit:g} s") from None
        finally:
            if self._in_flight:
                self._in_flight.end(slot)

    def close(self) -> None:
        """Let the idle threads end. Late ones are daemons and end with the process."""
        for _ in range(self._started):
            self._queue.put(None)

    def _ensure_thread(self) -> None:
        with self._counting:
            if self._idle or self._started >= self._size:
                return
            self._started += 1
        threading.Thread(target=self._serve, name="handler", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._counting:
                self._idle += 1
            call = self._queue.get()
            with self._counting:
                self._idle -= 1
            if call is None:
                return
            if call.abandoned:  # its time ran out before a thread was free
                continue
            call.thread = threading.current_thread()
            outcome: tuple[bool, Any]
            try:
                try:
                    outcome = (True, _finish(call.work()))
                except _Interrupted:
                    raise
                except BaseException as error:
                    outcome = (False, error)
                with self._counting:
                    call.done = True
                    if call.abandoned:
                        self._lost -= 1
                        return  # another thread has taken this one's place
            except _Interrupted:
                with self._counting:
                    self._lost -= 1
                return
            with contextlib.suppress(RuntimeError):  # the loop has ended
                call.loop.call_soon_threadsafe(_deliver, call.future, outcome)

    async def _abandon(self, call: _Call, rule: str, plugin: str) -> None:
        with self._counting:
            thread = call.thread
            call.abandoned = True
            if thread is None or call.done:
                return
            self._started -= 1
            self._lost += 1
            lost = self._lost
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Interrupted)
        )
        before = _burnt(thread)
        await asyncio.sleep(BURNING_SECONDS)
        if thread.is_alive() and _burnt(thread) - before > BURNING_SECONDS / 4:
            self._on_poisoned(f"plugin {plugin or '?'}, rule {rule}, burns the processor")
        elif lost >= LOST_LIMIT:
            self._on_poisoned(f"{lost} calls of plugins hang; the last one is rule {rule}")


def _finish(result: Any) -> Any:
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    return result


def _deliver(future: "asyncio.Future[Any]", outcome: tuple[bool, Any]) -> None:
    good, value = outcome
    if future.done():
        return
    if good:
        future.set_result(value)
    elif isinstance(value, RingbackError):
        future.set_exception(value)
    else:
        future.set_exception(PluginError("", describe(value)))


def _burnt(thread: threading.Thread) -> float:
    """The processor seconds that a thread has used so far; 0 where the system does not tell."""
    try:
        shown = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(shown.split()[0]) / 1e9


class LocalCalls:
    """Calls of plugins that are loaded in this process, in its threads."""

    def __init__(self, handlers: Handlers, project: Loaded, facts: Facts, clock: Clock) -> None:
        self.project = project
        self._handlers = handlers
        self._facts = facts
        self._clock = clock

    async def call(self, request: Any, *, limit: float) -> Any:
        """Carry a request out. Raises as `PluginCalls` does."""
        work = partial(perform, request, self.project, facts=self._facts, clock=self._clock)
        event = request.event.uid if isinstance(request, HandlerCall | StepCall) else ""
        return await self._call(work, limit, event, request.owner, request.plugin)

    async def announce(self, hook: str, limit: float, fault: Fault) -> None:
        """Tell every plugin that the worker begins or ends."""
        for plugin in self.project.plugins.hooked(hook):
            work = partial(
                announce, hook, plugin.name, self.project, facts=self._facts, clock=self._clock
            )
            try:
                await self._call(work, limit, "", f"{plugin.name}.{hook}", plugin.name)
            except RingbackError as error:
                log.error("plugin %s: %s: %s", plugin.name, hook, error)
                await fault(hook, plugin.name, str(error))

    async def _call(
        self, work: Callable[[], Any], limit: float, event: str, owner: str, plugin: str
    ) -> Any:
        try:
            return await self._handlers.call(
                work, limit=limit, run_uid=event, rule=owner, plugin=plugin
            )
        except HandlerTimeout as error:
            raise PluginBlocked(plugin, str(error), owner) from None
        except PluginError as error:
            if error.plugin:
                raise
            raise PluginError(plugin, str(error).removeprefix("plugin : ")) from None
