"""The one place that opens HTTP connections to the outside.

A `Pool` is a stack of lanes, each one connection of httpcore, the layer under httpx. httpx 0.28
rescans a client's whole pool on each request and collapses at 50 in flight on one client; a lane
has nothing to scan, and costs a third less CPU. The lane used last is used next, so connections
stay warm and a quiet gateway keeps few.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from functools import cache, lru_cache
from time import monotonic
from typing import Any

import httpcore
import httpx

from ringback.gateway.proxy import Proxy
from ringback.gateway.stream import Network

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 35.0
KEEPALIVE_SECONDS = 15.0
BODY_CAP = 256 * 1024
LIST_CAP = 16 * 1024 * 1024
"""For what is only read: a page of a thousand long texts in escapes has 10 MiB."""
IDLE_SECONDS = 60.0


class NotSent(Exception):
    """No byte of the request left: DNS, refused, TLS, no free lane, an illegal header."""


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


@dataclass(slots=True)
class _Lane:
    origin: httpcore.Origin
    connection: httpcore.AsyncConnectionInterface
    used: float = 0.0


class Pool:
    """Up to `lanes` exchanges at a time. Follows no redirect, keeps no cookie, retries nothing.

    `tls=False` is for a base that is plain HTTP: the certificates of the system are not loaded, and
    https is refused. `proxy` tunnels https to where it serves. Used within one event loop; `aclose`
    when done.
    """

    def __init__(
        self,
        lanes: int = 50,
        *,
        tls: bool = True,
        verify: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._tls = tls
        self._verify = verify
        self._proxy = proxy
        self._free: deque[_Lane] = deque()
        self._gate = asyncio.Semaphore(lanes)
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
    ) -> Answer:
        """Send one request once and read its answer. `sni` is the name that the certificate must
        have, when it is not the host of the URL.

        Raises NotSent when it is certain that no byte left, Broken when it is not and no status
        came back. What is raised holds neither headers nor body.
        """
        problem: Exception
        try:
            request = _request(method, url, headers, body, limits, sni)
        except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
            problem = NotSent("the request cannot be written as HTTP")
        else:
            # Raised after the except clauses, so that no exception of httpcore, which may hold the
            # request and its credentials, hangs on as the context of ours.
            result = await self._guarded(request, limits)
            if isinstance(result, Answer):
                return result
            problem = result
        raise problem

    async def _guarded(self, request: httpcore.Request, limits: Limits) -> Answer | Exception:
        if self._gate.locked():
            try:
                async with asyncio.timeout(limits.connect):
                    await self._gate.acquire()
            except TimeoutError:
                return NotSent("every connection was busy")
        else:
            await self._gate.acquire()
        lane: _Lane | None = None
        try:
            async with asyncio.timeout(limits.total):
                lane = await self._take(request.url.origin)
                return await _exchange(lane.connection, request, limits)
        except TimeoutError:
            return self._failed(Broken, f"no full answer within {limits.total:g} s", lane)
        except _NOT_SENT as error:
            return self._failed(NotSent, _words(error), lane)
        except _BROKEN as error:
            return self._failed(Broken, _words(error), lane)
        finally:
            self._gate.release()
            if lane is not None:
                await self._put_back(lane)

    def _failed(self, kind: type[NotSent | Broken], said: str, lane: _Lane | None) -> Exception:
        if self._proxy is None or lane is None or not _unsent(lane.connection):
            return kind(said)
        return NotSent(f"{said} at the proxy {self._proxy.url}")

    async def _take(self, origin: httpcore.Origin) -> _Lane:
        """The lane used last for this origin whose connection is still good; else a new one."""
        for lane in reversed(self._free):
            if lane.origin == origin:
                self._free.remove(lane)
                if not lane.connection.is_closed() and not lane.connection.has_expired():
                    return lane
                await lane.connection.aclose()
                break
        return _Lane(origin, self._connection(origin))

    async def _put_back(self, lane: _Lane) -> None:
        """The lane used last goes on top; one that lay unused at the bottom for long is closed."""
        connection = lane.connection
        if self._closed or not connection.is_idle() or _leftover(connection):
            # Bytes behind an answer would be taken for the answer to the next request.
            await connection.aclose()
            return
        lane.used = monotonic()
        self._free.append(lane)
        if lane.used - self._free[0].used > IDLE_SECONDS:
            await self._free.popleft().connection.aclose()

    def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        trust = self._verify or (_trust() if self._tls else _no_trust())
        proxy = self._proxy if origin.scheme == b"https" else None
        if proxy is not None and proxy.serves(origin.host.decode("ascii"), origin.port):
            return httpcore.AsyncHTTPProxy(
                proxy.url,
                proxy_headers=[(n.encode("ascii"), v.encode("ascii")) for n, v in proxy.headers],
                ssl_context=trust,
                proxy_ssl_context=trust if proxy.url.startswith("https:") else None,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ).create_connection(origin)
        return httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=trust,
            keepalive_expiry=KEEPALIVE_SECONDS,
            retries=0,
            http1=True,
            http2=False,
            network_backend=Network(),
        )

    async def aclose(self) -> None:
        """Close every connection. Exchanges that still run close theirs when they end."""
        self._closed = True
        while self._free:
            await self._free.pop().connection.aclose()


def _request(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes, limits: Limits, sni: str
) -> httpcore.Request:
    target, host = _parsed(url)
    written = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
    if not any(name.lower() == b"host" for name, _ in written):
        written.insert(0, (b"Host", host))
    written.append((b"Accept-Encoding", b"identity"))
    if body or method not in ("GET", "DELETE"):
        written.append((b"Content-Length", str(len(body)).encode()))
    extensions: dict[str, Any] = {
        "timeout": {
            "connect": limits.connect,
            "read": limits.read,
            "write": limits.read,
            "pool": limits.connect,
        }
    }
    if sni:
        extensions["sni_hostname"] = sni
    return httpcore.Request(
        method.encode("ascii"), target, headers=written, content=body, extensions=extensions
    )


@lru_cache(maxsize=256)
def _parsed(url: str) -> tuple[httpcore.URL, bytes]:
    # Reading an address takes its time, and most requests go to one of a few.
    read = httpx.URL(url)
    if read.scheme not in ("http", "https") or not read.host:
        raise ValueError("not an http or https address")
    target = httpcore.URL(
        scheme=read.raw_scheme, host=read.raw_host, port=read.port, target=read.raw_path
    )
    return target, read.netloc


def _unsent(connection: httpcore.AsyncConnectionInterface) -> bool:
    """Whether the tunnel through the proxy does not stand yet, so that no byte can have left.

    httpcore shows this nowhere public; a test with a proxy that never answers holds it to that.
    """
    return getattr(connection, "_connected", True) is False


def _leftover(connection: httpcore.AsyncConnectionInterface) -> bool:
    """Whether the peer sent more than the one answer, so that the connection is out of step.

    httpcore keeps such bytes for the next request and shows them nowhere public; a test with a
    server that answers twice holds this look inside to what it promises.
    """
    state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
    return state is not None and bool(state.trailing_data[0])


async def _exchange(
    connection: httpcore.AsyncConnectionInterface, request: httpcore.Request, limits: Limits
) -> Answer:
    response = await connection.handle_async_request(request)
    headers: dict[str, str] = {}
    for raw, value in response.headers:
        name = raw.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    try:
        body, fault = await _read(response, headers, limits.body)
    finally:
        await response.aclose()
    return Answer(response.status, headers, body, fault)


async def _read(
    response: httpcore.Response, headers: dict[str, str], cap: int
) -> tuple[bytes, str]:
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return b"", "the answer is compressed though that was not asked for"
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in response.aiter_stream():
            size += len(chunk)
            if size > cap:
                return b"", f"the answer is larger than {cap // 1024} KiB"
            chunks.append(chunk)
    except _BROKEN as error:
        return b"", f"the answer was cut off: {_words(error)}"
    return b"".join(chunks), ""


_NOT_SENT = (
    httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout,
    httpcore.ConnectionNotAvailable, httpcore.UnsupportedProtocol, httpcore.LocalProtocolError,
    httpcore.ProxyError,
)  # fmt: skip
_BROKEN = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)

_KINDS: dict[type[Exception], str] = {
    httpcore.ConnectError: "no connection",
    httpcore.ConnectTimeout: "connecting took too long",
    httpcore.ReadTimeout: "no answer in time",
    httpcore.WriteTimeout: "sending took too long",
    httpcore.ReadError: "the connection broke while reading",
    httpcore.WriteError: "the connection broke while sending",
    httpcore.RemoteProtocolError: "the answer is not HTTP or was cut off",
    httpcore.LocalProtocolError: "the request cannot be written as HTTP",
    httpcore.ProxyError: "refused",
}


def _words(error: Exception) -> str:
    """What happened, for a person: the kind, and the system's own words where it has some."""
    kind = _KINDS.get(type(error), type(error).__name__)
    if isinstance(error, httpcore.LocalProtocolError):
        # h11 quotes the header that it does not like.
        return kind
    text = str(error).split("\n")[0][:200]
    return f"{kind} ({text})" if text else kind


@cache
def _trust() -> ssl.SSLContext:
    # Some 20 ms to load the certificates: once for the process, and only when TLS is wanted.
    return httpx.create_ssl_context()


@cache
def _no_trust() -> ssl.SSLContext:
    # For plain HTTP: an empty trust store refuses every certificate, should TLS come after all.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
