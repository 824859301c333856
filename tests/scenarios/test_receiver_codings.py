"""Bodies in a coding that nobody undoes: refused and not recorded, whatever they came by."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from ringback.config import Settings
from ringback.twilio.signature import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
BASE = "https://hooks.example.org"
FIELDS = [
    ("AccountSid", ACCOUNT), ("MessageSid", "SM" + "a" * 32), ("MessageStatus", "sent"),
    ("To", "+15550001111"),
]  # fmt: skip
FORM = urlencode(FIELDS).encode()
PATH = "/twilio/message/status"


@pytest.fixture(params=["protocol", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both ways in which a request comes to the receiver."""
    return str(request.param)


@pytest.fixture
async def receiver(start_receiver: Callable[[Settings], Any], receiver_settings: Settings) -> Any:
    return await start_receiver(receiver_settings)


def signed(body: bytes) -> dict[str, str]:
    """The headers of a request whose signature fits the form, whatever the body is."""
    signature = sign(TOKEN, BASE + PATH, FIELDS)
    return {"X-Twilio-Signature": signature, "Content-Length": str(len(body))}


CODED = {"gzip": gzip.compress(FORM, mtime=0), "deflate": zlib.compress(FORM)}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZip", "identity, br", "x-gzip", "none"])
async def test_a_body_in_a_coding_is_refused(receiver: Any, coding: str) -> None:
    """Also when what it says is not true: the signature fits what was not coded at all."""
    body = CODED.get(coding, FORM)
    answer = await receiver.send(PATH, body, {**signed(body), "Content-Encoding": coding})
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")
    assert receiver.rows() == []


@pytest.mark.parametrize("coding", ["identity", "Identity", "identity, identity", ""])
async def test_identity_is_no_coding(receiver: Any, coding: str) -> None:
    answer = await receiver.send(PATH, FORM, {**signed(FORM), "Content-Encoding": coding})
    assert answer.status == 204
    assert [row.body for row in receiver.rows()] == [FORM]


async def test_events_in_a_coding_are_refused(receiver: Any) -> None:
    head = {"Content-Type": "application/json", "Content-Encoding": "gzip",
            "X-Twilio-Signature": "x"}  # fmt: skip
    assert (await receiver.send("/twilio/events", b"[]", head)).status == 415


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ],
)
async def test_a_coding_hides_behind_nothing(receiver: Any, lines: str) -> None:
    """Two lines are one too many; a coding of the transfer is one, too."""
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(FORM).items())
    body = FORM
    if "Transfer" in lines:
        head = head.partition("Content-Length")[0]
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(FORM), FORM)
    head += f"Host: hooks.example.org\r\nContent-Type: application/x-www-form-urlencoded\r\n{lines}"
    (answer,) = await receiver.raw(f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + body)
    assert answer.status in (400, 403, 415)
    assert receiver.rows() == []
