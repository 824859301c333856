"""Control messages between the worker and the forkserver: JSON in frames, with descriptors beside.

The worker sends first `{"without": {name: problem}, "memory": bytes}`, with the connection and the
marks of a spare where it wants one, then `{"fork": slot, "kind": "sync" | "async", "silent":
[names]}` with the host's end of its connection. The forkserver sends `{"spare": pid}` with a pidfd
when it has forked that, `{"at": name, "file": path}` before each import, `{"loaded": manifest}`
once, then `{"forked": slot, "pid": pid}` with a pidfd where there are any, `{"ended": slot,
"status": status}` with the wait status, and `{"log": [level, plugin, text]}`.
"""

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

_LENGTH = struct.Struct("=I")
_PIECE = 1 << 16
_DESCRIPTORS = 64

Message = dict[str, Any]


def _plain(value: object) -> object:
    """What a plugin gave to a decorator, as text where it is no plain data."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


class Control:
    """One end of the control connection, a stream socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.descriptors: deque[int] = deque()
        """Those that came along and were not taken yet, in their order."""
        self._rest = bytearray()

    def send(self, message: Message, *descriptors: int) -> None:
        """Send a message whole. Raises OSError when the other end is gone."""
        data = json.dumps(message, default=_plain).encode()
        data = _LENGTH.pack(len(data)) + data
        sent = 0
        if descriptors:
            sent = socket.send_fds(self.sock, [data], descriptors)
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def receive(self) -> Iterator[Message]:
        """The messages that are here once something was read. Raises EOFError at the end."""
        data, found, _, _ = socket.recv_fds(self.sock, _PIECE, _DESCRIPTORS)
        for descriptor in found:
            os.set_inheritable(descriptor, False)
        self.descriptors += found
        if not data:
            raise EOFError
        self._rest += data
        while len(self._rest) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._rest)[0]
            if len(self._rest) < end:
                return
            message: Message = json.loads(self._rest[_LENGTH.size : end])
            del self._rest[:end]
            yield message

    def close(self) -> None:
        """Close it, with the descriptors that nobody took."""
        self.sock.close()
        while self.descriptors:
            os.close(self.descriptors.popleft())
