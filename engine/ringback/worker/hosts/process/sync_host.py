"""Sync host: a process that does one call at a time, so that who blocks or dies is certain."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ringback.errors import PluginError, RingbackError
from ringback.plugins.invoke import finished
from ringback.plugins.loader import hook_callers
from ringback.plugins.perform import Loaded, announce, describe, perform
from ringback.plugins.requests import FunctionCalls, Request
from ringback.rules.language.scope import Facts, NoFacts
from ringback.runtime import REAL
from ringback.worker.hosts import wire
from ringback.worker.hosts.marks import Marks
from ringback.worker.hosts.process.host_limits import Residue
from ringback.worker.hosts.process.plugin_output import Budget, Output

SLOW_SECONDS = 0.001
"""After a call that took longer, and every eighth one, all that it may have left is looked for."""
_PIECE = 1 << 14


@dataclass(frozen=True, slots=True)
class Work:
    """What a host is forked with: the project, the past, its slot, and how much memory it has.

    `silent` are the plugins whose `startup` is not called here, because it hung or ended another
    host.
    """

    loaded: Loaded
    facts: Callable[[], Facts]
    marks: Marks
    slot: int
    memory: int
    silent: frozenset[str]


class Line:
    """The host's end of its connection. What it sends goes out whole, from this process alone."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._process = os.getpid()
        self._sending = threading.Lock()
        os.register_at_fork(after_in_child=self._forked)

    def send(self, kind: int, number: int = 0, payload: bytes = b"") -> None:
        """Send a frame. In a process that plugin code has forked from this one it ends that."""
        if os.getpid() != self._process:
            os._exit(0)
        with self._sending:
            self.sock.sendall(wire.frame(kind, number, payload))

    def log(self, level: int, plugin: str, text: str) -> None:
        """A line for the worker's log."""
        with contextlib.suppress(OSError):
            self.send(wire.LOG, 0, wire.json_bytes([level, plugin, text]))

    def _forked(self) -> None:
        self._sending = threading.Lock()
        self.sock.close()


class Past:
    """The facts for the code of plugins, opened when they are first asked for."""

    def __init__(self, opened: Callable[[], Facts]) -> None:
        self._open = opened
        self._facts: Facts | None = None

    def __call__(self) -> Facts:
        if self._facts is None:
            try:
                self._facts = self._open()
            except RingbackError:  # there is no journal yet
                return NoFacts()
        return self._facts


def failure(error: BaseException) -> tuple[int, str]:
    """What a call that raised is answered with: the kind of the frame, and why in words."""
    try:
        if isinstance(error, PluginError):
            return wire.ERROR, str(error).removeprefix(f"plugin {error.plugin}: ")
        return wire.MEMORY if isinstance(error, MemoryError) else wire.ERROR, describe(error)
    except BaseException:
        return wire.ERROR, "raised something that cannot be described"


def serve(work: Work, sock: socket.socket) -> None:
    """Do calls until the worker says that it is enough, or goes away."""
    line = Line(sock)
    host = _Host(work, line)
    host.start()
    for kind, number, payload in _received(sock):
        if kind == wire.RETIRE or (kind == wire.CALL and not host.call(number, payload)):
            break
    host.stop()


def _received(sock: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    frames = wire.Frames()
    while data := sock.recv(_PIECE):
        yield from frames.feed(data)


class _Host:
    def __init__(self, work: Work, line: Line) -> None:
        self._work = work
        self._line = line
        self._past = Past(work.facts)
        self._budget = Budget("")
        self._output = Output(line.log, lambda: self._budget)
        self._residue: Residue | None = None
        self._quick = 0

    def start(self) -> None:
        self._output.take_over()
        for name in announced("startup", self._work.loaded):
            if name not in self._work.silent:
                self._announce("startup", name)
        self._residue = Residue(self._work.memory)
        self._line.send(wire.READY)

    def stop(self) -> None:
        for name in announced("shutdown", self._work.loaded):
            self._announce("shutdown", name)
        self._line.send(wire.AT, 0, wire.json_bytes(["", ""]))

    def call(self, number: int, payload: bytes) -> bool:
        """Do a call and answer it; whether this process is fit for another.

        The mark stays at this call until the next one: what ends the process meanwhile is its
        doing.
        """
        work, budget, began = self._work, Budget(""), time.monotonic()
        work.marks.begin(work.slot, number)
        self._budget = budget
        try:
            request, _ = wire.read_request(payload)
            budget.plugin = request.plugin
            kind, said = wire.ANSWER, wire.answer_bytes(request, self._perform(request, number))
        except BaseException as error:
            kind, why = failure(error)
            said = wire.json_bytes(why)
        self._output.end(budget)
        self._output.attach()
        self._quick = 0 if time.monotonic() - began > SLOW_SECONDS else (self._quick + 1) % 8
        left = self._residue.found(quick=self._quick != 0) if self._residue else ""
        if left:
            self._line.send(wire.LEAVING, number, wire.json_bytes(left))
        self._line.send(kind, number, said)
        return not left

    def _perform(self, request: Request, number: int) -> Any:
        work, facts = self._work, self._past()
        if not isinstance(request, FunctionCalls):
            return perform(request, work.loaded, facts=facts, clock=REAL)
        found: list[Any] = []
        for place, each in enumerate(request.calls):
            work.marks.begin(work.slot, number, place)
            one = FunctionCalls(request.plugin, (each,))
            found += perform(one, work.loaded, facts=facts, clock=REAL)
        return found

    def _announce(self, hook: str, name: str) -> None:
        self._budget = Budget(name)
        self._line.send(wire.AT, 0, wire.json_bytes([name, hook]))
        try:
            finished(announce(hook, name, self._work.loaded, facts=self._past(), clock=REAL))
        except BaseException as error:
            why = failure(error)[1]
            self._line.send(wire.FAULT, 0, wire.json_bytes([name, hook, why]))
        self._output.end(self._budget)


def announced(hook: str, loaded: Loaded) -> list[str]:
    """The plugins that want to be told of the beginning or the end of a host."""
    return [plugin.name for plugin, _ in hook_callers(loaded.plugins, hook)]
