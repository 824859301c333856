"""How do bytes get to the peer and back?

httpcore asks for a stream of bytes. Its own, on anyio, enters a cancel scope and a checkpoint for
each read and write: a third of what a whole request costs. This one is a protocol of asyncio, with
a timer where something is waited for.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import httpcore
from aiohappyeyeballs import AddrInfoType, start_connection

HIGH_BYTES = 64 * 1024
"""What has arrived and was not asked for: beyond it, the peer is made to wait."""
NEXT_ADDRESS_SECONDS = 0.25
"""How long an address of a name may stay silent until the next is tried beside it: RFC 8305."""


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. Raises the errors of httpcore that name what could not be done."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._ended = False
        self._broken: Exception | None = None
        self._full = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, or TLS has taken the place of the plain one."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Something has arrived."""
        self._arrived += data
        if len(self._arrived) > HIGH_BYTES and self._transport is not None:
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> bool:
        """The peer says no more: so do we."""
        self._ended = True
        _wake(self._reader)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes and nothing goes any more."""
        self._ended = True
        self._broken = exc
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """The peer does not take what was written."""
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        _wake(self._writer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived; waits when there is nothing. Empty at the end."""
        if not self._arrived and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await _within(self._reader, timeout, httpcore.ReadTimeout)
        if self._arrived:
            data = bytes(self._arrived[:max_bytes])
            del self._arrived[:max_bytes]
            if not self._arrived and not self._ended and self._transport is not None:
                self._transport.resume_reading()
            return data
        if self._broken is not None:
            raise httpcore.ReadError(str(self._broken))
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Hand over what is to be sent; waits while the peer does not take it."""
        if self._transport is None or self._transport.is_closing():
            raise httpcore.WriteError(str(self._broken or "the connection is closed"))
        self._transport.write(buffer)
        if self._full:
            self._writer = asyncio.get_running_loop().create_future()
            await _within(self._writer, timeout, httpcore.WriteTimeout)
            if self._broken is not None:
                raise httpcore.WriteError(str(self._broken))

    async def aclose(self) -> None:
        """Close at once. Nobody is waited for: after an exchange there is nothing left to say."""
        if self._transport is not None:
            self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS from here on, with a peer of this name."""
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        try:
            async with asyncio.timeout(timeout):
                secure = await loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            await self.aclose()
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:  # ssl.SSLError is one
            await self.aclose()
            raise httpcore.ConnectError(str(error)) from error
        if secure is None:  # asyncio's way to say that the connection ended meanwhile
            raise httpcore.ConnectError("the connection ended during the TLS handshake")
        self._transport = secure
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about a connection."""
        if info == "is_readable":  # of an idle connection: the peer spoke out of turn, or left
            return bool(self._arrived) or self._ended
        names = {"server_addr": "peername", "client_addr": "sockname"}
        assert self._transport is not None
        return self._transport.get_extra_info(names.get(info, info))


class Network(httpcore.AsyncNetworkBackend):
    """Makes streams."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to whichever address of the host answers first."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                # A number needs no look-up, which is done in threads and mixes up the order.
                found = _numeric(host, port) or await loop.getaddrinfo(
                    host, port, type=socket.SOCK_STREAM
                )
                connected = await start_connection(
                    found, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1
                )
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, stream = await loop.create_connection(Stream, sock=connected)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(_said(error)) from error
        return stream


async def _within(
    news: "asyncio.Future[None]", seconds: float | None, late: type[httpcore.TimeoutException]
) -> None:
    if seconds is None:
        await news
        return
    timer = asyncio.get_running_loop().call_later(seconds, _fail, news, late)
    try:
        await news
    finally:
        timer.cancel()


def _numeric(host: str, port: int) -> list[AddrInfoType]:
    """The one address that a host in numbers is; nothing for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    return []


def _said(error: OSError | UnicodeError) -> str:
    """In the system's words: "Connection refused", where asyncio says that a call failed."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno)
    return str(error)


def _fail(news: "asyncio.Future[None]", error: type[Exception]) -> None:
    if not news.done():
        news.set_exception(error())


def _wake(news: "asyncio.Future[None] | None") -> None:
    if news is not None and not news.done():
        news.set_result(None)
