"""HTTP pool: the one place that opens connections to the outside, one exchange a time on each.

aiohttp's connections. TLS, tunnels and parsing are its own; httpx reads addresses and finds the
certificates of the system. The request is written here, as a whole: aiohttp's session would make
a task and some twenty objects for it, and ask again what gave no answer. Added is what a caller
needs who must not send twice: whether anything can have left, one attempt and no more, and bounds
on time and bytes.
"""

import asyncio
import re
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import TracebackType
from typing import Self
from weakref import WeakSet

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

from ringback.gateway.broken import CONNECTING, Ended, words
from ringback.gateway.proxy import Proxy

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 35.0
KEEPALIVE_SECONDS = 15.0
_WAYS = 256
"""The addresses that are remembered."""
BODY_CAP = 256 * 1024
LIST_CAP = 16 * 1024 * 1024
"""For what is only read: a page of a thousand long texts in escapes has 10 MiB."""


class NotSent(Exception):
    """No byte of the request left: DNS, refused, TLS, no free connection, an illegal header."""


class Broken(Exception):
    """The exchange broke after something may have left: it is not known what happened."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one exchange: seconds to connect, between reads and in all; bytes of body."""

    connect: float = CONNECT_SECONDS
    read: float = READ_SECONDS
    total: float = TOTAL_SECONDS
    body: int = BODY_CAP


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the headers (names in lower case) and the whole body.

    `fault` says why the body is not there to be read: cut off, over the cap, compressed though that
    was not asked for. The status counts all the same.
    """

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)
    fault: str = ""


class Closing(ABC):
    """An async context manager that ends with `aclose`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Close every connection."""


@dataclass(slots=True)
class _Exchange:
    """One request as it is to be written. `connected` from when its bytes may leave; `leaving` is
    called then."""

    target: URL
    message: bytes = field(repr=False)
    limits: Limits
    sni: str = ""
    leaving: Callable[[], None] | None = None
    connected: bool = False


class Pool(Closing):
    """Up to `size` exchanges at a time. Follows no redirect, keeps no cookie, retries nothing.

    `tls=False` is for a base that is plain HTTP: the certificates of the system are not loaded, and
    https is refused. `proxy` tunnels https to where it serves. Used within one event loop; `aclose`
    when done, which also ends the exchanges that still run.
    """

    def __init__(
        self,
        size: int = 50,
        *,
        tls: bool = True,
        verify: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._tls = tls
        self._verify = verify
        self._proxy = proxy
        self._free = asyncio.Semaphore(size)
        self._connector: aiohttp.TCPConnector | None = None
        self._ways: dict[tuple[URL, str], aiohttp.ClientRequest] = {}
        self._used: WeakSet[asyncio.Protocol] = WeakSet()
        self._closed = False

    async def exchange(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes = b"",
        limits: Limits = DEFAULT_LIMITS,
        *,
        sni: str = "",
        leaving: Callable[[], None] | None = None,
    ) -> Answer:
        """Send one request once and read its answer. `sni` is the name that the certificate must
        have, when it is not the host of the URL. `leaving` is called when there is a connection,
        before a byte is written to it.

        Raises NotSent when it is certain that no byte left, Broken when it is not and no status
        came back. What is raised holds neither headers nor body.
        """
        problem: Exception
        try:
            target, host = _parsed(url)
            message = _message(method, target, host, headers, body)
        except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
            problem = NotSent("the request cannot be written as HTTP")
        else:
            # Raised after the except clauses, so that no exception of aiohttp, which may hold the
            # request and its credentials, hangs on as the context of ours.
            result = await self._guarded(_Exchange(target, message, limits, sni, leaving))
            if isinstance(result, Answer):
                return result
            problem = result
        raise problem

    async def _guarded(self, exchange: _Exchange) -> Answer | Exception:
        limits = exchange.limits
        if self._free.locked():
            try:
                async with asyncio.timeout(limits.connect):
                    await self._free.acquire()
            except TimeoutError:
                return NotSent("every connection was busy")
        else:
            await self._free.acquire()
        try:
            async with asyncio.timeout(limits.total):
                return await self._answer(exchange)
        except TimeoutError:
            said = f"no full answer within {limits.total:g} s"
        except Ended as error:
            said = str(error)
        finally:
            self._free.release()
        if exchange.connected:
            return Broken(said)
        via = self._via(exchange.target)
        return NotSent(said if via is None else f"{said} at the proxy {via.url}")

    async def _answer(self, exchange: _Exchange) -> Answer:
        """One attempt. Raises Ended when no status comes back."""
        connection: Connection | None = None
        try:
            connection = await self._connection(exchange)
            answer = await _asked(connection, exchange)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, (aiohttp.ClientError, HttpProcessingError, OSError)):
                raise Ended(words(error)) from None
            raise
        connection.release()
        return answer

    async def _connection(self, exchange: _Exchange) -> Connection:
        """A new connection, or one that has been silent since its last answer."""
        connector, way = self._opened(), self._way(exchange.target.origin(), exchange.sni)
        while True:
            try:
                connection = await connector.connect(way, [], _timeout(exchange.limits))
            except TimeoutError as error:
                raise Ended(CONNECTING) from error
            protocol = connection.protocol
            if protocol is None or protocol not in self._used:
                break
            # Let the loop read what the peer did since: it may have closed. Bytes that nobody asked
            # for would be taken for the answer to this request.
            try:
                await asyncio.sleep(0)
            except BaseException:
                connection.close()
                raise
            if protocol.is_connected() and not protocol.should_close:
                return connection
            connection.close()
        if protocol is not None:
            self._used.add(protocol)
        return connection

    def _way(self, origin: URL, sni: str) -> aiohttp.ClientRequest:
        """What aiohttp connects by: of a request it looks at the address only."""
        way = self._ways.get((origin, sni))
        if way is not None:
            return way
        via = self._via(origin)
        way = aiohttp.ClientRequest(
            "GET", origin, loop=asyncio.get_running_loop(), server_hostname=sni or None,
            proxy=URL(via.url) if via else None, proxy_headers=via.headers if via else None,
        )  # fmt: skip
        if via is None:  # to the headers for a proxy something is added, which makes it another way
            if len(self._ways) >= _WAYS:
                self._ways.clear()
            self._ways[origin, sni] = way
        return way

    def _via(self, target: URL) -> Proxy | None:
        proxy = self._proxy
        return proxy if proxy is not None and proxy.tunnels(str(target)) else None

    def _opened(self) -> aiohttp.TCPConnector:
        """The connections, made with the first request: they belong to the loop that runs then."""
        if self._closed:
            raise Ended("the pool is closed")
        if self._connector is None:
            # `limit=0`: the pool itself bounds the exchanges, and tells waiting from connecting.
            self._connector = aiohttp.TCPConnector(
                ssl=self._verify or (_trust() if self._tls else _no_trust()),
                limit=0, keepalive_timeout=KEEPALIVE_SECONDS,
            )  # fmt: skip
        return self._connector

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._connector is not None:
            await self._connector.close()


async def _asked(connection: Connection, exchange: _Exchange) -> Answer:
    """Write a request to a connection that nobody else has, and read the answer."""
    protocol, limits = connection.protocol, exchange.limits
    exchange.connected = True
    if exchange.leaving is not None:
        exchange.leaving()
    if protocol is None or protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        read_until_eof=True, auto_decompress=False, read_timeout=limits.read
    )
    protocol.transport.write(exchange.message)
    if not protocol.writing_paused:  # else the whole time is the bound
        protocol.start_timeout()
    return await _read(protocol, limits)


def _message(
    method: str, target: URL, host: str, headers: list[tuple[str, str]], body: bytes
) -> bytes:
    """A request as it is written. Raises ValueError for a header that cannot be."""
    head = _head(method, target, host, tuple(headers))
    if body or method not in ("GET", "DELETE"):
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    return head + b"\r\n"


@lru_cache(maxsize=64)
def _head(method: str, target: URL, host: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The part that does not depend on the body; that of most requests is the same."""
    if not _NAME.fullmatch(method):
        raise ValueError("a method that cannot be written")
    for name, value in headers:
        if not _NAME.fullmatch(name) or _ILLEGAL.search(value):
            raise ValueError("a header that cannot be written")
    given = [(name, value) for name, value in headers if name.lower() != "content-length"]
    if not any(name.lower() == "host" for name, _ in given):
        given.insert(0, ("Host", host))
    given.append(("Accept-Encoding", "identity"))
    lines = [f"{method} {target.raw_path_qs} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in given]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


@lru_cache(maxsize=16)
def _timeout(limits: Limits) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        connect=limits.connect, sock_connect=limits.connect, sock_read=limits.read
    )


