"""Connections to the console through the port of a node: whoever has an answer may ask on."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn

from ringback.config import Settings
from ringback.console.wire import ConsoleProtocol
from ringback.ipc import socket_path
from ringback.receiver.companion import Companion

ANSWERS = {
    "a HEAD": (b"HEAD", b"200 OK\r\ncontent-length: 5000"),
    "a HEAD without a length": (b"HEAD", b"200 OK"),
    "not modified": (b"GET", b'304 Not Modified\r\netag: W/"1"'),
    "no content": (b"GET", b"204 No Content"),
    "an empty body": (b"GET", b"200 OK\r\ncontent-length: 0"),
}


@pytest.mark.parametrize(("method", "answer"), ANSWERS.values(), ids=ANSWERS)
async def test_who_has_an_answer_without_a_body_may_ask_on(
    start_receiver: Callable[[Settings], Any],
    receiver_settings: Settings,
    method: bytes,
    answer: bytes,
) -> None:
    """The console has not hung up yet when the next request comes on the same connection."""
    receiver = await start_receiver(receiver_settings)
    receiver.node.companion = Companion([], {})  # a console that somebody else has started
    asked_again = asyncio.Event()

    async def console(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET /console/next "):
            writer.write(b"HTTP/1.1 " + answer + b"\r\n\r\n")
            await asked_again.wait()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext")
        writer.close()

    place = socket_path(receiver_settings.data, "console")
    async with await asyncio.start_unix_server(console, place), asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        with contextlib.closing(writer):
            writer.write(method + b" /console HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET /console/next HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                following = await asyncio.wait_for(reader.readuntil(b"next"), 2)
            finally:
                asked_again.set()
    assert following.startswith(b"HTTP/1.1 200 OK\r\n")


async def refused(port: int, request: bytes) -> tuple[int, bytes, Any]:
    """The status, the head, and the problem that a request gets; None for a plain text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    said = json.loads(body) if b"application/problem+json" in head else None
    return int(head.split()[1]), head, said


LONG = b"X: " + b"x" * 20_000
AT = b"/api/v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
UNREADABLE = {
    "a path that is none": (b"GET /api/v2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
    "no console": (b"GET " + AT + b"\r\n", 404),
    "a large head": (b"GET " + AT + LONG + b"\r\n\r\n", 431),
    "no host": (b"GET /api/v1/events HTTP/1.1\r\n\r\n", 400),
    "no header": (b"GET " + AT + b"no header\r\n\r\n", 400),
}


@pytest.mark.parametrize(("request_", "status"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_the_port_of_a_node_refuses_by_itself_is_a_problem_too(
    start_receiver: Callable[[Settings], Any],
    receiver_settings: Settings,
    request_: bytes,
    status: int,
) -> None:
    """Below the API; elsewhere it is the plain text that it was."""
    receiver = await start_receiver(receiver_settings)
    code, _, said = await refused(receiver.port, request_)
    assert (code, said["status"]) == (status, status)
    assert said["type"].startswith("urn:ringback:problem:")
    plain = await refused(receiver.port, request_.replace(b"/api/v", b"/app/v"))
    assert (plain[0], plain[2]) == (status, None)


@pytest.mark.parametrize(("size", "status", "slug"), [(70_000, 413, "large"), (9, 502, "busy")])
async def test_what_the_tunnel_refuses_is_a_problem_too(
    start_receiver: Callable[[Settings], Any],
    receiver_settings: Settings,
    size: int,
    status: int,
    slug: str,
) -> None:
    """A body that is too large; a console that does not answer."""
    receiver = await start_receiver(receiver_settings)
    receiver.node.companion = Companion([], {})
    head = b"POST " + AT + b"Content-Length: %d\r\n\r\n" % size
    code, _, said = await refused(receiver.port, head + b"x" * size)
    assert (code, said["type"]) == (status, f"urn:ringback:problem:{slug}")


@pytest.mark.parametrize("wrong", [LONG, b"no header\r\n\r\n"])
async def test_what_a_console_cannot_read_is_a_problem_too(wrong: bytes) -> None:
    """On a port of its own, where no node is in front."""

    async def app(_: object, __: object, ___: object) -> None:
        raise AssertionError

    config = uvicorn.Config(
        app, port=0, http=ConsoleProtocol, h11_max_incomplete_event_size=16_384, log_config=None,
        lifespan="off",
    )  # fmt: skip
    config.load()
    loop = asyncio.get_running_loop()
    state = uvicorn.server.ServerState()
    server = await loop.create_server(
        lambda: ConsoleProtocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        code, _, said = await refused(port, b"GET " + AT + wrong)
        assert (code, said["type"]) == (400, "urn:ringback:problem:field")
        page = b"GET /console/ HTTP/1.1\r\n" + wrong
        assert (await refused(port, page))[2] is None
