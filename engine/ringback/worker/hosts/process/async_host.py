"""Async host: a process whose loop runs the calls of async functions side by side.

Before each step on the loop the call that it belongs to is noted, so that the worker knows who
blocks. A late call is cancelled here; one that ignores this is told of, and costs the host.
"""

import asyncio
import contextvars
import socket
from dataclasses import dataclass, field
from typing import Any

from ringback.plugins.perform import announce, perform_async
from ringback.plugins.requests import Request
from ringback.runtime import REAL
from ringback.worker.hosts import wire
from ringback.worker.hosts.marks import Marks
from ringback.worker.hosts.process.host_limits import Residue
from ringback.worker.hosts.process.plugin_output import Budget, Output
from ringback.worker.hosts.process.sync_host import Line, Past, Work, announced, failure

CANCEL_SECONDS = 0.5
"""How long a cancelled call may take to end."""
POOL_THREADS = 40
"""So many threads are the loop's own, for `asyncio.to_thread`."""
_PIECE = 1 << 14


@dataclass(eq=False)
class _Call:
    number: int
    request: Request
    budget: Budget
    task: "asyncio.Task[Any] | None" = None
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)
    late: bool = False
    given_up: bool = False


_CALL: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("call", default=None)


def serve(work: Work, sock: socket.socket) -> None:
    """Do calls until the worker says that it is enough, or goes away."""
    line = Line(sock)
    note_steps(work.marks, work.slot)
    loop = asyncio.SelectorEventLoop()  # not what a plugin may have made the usual one
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_Host(work, line).run())


def note_steps(marks: Marks, slot: int) -> None:
    """Let every callback of every loop of this process be noted under its call.

    Steps of tasks, of tasks that these start, timers and arrivals on sockets are all handles, and
    run in the context of the call that made them.
    """
    run = asyncio.Handle._run

    def noted(handle: Any) -> None:
        call = handle._context.get(_CALL)
        if call is None:
            run(handle)
            return
        marks.begin(slot, call.number)
        try:
            run(handle)
        except (SystemExit, KeyboardInterrupt):
            pass  # the task has it; it is no reason to end the loop
        finally:
            marks.end(slot)

    setattr(asyncio.Handle, "_run", noted)  # noqa: B010


class _Host:
    def __init__(self, work: Work, line: Line) -> None:
        self._work = work
        self._line = line
        self._past = Past(work.facts)
        self._own = Budget("")
        self._output = Output(line.log, self._budget)
        self._calls: dict[int, _Call] = {}
        self._frames = wire.Frames()
        self._ended = asyncio.Event()
        self._residue: Residue | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_make_task)
        loop.set_exception_handler(lambda _loop, _context: None)
        self._output.take_over()
        for name in announced("startup", self._work.loaded):
            if name not in self._work.silent:
                await self._announce("startup", name)
        self._residue = Residue(self._work.memory)
        self._line.sock.setblocking(True)
        loop.add_reader(self._line.sock, self._readable)
        self._line.send(wire.READY)
        await self._ended.wait()
        for name in announced("shutdown", self._work.loaded):
            await self._announce("shutdown", name)
        self._line.send(wire.AT, 0, wire.json_bytes(["", ""]))

    def _budget(self) -> Budget:
        call = _CALL.get()
        return call.budget if call is not None else self._own

    def _readable(self) -> None:
        data = self._line.sock.recv(_PIECE)
        if not data:
            self._ended.set()
            return
        for kind, number, payload in self._frames.feed(data):
            if kind == wire.CALL:
                self._begin(number, payload)
            elif kind == wire.CANCEL:
                self._give_up(number)
            elif kind == wire.RETIRE:
                self._ended.set()

    def _begin(self, number: int, payload: bytes) -> None:
        if self._own.left <= 0:  # what threads write belongs to no call
            self._own = Budget("")
        try:
            request, limit = wire.read_request(payload)
        except Exception as error:
            kind, why = failure(error)
            self._line.send(kind, number, wire.json_bytes(why))
            return
        call = _Call(number, request, Budget(request.plugin))
        self._calls[number] = call
        context = contextvars.copy_context()
        context.run(_CALL.set, call)
        loop = asyncio.get_running_loop()
        work = perform_async(request, self._work.loaded, facts=self._past(), clock=REAL)
        call.task = loop.create_task(work, context=context)
        timer = loop.call_later(limit, self._late, call)
        call.task.add_done_callback(lambda task: self._done(call, task, timer))

    def _late(self, call: _Call) -> None:
        if call.task is not None and not call.task.done():
            call.late = True
            call.task.cancel()
            asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._stuck, call)

    def _stuck(self, call: _Call) -> None:
        if call.number in self._calls:
            self._line.send(wire.STUCK, call.number)

    def _give_up(self, number: int) -> None:
        call = self._calls.get(number)
        if call is not None and call.task is not None:
            call.given_up = True
            call.task.cancel()

    def _done(self, call: _Call, task: "asyncio.Task[Any]", timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        del self._calls[call.number]
        for other in tuple(call.tasks):
            other.cancel()
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        kind, said = self._answer(call, task, error)
        self._output.end(call.budget)
        left = ""
        if not self._calls and self._residue is not None:
            left = self._residue.found(POOL_THREADS)
        if left:
            self._line.send(wire.LEAVING, call.number, wire.json_bytes(left))
        if not call.given_up:
            self._line.send(kind, call.number, said)

    def _answer(
        self, call: _Call, task: "asyncio.Task[Any]", error: BaseException | None
    ) -> tuple[int, bytes]:
        if call.late:
            return wire.LATE, b""
        if error is None:
            try:
                return wire.ANSWER, wire.answer_bytes(call.request, task.result())
            except BaseException as wrong:
                error = wrong
        kind, why = failure(error)
        return kind, wire.json_bytes(why)

    async def _announce(self, hook: str, name: str) -> None:
        self._own = Budget(name)
        self._line.send(wire.AT, 0, wire.json_bytes([name, hook]))
        try:
            waited = announce(hook, name, self._work.loaded, facts=self._past(), clock=REAL)
            if waited is not None:
                await waited
        except BaseException as error:
            self._line.send(wire.FAULT, 0, wire.json_bytes([name, hook, failure(error)[1]]))
        self._output.end(self._own)


def _make_task(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> "asyncio.Task[Any]":
    """A task, kept with the call that starts it, so that it ends with the call."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **given)
    call = _CALL.get()
    if call is not None:
        call.tasks.add(task)
        task.add_done_callback(call.tasks.discard)
    return task
