"""Time limits of a bench: code of plugins runs in a thread, which is given up on when it is late.

A node kills the plugin host; a test has one process, so a late thread is left behind. It is asked
to end, which stops a loop and not a sleep.
"""

import ctypes
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import replace
from functools import partial
from typing import Any

from ringback.errors import PluginBlocked, PluginError
from ringback.plugins.loader import PluginSet
from ringback.plugins.perform import describe
from ringback.plugins.requests import FunctionCalls, Request, StepCall
from ringback.rules.language.function import Function
from ringback.rules.model import StepKind
from ringback.worker.questions import FUNCTION_SECONDS


class _GivenUp(BaseException):
    """Thrown into a thread whose result nobody wants any more."""


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


def limited(work: Callable[[], Any], seconds: float, request: Request) -> Any:
    """The result of `work`, which carries out this request.

    Raises what it raises, PluginError for an attempt to end the process, and PluginBlocked when it
    takes longer than `seconds`.
    """
    thread = _IDLE.pop() if _IDLE else _Thread()
    thread.work.put((copy_context(), work))
    try:
        value, error = thread.ends.get(timeout=seconds)
    except queue.Empty:
        thread.give_up()
        message = f"took longer than {seconds:g} s"
        raise PluginBlocked(request.plugin, message, request.owner) from None
    except BaseException:  # Ctrl-C while it works: what it gives then is nobody's
        thread.give_up()
        raise
    _IDLE.append(thread)
    if error is None:
        return value
    if isinstance(error, Exception):
        raise error
    raise PluginError(request.plugin, describe(error)) from error


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
