"""Time limits of a bench: a call of plugin code that is late is given up on.

A node kills the plugin host; a test has one process. In the main thread the call is made where it
stands, and a watchdog sends this process a signal whose handler raises: that ends a loop and a
sleep. Elsewhere, and where a loop of asyncio is running, it is made in a thread, which is left
behind when it is late; it is asked to end, which stops a loop and not a sleep.
"""

import asyncio
import ctypes
import math
import queue
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

from ringback.errors import PluginBlocked, PluginError
from ringback.plugins.loader import PluginSet
from ringback.plugins.perform import describe
from ringback.plugins.requests import FunctionCalls, Request, StepCall
from ringback.rules.functions.function import Function
from ringback.rules.model import StepKind
from ringback.worker.questions import FUNCTION_SECONDS

SIGNAL: int = getattr(signal, "SIGRTMAX", 0)
"""What the watchdog sends: none that others use, and none where the system has no such signals."""
LOOK_SECONDS = 0.05
"""How often the watchdog looks, and how long it waits until it sends the signal once more."""
IDLE_LOOKS = 20
"""After so many looks without a call it waits for one, and costs nothing."""


class _GivenUp(BaseException):
    """Raised in a call whose result nobody wants any more."""


def limited(work: Callable[[], Any], seconds: float, request: Request) -> Any:
    """The result of `work`, which carries out this request.

    Raises what it raises, PluginError for an attempt to end the process, and PluginBlocked when it
    takes longer than `seconds`.
    """
    here = SIGNAL and threading.current_thread() is threading.main_thread()
    try:
        if here and asyncio._get_running_loop() is None:
            return _WATCHDOG.watched(work, seconds)
        return _in_a_thread(work, seconds)
    except _GivenUp:
        message = f"took longer than {seconds:g} s"
        raise PluginBlocked(request.plugin, message, request.owner) from None
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(request.plugin, describe(error)) from error


class _Watchdog:
    """A thread that looks now and then whether the call under way is late. A call costs it two
    assignments, and no thread has to wake up."""

    def __init__(self) -> None:
        self._deadline = math.inf
        self._asked = False
        self._resting = False
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def watched(self, work: Callable[[], Any], seconds: float) -> Any:
        """The result of `work`; raises _GivenUp when it takes longer. For the main thread."""
        if self._thread is None or not self._thread.is_alive():  # this process may be a forked one
            signal.signal(SIGNAL, self._give_up)
            self._thread = threading.Thread(target=self._watch, name="ringback-limit", daemon=True)
            self._thread.start()
        before, self._deadline = self._deadline, time.monotonic() + seconds
        self._asked = True
        if self._resting:
            self._wanted.set()
        try:
            return copy_context().run(work)
        finally:
            self._deadline = before

    def _give_up(self, _number: int, frame: FrameType | None) -> None:
        if self._deadline > time.monotonic():
            return
        while frame is not None and frame.f_code is not _Watchdog.watched.__code__:
            frame = frame.f_back
        if frame is not None:
            raise _GivenUp
        self._deadline = math.inf  # the last call has ended in the moment of the signal

    def _watch(self) -> None:
        looks = 0
        while True:
            time.sleep(LOOK_SECONDS)
            looks = 0 if self._asked or self._deadline < math.inf else looks + 1
            self._asked = False
            if self._deadline < time.monotonic():
                signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)
            elif looks > IDLE_LOOKS:
                self._rest()

    def _rest(self) -> None:
        """Wait for the next call, which looks whether this waits after it has said that it came."""
        self._wanted.clear()
        self._resting = True
        if not self._asked:
            self._wanted.wait()
        self._resting = False


_WATCHDOG = _Watchdog()


class _Thread:
    """A thread that does one piece of work after the other, with what became of each."""

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[tuple[Context, Callable[[], Any]]] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="ringback-bench", daemon=True)
        self._thread.start()

    def give_up(self) -> None:
        """Ask it to end, wherever it is."""
        ident = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_GivenUp))

    def _serve(self) -> None:
        with suppress(_GivenUp):
            while True:
                context, work = self.work.get()
                try:
                    end: tuple[Any, BaseException | None] = (context.run(work), None)
                except _GivenUp:
                    return
                except BaseException as error:
                    end = (None, error)
                self.ends.put(end)


_IDLE: list[_Thread] = []


def _in_a_thread(work: Callable[[], Any], seconds: float) -> Any:
    """The result of `work`, made by another thread; raises _GivenUp when it takes longer."""
    thread = _IDLE.pop() if _IDLE else _Thread()
    thread.work.put((copy_context(), work))
    try:
        value, error = thread.ends.get(timeout=seconds)
    except queue.Empty:
        thread.give_up()
        raise _GivenUp from None
    except BaseException:  # Ctrl-C while it works: what it gives then is nobody's
        thread.give_up()
        raise
    _IDLE.append(thread)
    if error is not None:
        raise error
    return value


def within_limits(plugins: PluginSet, seconds: float) -> PluginSet:
    """The same plugins, whose functions and steps have the limits and the errors of a node.
    `seconds` is what a step may take."""
    functions = tuple(replace(each, call=partial(_function, each)) for each in plugins.functions)
    steps = tuple(replace(each, run=partial(_step, each, seconds)) for each in plugins.steps)
    return replace(plugins, functions=functions, steps=steps)


def _function(function: Function, *args: Any) -> Any:
    request = FunctionCalls(function.plugin, ((function.name, args),))
    try:
        return limited(partial(function.call, *args), FUNCTION_SECONDS, request)
    except PluginError:
        raise
    except Exception as error:
        raise ValueError(describe(error)) from error


def _step(step: StepKind, seconds: float, event: Any, params: Any) -> Any:
    request = StepCall(step.name, step.plugin, "", event, params)
    try:
        return limited(partial(step.run, event, params), seconds, request)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(step.plugin, describe(error)) from error
