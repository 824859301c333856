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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.errors import PluginError, RingbackError
from ringback.inflight import InFlight

log = logging.getLogger(__name__)

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


def describe(error: BaseException) -> str:
    """An exception of user code in one line, with the last place in their file."""
    text = str(error).strip().splitlines()
    message = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
    own = [frame for frame in frames if not frame.filename.startswith(_HERE)]
    if own:
        message += f" ({own[-1].filename.rpartition('/')[2]}:{own[-1].lineno})"
    return message[:500]


_HERE = __file__


def _burnt(thread: threading.Thread) -> float:
    """The processor seconds that a thread has used so far; 0 where the system does not tell."""
    try:
        shown = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(shown.split()[0]) / 1e9