@lru_cache(maxsize=256)
def _parsed(url: str) -> tuple[URL, str]:
    """An address as it is to be written, and its Host."""
    # Reading an address takes its time, and most requests go to one of a few.
    read = httpx.URL(url)
    if read.scheme not in ("http", "https") or not read.host:
        raise ValueError("not an http or https address")
    host = read.netloc.decode("ascii")
    # As httpx spells it, which leaves %-escapes alone: a signature covers the address.
    written = f"{read.scheme}://{host}{read.raw_path.decode('ascii')}"
    return URL(written, encoded=True), host


async def _read(protocol: ResponseHandler, limits: Limits) -> Answer:
    while True:
        message, content = await protocol.read()
        if message.code >= 200 or message.code == 101:
            break
    raw = message.raw_headers
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    headers = dict(pairs)
    if len(headers) < len(pairs):
        headers = {name: ", ".join(v for n, v in pairs if n == name) for name in headers}
    body, fault = await _body(content, headers, limits.body)
    return Answer(message.code, headers, body, fault)


async def _body(content: StreamReader, headers: dict[str, str], cap: int) -> tuple[bytes, str]:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return b"", "the answer is compressed though that was not asked for"
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := await content.readany():
            size += len(chunk)
            if size > cap:
                return b"", f"the answer is larger than {cap // 1024} KiB"
            chunks.append(chunk)
    except aiohttp.ClientError as error:
        return b"", f"the answer was cut off: {words(error)}"
    return b"".join(chunks), ""


_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ILLEGAL = re.compile(r"[^\t\x20-\x7e]")


@cache
def _trust() -> ssl.SSLContext:
    # Some 20 ms to load the certificates: once for the process, and only when TLS is wanted.
    return httpx.create_ssl_context()


@cache
def _no_trust() -> ssl.SSLContext:
    # For plain HTTP: an empty trust store refuses every certificate, should TLS come after all.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
