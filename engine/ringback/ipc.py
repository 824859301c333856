"""Messages between the processes of a node: JSON lines over a Unix socket of the worker.

A request carries a number and gets one answer with the same number; a notice carries none. Nothing
durable travels here: a lost line costs time, never a fact, because both halves read the log.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from ringback.errors import (
    Conflict,
    DataError,
    HeldError,
    Missing,
    RingbackError,
    RoleTooSmall,
    StorageError,
    UsageError,
)
from ringback.private_files import FILE

Message = Mapping[str, Any]
Handler = Callable[[Message], Awaitable[Message | None]]

_KINDS: dict[int, type[RingbackError]] = {
    kind.exit_code: kind for kind in (UsageError, DataError, StorageError, HeldError)
}
REFUSED = 1
"""Exit code of a worker that checks the rules before its receiver listens, and found them wrong."""
_LONGEST_PATH = 100
_LONGEST_LINE = 1 << 20


class WorkerAway(RingbackError):
    """There was no answer on the worker's socket in time."""

    exit_code = 75


def socket_path(data: Path, role: str = "worker") -> Path:
    """Where the worker (or the receiver) of this data folder listens. Sockets cannot have long
    names, so a deep folder gets a short one in the temporary directory, for this user alone."""
    path = data.resolve() / f"{role}.sock"
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ringback-{role}-{os.getuid()}-{digest}.sock"


class Server:
    """The listening side. `close` hangs up on everybody, in order."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, path: Path) -> None:
        """Listen at `path`, which is taken over from a dead predecessor."""
        path.unlink(missing_ok=True)
        self._path = path
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(os.fspath(path))
        path.chmod(FILE)  # before anybody can connect
        self._server = await asyncio.start_unix_server(self._met, sock=bound, limit=_LONGEST_LINE)

    async def close(self) -> None:
        """Stop listening and end what is still being answered."""
        if self._server is not None and self._path is not None:
            self._server.close()
            with contextlib.suppress(OSError):  # a disk that is read-only now; nobody listens there
                self._path.unlink(missing_ok=True)
        for writer in self._writers:
            writer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._talk(reader, writer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
                while line := await reader.readline():
                    message = json.loads(line)
                    if "n" in message:
                        self._start(self._answer(message, writer))
                    else:  # nobody waits: there is nothing to do beside the next one
                        await self._answer(message, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        number = message.pop("n", None)
        try:
            result = await self._handler(message)
        except RingbackError as error:
            result = refusal(error)
        if number is not None and not writer.is_closing():
            writer.write(_line({**(result or {}), "n": number}))


async def serve(path: Path, handler: Handler) -> Server:
    """Listen at `path`. The caller closes the server.

    `handler` gets each message; what it returns is sent back when the message asked for it.
    """
    server = Server(handler)
    await server.listen(path)
    return server


def refusal(error: RingbackError) -> dict[str, Any]:
    """An error as it is answered to the other side: words and exit code, and of a conflict what
    is true `now`, of a `role` that is too small the one that is wanted; and what is `missing`."""
    told: dict[str, Any] = {"error": str(error), "exit_code": error.exit_code}
    if isinstance(error, Conflict):
        told["now"] = error.now
    if isinstance(error, RoleTooSmall):
        told["role"] = error.role
    if isinstance(error, Missing):
        told["missing"] = True
    return told


def require_good(answer: Message) -> None:
    """Raise what the other side raised, in its words, of its kind and with its exit code; nothing
    for an answer that is none of an error."""
    if "error" not in answer:
        return
    code = int(answer.get("exit_code", RingbackError.exit_code))
    if "now" in answer:
        raise Conflict(str(answer["error"]), answer["now"])
    if "role" in answer:
        raise RoleTooSmall(str(answer["error"]), str(answer["role"]))
    if "missing" in answer:
        raise Missing(str(answer["error"]))
    error = _KINDS.get(code, RingbackError)(str(answer["error"]))
    error.exit_code = code
    raise error


def _why(error: OSError, waited: float) -> str:
    """What happened, in words: the error of a time-out has none of its own."""
    if isinstance(error, TimeoutError):
        return f"it said nothing for {waited:g} s"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "nobody listens on its socket"
    return error.strerror or str(error) or type(error).__name__


def _line(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Link:
    """The calling side. It connects when first needed and again after the worker came back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting: asyncio.Lock | None = None

    async def ask(self, message: Message, timeout: float) -> dict[str, Any]:
        """Send a request and wait for its answer. Raises WorkerAway after `timeout` seconds, or at
        once when nobody listens."""
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout):
                writer = await self._connect()
                writer.write(_line({**message, "n": number}))
                return await future
        except (OSError, TimeoutError) as error:
            raise WorkerAway(f"the worker did not answer: {_why(error, timeout)}") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, message: Message) -> bool:
        """Send a notice; False when nobody listens now (the next one may find a connection)."""
        writer = self._writer
        if writer is None or writer.is_closing():
            if self._connecting is None or not self._connecting.locked():
                self._reading_later = asyncio.ensure_future(self._connect_quietly())
            return False
        writer.write(_line(message))
        return True

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _connect_quietly(self) -> None:
        with contextlib.suppress(OSError):
            await self._connect()

    async def _connect(self) -> asyncio.StreamWriter:
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:
            if self._writer is None or self._writer.is_closing():
                reader, self._writer = await asyncio.open_unix_connection(
                    self._path, limit=_LONGEST_LINE
                )
                self._reading = asyncio.ensure_future(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                answer = json.loads(line)
                future = self._waiting.get(answer.pop("n", 0))
                if future is not None and not future.done():
                    future.set_result(answer)
        writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError("the worker hung up"))


async def ask_once(path: Path, message: Message, timeout: float = 5.0) -> dict[str, Any]:
    """Ask the worker one thing, as a command of the shell does. Raises WorkerAway."""
    link = Link(path)
    try:
        return await link.ask(message, timeout)
    finally:
        await link.close()
