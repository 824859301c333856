"""HTTP protocol of `ringback serve`: what a connection may do, and for how long.

uvicorn's protocol has no deadline for receiving and no limit for headers, and makes an ASGI task of
every request. Here a webhook is collected whole, under limits, and given to the intake without a
task; every other path goes on to the ASGI application as usual.
"""

import asyncio
import logging
import resource
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from ringback.receiver import responses
from ringback.receiver.intake import Intake
from ringback.receiver.node import MOST_CONNECTIONS
from ringback.receiver.responses import Answer
from ringback.receiver.routes import (
    ALONE,
    HEAD_BYTES,
    HEAD_LINES,
    LARGE_BYTES,
    PREFIXES,
    RECEIVE_SECONDS,
    Head,
    Headers,
    comes_twice,
    resolve,
)

IDLE_SECONDS = 65.0
"""How long a connection may rest between two requests: longer than proxies keep theirs."""
LINGER_SECONDS = 2.0
SPARE_FILES = 48
"""What a receiver has open beside its connections, at most."""

_logger = logging.getLogger("ringback.receiver")


def most_connections() -> int:
    """How many connections to hold at most: some descriptors are left for files and the worker."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(MOST_CONNECTIONS, soft - SPARE_FILES)) if soft > 0 else MOST_CONNECTIONS


class WebhookProtocol(HttpToolsProtocol):
    """One connection.

    The state of the current request: `_head` is set while a webhook is being received or answered,
    `_refused` from a refusal on until its last byte has come, `_parted` once the connection only
    waits to be closed by the other side. `_stays` says whether another request may follow on this
    connection, `_since` when the present wait began.
    """

    _written: tuple[object, bytes] = (None, b"")

    def __init__(
        self,
        intake: Intake,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.intake = intake
        self._head: Head | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._large = False
        self._unparsed = 0
        self._chunk = 0
        self._head_bytes = 0
        self._in_head = False
        self._receiving = True
        self._answering = False
        self._refused = False
        self._parted = False
        self._last = False
        self._stays = True
        self._since = 0.0

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > most_connections() and not self._displace():
            self._receiving = False
            self._write(responses.BUSY, part=True)

    def _displace(self) -> bool:
        """Cut the connection that has kept us waiting for longest, in favour of this one. Whoever
        opens many idle connections loses those, and does not keep others out."""
        others = (
            other
            for other in self.connections
            if isinstance(other, WebhookProtocol) and other is not self
        )
        waiting = [other for other in others if other._waits()]
        if not waiting:
            return False
        self.intake.counts.add("connections_cut")
        min(waiting, key=lambda other: other._since).transport.abort()
        return True

    def _waits(self) -> bool:
        """Whether nothing is being answered here."""
        return not self._answering and (self.cycle is None or self.cycle.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._drop()

    def data_received(self, data: bytes) -> None:
        if self._parted:
            return
        self._chunk = len(data)
        if self._in_head:
            self._head_bytes += self._chunk
        if self._unparsed:
            self._feed_body(data)
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_body(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if self._answering:  # the request before it is right, and has its answer coming
                self._last = self._parted = True
            elif not self._parted:
                self.intake.counts.add("refused", "http")
                self._write(responses.BAD_REQUEST, part=True)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._in_head = False
            self.intake.counts.add("refused", "head")
            self._write(responses.HEAD_TOO_LARGE, part=True)

    def _feed_body(self, data: bytes) -> None:
        """Take the body of a request that asked for an upgrade. There is none, but the parser reads
        no further: it is the last request on this connection."""
        body = data[: self._unparsed]
        self._unparsed -= len(body)
        if body:
            self.on_body(body)
            if not self._unparsed:
                self.on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The other side has said all; it may still wait for the answer to a webhook."""
        self._last = True
        return self._answering

    def shutdown(self) -> None:
        """The server stops: finish the current request, if there is one, then close."""
        if self._answering:
            self._last = True
        else:
            super().shutdown()

    def sweep(self, now: float) -> None:
        """Cut this connection when it has been waited for too long. Called about once a second."""
        if self._answering or self.transport.is_closing():
            return
        waited = now - self._since
        if self._parted:
            if waited > LINGER_SECONDS:
                self.transport.abort()
        elif self._receiving:
            if waited > RECEIVE_SECONDS:
                self.intake.counts.add("connections_cut")
                if self.cycle is not None and not self.cycle.response_complete:
                    self.transport.abort()
                else:
                    self._write(responses.TIMED_OUT, part=True)
        elif waited > IDLE_SECONDS and self._waits():
            self.transport.close()

    # --- the parser's callbacks ---

    def on_message_begin(self) -> None:
        if self._answering or (self.cycle is not None and not self.cycle.response_complete):
            # A second request before the first is answered: nobody who calls webhooks does that.
            self._last = self._parted = True
            if self.cycle is not None:
                self.cycle.keep_alive = False
            return
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self._head = None
        self._head_bytes = self._chunk
        self._refused = False
        self._in_head = True
        self._receiving = True
        self._since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        if self._in_head:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # not a trailer, nor a request that is ignored
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if not self._in_head:
            return
        self._in_head = False
        # The parser forgets it with the end of the request, and the answer may come later.
        self._stays = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        headers = dict(self.headers)
        refusal = self._head_refusal(headers)
        if refusal is not None:
            self._write(refusal, part=True)
            return
        if self.parser.should_upgrade():
            self._last = True
            self._unparsed = int(headers.get(b"content-length", b"0"))
        path, _, query = self.url.partition(b"?")
        inner = path.removeprefix(self.intake.prefix)
        if not inner.startswith(PREFIXES):
            self._pass_on(headers)
            return
        target = resolve(inner)
        if target is None:
            self.intake.astray(path, headers)
            self._refuse(responses.NOT_FOUND, headers)
            return
        peer = self.client[0] if self.client else ""
        doubled = len(headers) != len(self.headers) and comes_twice(self.headers, *ALONE)
        head = Head(self.parser.get_method(), target, inner, query, headers, doubled, peer)
        refusal = self.intake.judge(head)
        if refusal is not None:
            self._refuse(refusal, headers)
            return
        self._head = head
        self._size = 0
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _head_refusal(self, headers: Headers) -> Answer | None:
        """What is wrong with the head of any request. Also brings an absolute target into form."""
        url = self.url
        if len(self.headers) > HEAD_LINES or (
            self._head_bytes > HEAD_BYTES
            and sum(len(name) + len(value) for name, value in self.headers) + len(url) > HEAD_BYTES
        ):
            self.intake.counts.add("refused", "head")
            return responses.HEAD_TOO_LARGE
        if b"host" not in headers:
            if self.parser.get_http_version() != "1.0":
                return responses.BAD_REQUEST
        elif len(headers) != len(self.headers) and comes_twice(self.headers, b"host"):
            return responses.BAD_REQUEST
        if not url.startswith(b"/") or b"#" in url:
            try:
                parsed = httptools.parse_url(url)
            except httptools.HttpParserError:
                return responses.BAD_REQUEST
            if not parsed.path or parsed.fragment:  # CONNECT, and targets that are no path
                return responses.BAD_REQUEST
            self.url = parsed.path + (b"?" + parsed.query if parsed.query else b"")
            if parsed.host:  # it counts, and not the header: RFC 9112, 3.2.2
                self._name_host(parsed.host, parsed.port)
        return None

    def _name_host(self, host: bytes, port: int | None) -> None:
        named = b"[%b]" % host if b":" in host else host
        value = named if port is None else b"%b:%d" % (named, port)
        self.headers = [each for each in self.headers if each[0] != b"host"]
        self.headers.append((b"host", value))

    def _pass_on(self, named: Headers) -> None:
        """Give a request that is no webhook to uvicorn and the ASGI application."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = named.get(b"expect", b"").lower() == b"100-continue"
        super().on_headers_complete()
        if self.cycle is not None and not self._stays:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        head = self._head
        if head is not None:
            self._size += len(body)
            refusal = self._too_much(head)
            if refusal is not None:
                self._drop()
                self._refuse(refusal, head.headers)
            else:
                self._body.append(body)
        elif not self._refused and not self._parted:
            super().on_body(body)

    def _too_much(self, head: Head) -> Answer | None:
        """The refusal of a body that is too large, or too large for now."""
        if self._size > head.target.most_bytes:
            return responses.TOO_LARGE
        if self._size > LARGE_BYTES and not self._large:
            self._large = self.intake.begin_large()
            return None if self._large else responses.BUSY
        return None

    def _drop(self) -> None:
        """Hold nothing any more of what was received."""
        self._head = None
        self._body = []
        if self._large:
            self._large = False
            self.intake.end_large()

    def on_message_complete(self) -> None:
        if self._unparsed:
            return
        self._receiving = False
        head = self._head
        if head is not None:
            self._answering = True
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._drop()
            self.intake.take(head, body, self._reply)
        elif not self._refused and not self._parted:
            super().on_message_complete()

    # --- answering ---

    def _reply(self, answer: Answer) -> None:
        """The intake's answer to the current webhook."""
        self._answering = False
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self._since = self.loop.time()
            self._write(answer, part=self._last)

    def _refuse(self, answer: Answer, headers: Headers) -> None:
        """Answer before the body is here. A small body is read and dropped, so that the connection
        can go on; for a large one, or one that waits to be asked for, it ends."""
        self._refused = True
        large = b"transfer-encoding" in headers or (
            int(headers.get(b"content-length", b"0")) > HEAD_BYTES
        )
        self._write(answer, part=large or b"expect" in headers)

    def _write(self, answer: Answer, *, part: bool = False) -> None:
        """Send a whole answer. `part` says that it is the last one on this connection: then the
        other side may finish reading it before the connection is closed."""
        if self.transport.is_closing():
            return
        answer = responses.worded(getattr(self, "url", b""), answer)
        close = part or not self._stays
        if answer is responses.DONE and not close:
            self.transport.write(self._done())
            return
        lines = [STATUS_LINE[answer.status], *self._dates()]
        lines += [b"%b: %b\r\n" % header for header in answer.headers]
        if answer.status != 204:
            lines.append(b"content-length: %d\r\n" % len(answer.body))
        if close:
            lines.append(b"connection: close\r\n")
        body = b"" if self.parser.get_method() == b"HEAD" else answer.body
        self.transport.write(b"".join([*lines, b"\r\n", body]))
        if part:
            self._parted = True
            self._since = self.loop.time()
            if self.transport.can_write_eof():
                self.transport.write_eof()
        elif close:
            self.transport.close()

    def _dates(self) -> list[bytes]:
        return [b"%b: %b\r\n" % header for header in self.server_state.default_headers]

    def _done(self) -> bytes:
        """The usual answer, written out once for each date."""
        dates = self.server_state.default_headers
        if WebhookProtocol._written[0] is not dates:
            WebhookProtocol._written = (
                dates,
                b"".join([STATUS_LINE[204], *self._dates(), b"\r\n"]),
            )
        return WebhookProtocol._written[1]

    # --- uvicorn's keep-alive timers: one sweep a second serves all connections ---

    def _unset_keepalive_if_required(self) -> None:
        return

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        self._receiving = False
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
