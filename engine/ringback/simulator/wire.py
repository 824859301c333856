"""Connection of the simulator that can break in every way a bad network does.

Each request knows its connection; a fault breaks that one and no other.
"""

import asyncio
import contextlib
import socket
import struct
from typing import Any

from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BreakableConnection(HttpToolsProtocol):
    """One connection of uvicorn that faults may take hold of.

    A `poisoned` one breaks at its next request; a `held` one is kept open by a slow fault and is
    broken when the server stops.
    """

    poisoned = False
    held = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["ringback.connection"] = self  # type: ignore[typeddict-unknown-key]

    def data_received(self, data: bytes) -> None:
        if self.poisoned:
            self.reset()
            return
        super().data_received(data)

    def reset(self) -> None:
        """End the connection by RST: what was in flight is lost."""
        if (link := self.transport) is None or link.is_closing():
            return
        if (plug := link.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.abort()

    def write(self, data: bytes) -> None:
        """Put bytes on the wire past the server's own idea of the answer."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def connection_of(request: Request) -> BreakableConnection | None:
    """The connection of a request; None when the app runs without a server, as in a test."""
    found: Any = request.scope.get("ringback.connection")
    return found if isinstance(found, BreakableConnection) else None


async def disconnected(request: Request) -> None:
    """Wait until the client has left, so that the server writes no answer of its own."""
    with contextlib.suppress(asyncio.TimeoutError):
        async with asyncio.timeout(60):
            while (await request.receive())["type"] != "http.disconnect":
                pass
