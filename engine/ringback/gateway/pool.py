"""HTTP pool: the one place that opens connections to the outside, one exchange a time on each.

httpx over aiohttp's transport. Connections, TLS, tunnels and parsing are aiohttp's. Added here is
what a caller needs who must not send twice: whether anything can have left, one attempt and no
more, and bounds on time and bytes.
"""

import asyncio
import os
import re
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from yarl import URL

from ringback.gateway.proxy import Proxy

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 35.0
KEEPALIVE_SECONDS = 15.0
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
    headers: list[tuple[str, str]] = field(repr=False)
    leaving: Callable[[], None] | None = None
    connected: bool = False


_CURRENT: ContextVar[_Exchange] = ContextVar("exchange")


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
        self._session: aiohttp.ClientSession | None = None
        self._direct: AiohttpTransport | None = None
        self._tunnel: AiohttpTransport | None = None
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
            address, target, host = _parsed(url)
            exchange = _Exchange(target, _headers(method, host, headers, body), leaving)
            request = _request(method, address, body, limits, sni)
        except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
            problem = NotSent("the request cannot be written as HTTP")
        else:
            # Raised after the except clauses, so that no exception of aiohttp, which may hold the
            # request and its credentials, hangs on as the context of ours.
            result = await self._guarded(request, exchange, limits)
            if isinstance(result, Answer):
                return result
            problem = result
        raise problem

    async def _guarded(
        self, request: httpx.Request, exchange: _Exchange, limits: Limits
    ) -> Answer | Exception:
        try:
            async with asyncio.timeout(limits.connect):
                await self._free.acquire()
        except TimeoutError:
            return NotSent("every connection was busy")
        token = _CURRENT.set(exchange)
        via = self._via(str(request.url))
        try:
            async with asyncio.timeout(limits.total):
                return await _read(await self._transport(via).handle_async_request(request), limits)
        except TimeoutError:
            said = f"no full answer within {limits.total:g} s"
        except (aiohttp.ClientError, httpx.TransportError, OSError) as error:
            said = _words(error)
        finally:
            _CURRENT.reset(token)
            self._free.release()
        if exchange.connected:
            return Broken(said)
        return NotSent(said if via is None else f"{said} at the proxy {via.url}")

    def _via(self, url: str) -> Proxy | None:
        return self._proxy if self._proxy is not None and self._proxy.tunnels(url) else None

    def _transport(self, via: Proxy | None) -> AiohttpTransport:
        """The transport through this proxy, or through none. Both share connections and rules."""
        if self._closed:
            raise _Ended("the pool is closed")
        ready = self._direct if via is None else self._tunnel
        if ready is not None:
            return ready
        trust = self._verify or (_trust() if self._tls else _no_trust())
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(trust),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,),
            )
        if via is None:
            self._direct = AiohttpTransport(client=self._session, verify=trust)
            return self._direct
        proxy = httpx.Proxy(via.url, headers=list(via.headers))
        self._tunnel = AiohttpTransport(client=self._session, verify=trust, proxy=proxy)
        return self._tunnel

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        if self._session is not None:
            await self._session.close()


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connections, looked at before one is used again, and note of who has one."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        # `limit=0`: the pool itself bounds the exchanges, and tells waiting from connecting.
        super().__init__(ssl=trust, limit=0, keepalive_timeout=KEEPALIVE_SECONDS)
        self._used: WeakSet[asyncio.Protocol] = WeakSet()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """A new connection, or one that has been silent since its last answer."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol not in self._used:
                break
            # Let the loop read what the peer did since: it may have closed. Bytes that nobody asked
            # for would be taken for the answer to this request.
            await asyncio.sleep(0)
            if protocol.is_connected() and not protocol.should_close:
                break
            connection.close()
        if protocol is not None:
            self._used.add(protocol)
        exchange = _CURRENT.get()
        exchange.connected = True
        if exchange.leaving is not None:
            exchange.leaving()
        return connection


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Middleware: the address and the names of headers as they were given, and no second attempt.

    aiohttp would send a GET or a DELETE again when the connection ends under it.
    """
    exchange = _CURRENT.get()
    request.url = exchange.target
    request.headers.clear()
    request.headers.extend(exchange.headers)
    if request.proxy_headers:
        # httpx has put the names into small letters; there are old proxies.
        capital = ((name.title(), value) for name, value in request.proxy_headers.items())
        request.proxy_headers = type(request.headers)(capital)
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        raise _Ended(_words(error)) from None


