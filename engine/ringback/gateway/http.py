"""The one place that opens HTTP connections to the outside.

A `Pool` is a stack of lanes, each an httpx transport with a single connection. httpx 0.28 rescans a
client's whole pool on each request and collapses at 50 in flight on one client; a lane has nothing
to scan. The lane used last is used next, so connections stay warm and a quiet gateway keeps few.
"""

import asyncio
import ssl
from collections import deque
from dataclasses import dataclass, field
from functools import cache, lru_cache
from time import monotonic

import httpx

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TOTAL_SECONDS = 35.0
KEEPALIVE_SECONDS = 15.0
BODY_CAP = 256 * 1024
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
    transport: httpx.AsyncBaseTransport
    used: float = 0.0


class Pool:
    """Up to `lanes` exchanges at a time. Follows no redirect, keeps no cookie, retries nothing.

    `tls=False` is for a base that is plain HTTP: the certificates of the system are not loaded, and
    https is refused. Used within one event loop; `aclose` when done.
    """

    def __init__(
        self, lanes: int = 50, *, tls: bool = True, verify: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self._verify = verify
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
        extensions: dict[str, object] | None = None,
    ) -> Answer:
        """Send one request once and read its answer.

        Raises NotSent when it is certain that no byte left, Broken when it is not and no status
        came back. What is raised holds neither headers nor body.
        """
        problem: Exception
        try:
            request = httpx.Request(
                method,
                _parsed(url),
                headers=[*headers, ("Accept-Encoding", "identity")],
                content=body,
                extensions={
                    "timeout": {
                        "connect": limits.connect,
                        "read": limits.read,
                        "write": limits.read,
                        "pool": limits.connect,
                    },
                    **(extensions or {}),
                },
            )
        except (httpx.InvalidURL, UnicodeError, ValueError, TypeError):
            problem = NotSent("the request cannot be written as HTTP")
        else:
            # Raised after the except clauses, so that no httpx exception, which holds the request
            # and its credentials, hangs on as the context of ours.
            result = await self._guarded(request, limits)
            if isinstance(result, Answer):
                return result
            problem = result
        raise problem

    async def _guarded(self, request: httpx.Request, limits: Limits) -> Answer | Exception:
        if self._gate.locked():
            try:
                async with asyncio.timeout(limits.connect):
                    await self._gate.acquire()
            except TimeoutError:
                return NotSent("every connection was busy")
        else:
            await self._gate.acquire()
        lane = self._free.pop() if self._free else _Lane(self._transport())
        try:
            async with asyncio.timeout(limits.total):
                return await _exchange(lane.transport, request, limits)
        except TimeoutError:
            return Broken(f"no full answer within {limits.total:g} s")
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return NotSent(_words(error))
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            return NotSent(_words(error))
        except httpx.TransportError as error:
            return Broken(_words(error))
        finally:
            self._gate.release()
            await self._put_back(lane)

    async def _put_back(self, lane: _Lane) -> None:
        """The lane used last goes on top; one that lay unused at the bottom for long is closed."""
        if self._closed or _leftover(lane.transport):
            # Bytes behind an answer would be taken for the answer to the next request.
            await lane.transport.aclose()
            return
        lane.used = monotonic()
        self._free.append(lane)
        if lane.used - self._free[0].used > IDLE_SECONDS:
            await self._free.popleft().transport.aclose()

    def _transport(self) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            verify=self._verify or (_trust() if self._tls else _no_trust()),
            http2=False,
            retries=0,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=1,
                max_keepalive_connections=1,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
        )

    async def aclose(self) -> None:
        """Close every connection. Exchanges that still run close theirs when they end."""
        self._closed = True
        while self._free:
            await self._free.pop().transport.aclose()


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    # httpx takes its time to parse an address, and most requests go to one of a few.
    return httpx.URL(url)


def _leftover(transport: httpx.AsyncBaseTransport) -> bool:
    """Whether the peer sent more than the one answer, so that the connection is out of step.

    httpcore keeps such bytes for the next request and shows them nowhere public; a test with a
    server that answers twice holds this look inside to what it promises.
    """
    for connection in getattr(getattr(transport, "_pool", None), "_connections", ()):
        state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
        if state is not None and state.trailing_data[0]:
            return True
    return False


async def _exchange(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, limits: Limits
) -> Answer:
    response = await transport.handle_async_request(request)
    try:
        body, fault = await _read(response, limits.body)
    finally:
        await response.aclose()
    return Answer(response.status_code, dict(response.headers), body, fault)


async def _read(response: httpx.Response, cap: int) -> tuple[bytes, str]:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        return b"", "the answer is compressed though that was not asked for"
    chunks: list[bytes] = []
    size = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for chunk in response.stream:
            size += len(chunk)
            if size > cap:
                return b"", f"the answer is larger than {cap // 1024} KiB"
            chunks.append(chunk)
    except httpx.TransportError as error:
        return b"", f"the answer was cut off: {_words(error)}"
    return b"".join(chunks), ""


def _words(error: httpx.TransportError) -> str:
    """What happened, for a person: the kind, and the system's own words where it has some."""
    kind = {
        httpx.ConnectError: "no connection",
        httpx.ConnectTimeout: "connecting took too long",
        httpx.PoolTimeout: "every connection was busy",
        httpx.ReadTimeout: "no answer in time",
        httpx.WriteTimeout: "sending took too long",
        httpx.ReadError: "the connection broke while reading",
        httpx.WriteError: "the connection broke while sending",
        httpx.RemoteProtocolError: "the answer is not HTTP or was cut off",
    }.get(type(error), type(error).__name__)
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


def plain_client(*, connections: int = 10, timeout: float = 15.0) -> httpx.AsyncClient:
    """An ordinary httpx client for a program of this project that plays Twilio.

    No more than 10 connections, no redirects, no proxies or credentials from the environment.
    """
    if connections > 10:
        raise ValueError("httpx collapses with many connections on one client: use several clients")
    return httpx.AsyncClient(
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
    )
