"""Tunnel from the port of a node to its console: bytes over a Unix socket, without reading them.

A request goes on as HTTP/1.0, so that the answer ends where the connection does, also one that
streams. Who sent it, and to which address, goes along in two headers, which only we can set.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ringback.page_headers import HEADERS, NO_STORE
from ringback.receiver.responses import API, MEDIA, problem

MOST_OPEN = 64
MOST_BYTES = 64 * 1024
ANSWER_SECONDS = 65.0
CHUNK = 64 * 1024
_HOP = (
    b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"trailer",
    b"proxy-connection", b"content-length", b"expect", b"x-ringback-peer", b"x-ringback-place",
)  # fmt: skip
"""What is of one connection, and what nobody outside may say."""
_AWAY = "The console does not answer just now. The node goes on; try again in a moment."

_logger = logging.getLogger("ringback.receiver")


class Tunnel:
    """ASGI application behind `/console` and `/api/v1`. `place` gives the socket of the console;
    None says that this node has none here, which is answered with 404."""

    def __init__(self, place: Callable[[], Path | None]) -> None:
        self._place = place
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        place = self._place()
        if place is None:
            raise HTTPException(404)
        if self._open >= MOST_OPEN:
            await _said(scope, 503, "Too many connections to the console.")(scope, receive, send)
            return
        self._open += 1
        try:
            body = await _body(receive)
            if body is None:
                await _said(scope, 413, "The body is too large.")(scope, receive, send)
                return
            await self._pass(place, scope, body, receive, send)
        finally:
            self._open -= 1

    async def _pass(
        self, place: Path, scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> None:
        begun = False
        try:
            reader, writer = await asyncio.open_unix_connection(place, limit=CHUNK)
        except OSError:
            await _said(scope, 502, _AWAY)(scope, receive, send)
            return
        left = asyncio.ensure_future(_until_left(receive, writer))
        try:
            writer.write(_head(scope, len(body)) + body)
            await writer.drain()
            async with asyncio.timeout(ANSWER_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            status, headers = _read_head(head)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            begun = True
            rest, more = _length(scope, status, headers), True
            while more:
                part = await reader.read(CHUNK) if rest else b""
                rest -= len(part)
                # The last part says so: whoever has it all may ask on at once, and would be taken
                # for one who does not wait for answers.
                more = bool(part) and rest != 0
                await send({"type": "http.response.body", "body": part, "more_body": more})
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as why:
            if begun:
                raise
            _logger.info("the console gave no answer: %r", why)
            await _said(scope, 502, _AWAY)(scope, receive, send)
        finally:
            left.cancel()
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


async def _until_left(receive: Receive, writer: asyncio.StreamWriter) -> None:
    """Hang up on the console when the browser has."""
    while (await receive())["type"] != "http.disconnect":
        pass
    writer.close()


async def _body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


def _head(scope: Scope, size: int) -> bytes:
    query = scope.get("query_string", b"")
    target = scope.get("raw_path") or scope["path"].encode()
    lines = [b"%b %b HTTP/1.0" % (scope["method"].encode(), target + (query and b"?" + query))]
    lines += [b"%b: %b" % header for header in scope["headers"] if header[0] not in _HOP]
    if size or scope["method"] not in ("GET", "HEAD"):
        lines.append(b"content-length: %d" % size)
    client, server = scope.get("client"), scope.get("server")
    lines.append(b"x-ringback-peer: %b" % (client[0] if client else "").encode("latin-1"))
    place = f"{server[0]} {server[1]}" if server else ""
    lines.append(b"x-ringback-place: %b" % place.encode("latin-1"))
    return b"\r\n".join([*lines, b"", b""])


def _read_head(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    first, *lines = head[:-4].split(b"\r\n")
    headers = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() not in (*_HOP[:7], b"date"):
            headers.append((name.lower(), value.strip()))
    return int(first.split(b" ", 2)[1]), headers


def _length(scope: Scope, status: int, headers: list[tuple[bytes, bytes]]) -> int:
    """How many bytes of a body follow; less than 0 when only their end tells. After HEAD, and with
    some states, none do: the head is all, and whoever has it may ask on at once."""
    if scope["method"] == "HEAD" or status in (204, 304):
        return 0
    said = dict(headers).get(b"content-length", b"")
    return int(said) if said.isdigit() else -1


def _said(scope: Scope, status: int, text: str) -> Response:
    """An answer of the tunnel itself; to programs in the words of the API."""
    again = {"retry-after": "5"} if status in (502, 503) else {}
    headers = {**dict((*HEADERS, NO_STORE)), **again}
    if str(scope["path"]).startswith(API):
        return Response(problem(status, text), status, headers=headers, media_type=MEDIA)
    return PlainTextResponse(f"{text}\n", status, headers=headers)