class _Ended(aiohttp.ClientError):
    """An attempt ended without an answer, for a reason in words. aiohttp repeats none such."""


def _headers(
    method: str, host: str, headers: list[tuple[str, str]], body: bytes
) -> list[tuple[str, str]]:
    """The headers as they are written. Raises ValueError for one that cannot be."""
    for name, value in headers:
        if not _NAME.fullmatch(name) or _ILLEGAL.search(value):
            raise ValueError("a header that cannot be written")
    given = [(name, value) for name, value in headers if name.lower() != "content-length"]
    if not any(name.lower() == "host" for name, _ in given):
        given.insert(0, ("Host", host))
    given.append(("Accept-Encoding", "identity"))
    if body or method not in ("GET", "DELETE"):
        given.append(("Content-Length", str(len(body))))
    return given


def _request(method: str, url: httpx.URL, body: bytes, limits: Limits, sni: str) -> httpx.Request:
    """The request without its headers, which `_once` writes."""
    timeout = {"connect": limits.connect, "pool": limits.connect, "read": limits.read}
    extensions: dict[str, Any] = {"timeout": timeout}
    if sni:
        extensions["sni_hostname"] = sni
    return httpx.Request(method, url, content=body, extensions=extensions)


@lru_cache(maxsize=256)
def _parsed(url: str) -> tuple[httpx.URL, URL, str]:
    """An address as httpx has it, as it is to be written, and its Host."""
    # Reading an address takes its time, and most requests go to one of a few.
    read = httpx.URL(url)
    if read.scheme not in ("http", "https") or not read.host:
        raise ValueError("not an http or https address")
    host = read.netloc.decode("ascii")
    # As httpx spells it, which leaves %-escapes alone: a signature covers the address.
    written = f"{read.scheme}://{host}{read.raw_path.decode('ascii')}"
    return httpx.URL(written), URL(written, encoded=True), host


async def _read(response: httpx.Response, limits: Limits) -> Answer:
    headers: dict[str, str] = {}
    for raw, value in response.headers.raw:
        name = raw.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    try:
        body, fault = await _body(response, headers, limits.body)
    finally:
        await response.aclose()
    return Answer(response.status_code, headers, body, fault)


async def _body(response: httpx.Response, headers: dict[str, str], cap: int) -> tuple[bytes, str]:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return b"", "the answer is compressed though that was not asked for"
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > cap:
                return b"", f"the answer is larger than {cap // 1024} KiB"
            chunks.append(chunk)
    except (aiohttp.ClientError, httpx.TransportError) as error:
        return b"", f"the answer was cut off: {_words(error.__cause__ or error)}"
    return b"".join(chunks), ""


_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ILLEGAL = re.compile(r"[^\t\x20-\x7e]")

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "connecting took too long"),
    (aiohttp.ServerTimeoutError, "no answer in time"),
    (aiohttp.ClientConnectorError, "no connection"),
    (aiohttp.ServerDisconnectedError, "the peer closed the connection"),
    (aiohttp.ClientConnectionError, "the connection broke"),
    (OSError, "the connection broke"),
)
"""Of an error the first that it is one of; what is in no row is not HTTP, or cut off."""


def _words(error: BaseException) -> str:
    """What happened, for a person: the kind, and the system's own words where it has some."""
    if isinstance(error, _Ended):
        return str(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"refused ({error.status} {error.message})"[:200]
    kind = next((words for sort, words in _KINDS if isinstance(error, sort)), "")
    # aiohttp's own words repeat the address, or quote what the peer sent.
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if not kind or not isinstance(inner, OSError) or isinstance(inner, aiohttp.ServerTimeoutError):
        return kind or "the answer is not HTTP or was cut off"
    text = str(inner)
    if inner.errno and not isinstance(inner, (socket.gaierror, ssl.SSLError)):
        text = os.strerror(inner.errno)  # "Connection refused", where asyncio: a call failed
    text = text.split("\n")[0][:200]
    return f"{kind} ({text})" if text else kind


@cache
def _trust() -> ssl.SSLContext:
    # Some 20 ms to load the certificates: once for the process, and only when TLS is wanted.
    return httpx.create_ssl_context()


@cache
def _no_trust() -> ssl.SSLContext:
    # For plain HTTP: an empty trust store refuses every certificate, should TLS come after all.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
