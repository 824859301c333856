"""Connections to the console through the port of a node: whoever has an answer may ask on."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from ringback.config import Settings
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
