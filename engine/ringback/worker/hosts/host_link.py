"""Worker's end of a host: its connection, its process, and how far its life has come."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

from ringback.worker.hosts import wire
from ringback.worker.hosts.server_link import Forked, ServerLink, to_log

_PIECE = 1 << 14
STATUS_SECONDS = 0.5
"""How long the wait status of a host may take behind the end of its connection."""


class HostLink:
    """One host. Its owner sets the callbacks.

    `on_frame` gets kind, number and payload of what concerns calls. `on_ended` is called once, with
    the wait status of the process; with None when only its connection has ended.
    """

    def __init__(self, server: ServerLink, kind: str, silent: tuple[str, ...]) -> None:
        self.on_ready: Callable[[], None] = _nothing
        self.on_frame: Callable[[int, int, bytes], None] = _nothing
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
        for kind, number, payload in self._frames.feed(data):
            if kind <= wire.STUCK:
                self.on_frame(kind, number, payload)
            else:
                self._told(kind, payload)
        return True

    def _told(self, kind: int, payload: bytes) -> None:
        """Something about the host itself."""
        self.news = time.monotonic()
        said: Any = json.loads(payload) if payload else None
        if kind == wire.LOG:
            to_log(*said)
        elif kind == wire.LEAVING:
            self.leaving = said
        elif kind == wire.AT:
            self.at = (said[0], said[1])
        elif kind == wire.FAULT:
            self.on_fault(*said)
        elif kind == wire.READY:
            self.ready = True
            self.at = ("", "")
            self.on_ready()

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
