"""Connections of the receiver: what the client says about keeping them is obeyed on every route."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from ringback.config import Settings
from ringback.twilio.signature import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
BASE = "https://hooks.example.org"
TEXT = {"MessageSid": "SM" + "a" * 32, "From": "+15550001111", "To": "+15557654321", "Body": "hi"}
STATUS = {"MessageSid": "SM" + "b" * 32, "MessageStatus": "sent", "To": "+15550001111"}
CALL = {"CallSid": "CA" + "c" * 32, "CallStatus": "ringing", "From": "+1555", "To": "+1556"}


@pytest.fixture(params=["protocol", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both ways in which a request comes to the receiver."""
    return str(request.param)


@pytest.fixture
async def receiver(start_receiver: Callable[[Settings], Any], receiver_settings: Settings) -> Any:
    return await start_receiver(receiver_settings)


def request(
    path: str, fields: dict[str, str], head: str = "", version: str = "1.1", token: str = TOKEN
) -> bytes:
    """A signed request; a GET when it has no fields."""
    pairs = list({"AccountSid": ACCOUNT, **fields}.items()) if fields else []
    body = urlencode(pairs).encode()
    lines = f"{'POST' if fields else 'GET'} {path} HTTP/{version}\r\nHost: hooks.example.org\r\n"
    if fields:
        lines += f"X-Twilio-Signature: {sign(token, BASE + path, pairs)}\r\n"
        lines += "Content-Type: application/x-www-form-urlencoded\r\n"
        lines += f"Content-Length: {len(body)}\r\n"
    return f"{lines}{head}\r\n".encode() + body


ROUTES = {
    "message": ("/twilio/message", TEXT, TOKEN),
    "status": ("/twilio/message/status", STATUS, TOKEN),
    "call": ("/twilio/call", CALL, TOKEN),
    "refused": ("/twilio/message", TEXT, "another token"),
    "unknown": ("/twilio/nothing", TEXT, TOKEN),
    "health": ("/healthz", {}, ""),
}
CLOSES = {
    "close": ("Connection: close\r\n", "1.1"),
    "in a list": ("Connection: keep-alive, Close\r\n", "1.1"),
    "in two lines": ("Connection: keep-alive\r\nConnection: close\r\n", "1.1"),
    "HTTP/1.0": ("", "1.0"),
}


@pytest.mark.parametrize(("head", "version"), CLOSES.values(), ids=CLOSES)
@pytest.mark.parametrize(("path", "fields", "token"), ROUTES.values(), ids=ROUTES)
async def test_a_last_request_ends_the_connection(
    receiver: Any, path: str, fields: dict[str, str], token: str, head: str, version: str
) -> None:
    """Also the repetition of a webhook, which is answered from memory."""
    for _ in range(2):
        said = await _until_the_end(receiver.port, request(path, fields, head, version, token))
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"\r\nconnection: close\r\n" in said


@pytest.mark.parametrize("path", ["message", "status", "refused", "unknown", "health"])
async def test_otherwise_it_stays(receiver: Any, path: str) -> None:
    where, fields, token = ROUTES[path]
    one = request(where, fields, "Connection: keep-alive\r\n", token=token)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    for _ in range(2):
        writer.write(one)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert b"connection:" not in head
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or b"0"))
    writer.close()


@pytest.mark.parametrize("transport", ["protocol"])
async def test_what_follows_the_last_request_changes_nothing(receiver: Any) -> None:
    """The request before gets its own answer, and it alone; what is behind it is nobody's."""
    first = request("/twilio/message", TEXT, "Connection: close\r\n")
    said = await _until_the_end(receiver.port, first + request("/twilio/message", TEXT))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert len(receiver.rows()) == 1


async def _until_the_end(port: int, data: bytes) -> bytes:
    """What comes back until the other side closes; it must, while this one stays open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
