"""Worker's end of a host: its connection, its process, and how far its life has come."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from ringback.worker.hosts import wire
from ringback.worker.hosts.server_link import Forked, ServerLink, to_log

_PIECE = 1 << 14
MOST_WORDS = {"sync": 300, "async": 20_000, "": 20_000}
"""So many things a host tells at most between two answers, by its kind, or before its first call.
Each call, and each hook of a plugin, may log a hundred lines."""
LONGEST_LINE = 2000
STATUS_SECONDS = 0.5
"""How long the wait status of a host may take behind the end of its connection."""


class HostLink:
    """One host. Its owner sets the callbacks.

    `on_frame` gets kind, number and payload of what concerns calls, and says whether it was one
    that is under way; it raises NoFrameError when there can be none of that number. `on_ended` is
    called once, with the wait status of the process; with None when only its connection has ended,
    of which `how` has the words. Code of plugins can write to the connection: what the host itself
    would not say ends it.
    """

    def __init__(self, server: ServerLink, kind: str, silent: tuple[str, ...]) -> None:
        self.on_ready: Callable[[], None] = _nothing
        self.on_frame: Callable[[int, int, bytes], bool] = _of_nobody
        self.on_ended: Callable[[int | None], None] = _nothing
        self.on_fault: Callable[[str, str, str], None] = _nothing
        self.at: tuple[str, str] = ("", "")
        """The plugin whose hook it is at, and the hook: `startup` or `shutdown`."""
        self.news = time.monotonic()
        """When it last told something of its start or its end."""
        self.kind = kind
        self.ready = False
        self.ended = False
        self.hung_up = False
        """Whether its connection has ended; how its process did is told within a moment."""
        self.leaving = ""
        self.how = "closed the connection of its process"
        self.retired = False
        """Whether it was told to end."""
        self._idle_words = 0
        self._loop = asyncio.get_running_loop()
        self._frames = wire.Frames()
        self._unsent = bytearray()
        self._process: Forked | None = None
        self.killed = False
        self._status: asyncio.TimerHandle | None = None
        self._sock, theirs = socket.socketpair()
        self._sock.setblocking(False)
        self._number = self._sock.fileno()
        self._loop.add_reader(self._number, self._readable)
        self.slot = server.fork(kind, silent, theirs)
        theirs.close()

    def forked(self, process: Forked) -> None:
        """Its process is there."""
        self._process = process
        if self.killed:
            process.kill()

    @property
    def pid(self) -> int:
        """The number of its process; 0 before it is there."""
        return self._process.pid if self._process else 0

    def send(self, kind: int, number: int = 0, payload: bytes = b"") -> None:
        """Send a frame. What does not fit now follows when there is room."""
        data = wire.frame(kind, number, payload)
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # its end is read next
            return
        if sent < len(data):
            self._unsent += data[sent:]
            self._loop.add_writer(self._number, self._writable)

    def kill(self) -> None:
        """End its process now."""
        self.killed = True
        if self._process is not None:
            self._process.kill()

    def drain(self) -> None:
        """Take what has come and was not read yet."""
        while not self.ended and not self.hung_up and self._read():
            pass

    def exited(self, status: int) -> None:
        """Its process has ended, with this wait status."""
        self.drain()
        self._end(status)

    def close(self) -> None:
        """Let go of it. The process ends when it sees this, or was told or killed before."""
        self.ended = True
        if self._status is not None:
            self._status.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._number)
            if self._unsent:
                self._loop.remove_writer(self._number)
            self._sock.close()
        if self._process is not None:
            self._process.close()

    def _writable(self) -> None:
        with contextlib.suppress(OSError):
            del self._unsent[: self._sock.send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._number)

    def _readable(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Take one piece of what has come; whether there may be more."""
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._hung_up()
            return False
        try:
            for kind, number, payload in self._frames.feed(data):
                if kind <= wire.STUCK and self.on_frame(kind, number, payload):
                    self._idle_words = 0
                    continue
                self._idle_words += 1
                if (
                    self._idle_words
                    > MOST_WORDS[self.kind if self.ready and not self.retired else ""]
                ):
                    raise wire.NoFrameError
                if kind > wire.STUCK:
                    self._told(kind, payload)
        except wire.NoFrameError:
            self._broken()
            return False
        return True

    def _told(self, kind: int, payload: bytes) -> None:
        """Something about the host itself."""
        self.news = time.monotonic()
        said = wire.read_words(kind, payload)
        if kind == wire.LOG:
            level, plugin, text = said
            to_log(level, plugin, text[:LONGEST_LINE])
        elif kind == wire.LEAVING:
            (self.leaving,) = said
        elif self.ready and not self.retired:  # of hooks it tells before its calls and behind them
            raise wire.NoFrameError
        elif kind == wire.AT:
            plugin, hook = said
            self.at = (plugin, hook)
        elif kind == wire.FAULT:
            self.on_fault(*said)
        else:
            self.ready = True
            self.at = ("", "")
            self._idle_words = 0
            self.on_ready()

    def _broken(self) -> None:
        """Something came that the host itself would not say. Nothing of it can be relied on."""
        self.how = "wrote to the connection of its process"
        self._loop.remove_reader(self._number)
        self.hung_up = True
        self._end(None)

    def _hung_up(self) -> None:
        """The connection has ended; its process mostly has, too, which its forkserver will tell."""
        self._loop.remove_reader(self._number)
        self.hung_up = True
        if self._status is None and not self.ended:
            self._status = self._loop.call_later(STATUS_SECONDS, self._end, None)

    def _end(self, status: int | None) -> None:
        if not self.ended:
            self.ended = True
            self.on_ended(status)


def _nothing(*_: Any) -> None:
    """Nobody listens yet."""


def _of_nobody(_kind: int, _number: int, _payload: bytes) -> bool:
    """No call is under way."""
    return False
