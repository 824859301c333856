"""ASGI endpoint of the webhooks: collects a request under limits and passes it to the intake.

For any ASGI server and at any mount point. `receiver.protocol` does the same below ASGI, for
`ringback serve`; what only a protocol can see (slow headers, idle connections) is left to the
server here. https://asgi.readthedocs.io/en/latest/specs/www.html
"""

import asyncio
import logging
from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from ringback.receiver import responses
from ringback.receiver.intake import Intake
from ringback.receiver.responses import Answer
from ringback.receiver.routes import (
    ALONE,
    HEAD_BYTES,
    HEAD_LINES,
    LARGE_BYTES,
    PREFIX,
    RECEIVE_SECONDS,
    Head,
    comes_twice,
    resolve,
)

_logger = logging.getLogger("ringback.receiver")


class WebhookEndpoint:
    """The endpoint of the route `/twilio/{path:path}`, or of another `prefix`. `intake` gives None
    before the lifespan has begun and after it has ended."""

    def __init__(self, intake: Callable[[], Intake | None], prefix: bytes = PREFIX) -> None:
        self._intake = intake
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        intake = self._intake()
        if intake is None:
            _logger.error("a webhook is refused: %s", responses.NO_LIFESPAN)
            await _send(responses.NOT_STARTED, scope, send)
            return
        head = _head_of(scope, self._prefix, intake.prefix)
        if head is responses.NOT_FOUND:
            intake.astray(_raw_path(scope), dict(scope["headers"]))
        answer = head if isinstance(head, Answer) else intake.judge(head)
        if answer is None and isinstance(head, Head):
            try:
                async with asyncio.timeout(RECEIVE_SECONDS):
                    body = await _body_of(receive, head.target.most_bytes, intake)
            except TimeoutError:
                intake.counts.add("connections_cut")
                answer = responses.TIMED_OUT
            else:
                if body is None:  # the client has left
                    return
                answer = body if isinstance(body, Answer) else await _take(intake, head, body)
        if answer is not None:
            await _send(answer, scope, send)


def _head_of(scope: Scope, root: bytes, prefix: bytes) -> Head | Answer:
    """The head of a request, its path as it came and as seen from the mount point. `root` is how
    the paths of its route begin, `prefix` what may stand before it all the same."""
    lines: list[tuple[bytes, bytes]] = list(scope["headers"])
    headers = dict(lines)
    query: bytes = scope.get("query_string") or b""
    path = root + scope["path_params"]["path"].encode()
    raw = _raw_path(scope)
    size = len(raw) + len(query) + sum(len(name) + len(value) for name, value in lines)
    if len(lines) > HEAD_LINES or size > HEAD_BYTES:
        return responses.HEAD_TOO_LARGE
    # Another spelling of a path is another path; what stands before the mount point is not ours.
    mount = raw.removesuffix(path)
    ours = raw.endswith(path) and ("prefix" not in scope["path_params"] or mount == prefix)
    target = resolve(path) if ours else None
    if target is None:
        return responses.NOT_FOUND
    hostless = b"host" not in headers and scope["http_version"] == "1.1"
    length = headers.get(b"content-length", b"0")
    if hostless or comes_twice(lines, b"host") or not length.isdigit():
        return responses.BAD_REQUEST
    doubled = len(headers) != len(lines) and comes_twice(lines, *ALONE)
    peer = (scope.get("client") or ("",))[0]
    return Head(scope["method"].encode(), target, path, query, headers, doubled, peer, mount)


def _raw_path(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw


async def _body_of(receive: Receive, most: int, intake: Intake) -> bytes | Answer | None:
    """The whole body; a refusal when it is too large, None when the client has left."""
    body, large = bytearray(), False
    try:
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > most:
                return responses.TOO_LARGE
            if len(body) > LARGE_BYTES and not large:
                large = intake.begin_large()
                if not large:
                    return responses.BUSY
            if not message.get("more_body", False):
                return bytes(body)
    finally:
        if large:
            intake.end_large()


async def _take(intake: Intake, head: Head, body: bytes) -> Answer:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def reply(answer: Answer) -> None:
        if not answered.done():  # a server may have cancelled this request meanwhile
            answered.set_result(answer)

    intake.take(head, body, reply)
    return await answered


async def _send(answer: Answer, scope: Scope, send: Send) -> None:
    headers = list(answer.headers)
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    unread = (responses.TIMED_OUT, responses.TOO_LARGE, responses.BUSY)
    if answer in unread and scope["http_version"] < "2":
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})
