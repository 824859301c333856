"""HTTP to addresses that rules name: which are called, what is sent, what comes of the answers."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator

import pytest

from ringback.errors import (
    BadRequest,
    GatewayError,
    RateLimited,
    ServerError,
    Unreachable,
    UsageError,
)
from ringback.gateway.pool import Limits
from ringback.gateway.safe_http import Outbound, is_public, signature


class Server:
    """A server on loopback that keeps what came and answers what it is given."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.port = 0
        self.silent = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self.talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.silent:
            await reader.read()
            return
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        self.requests.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    subject = Server()
    listening = await asyncio.start_server(subject.serve, "127.0.0.1", 0)
    subject.port = listening.sockets[0].getsockname()[1]
    yield subject
    listening.close()
    for task in subject.tasks:
        task.cancel()
    await asyncio.gather(*subject.tasks, return_exceptions=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1",
        "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1",
        "fec0::1", "2001:db8::1", "not an address", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_on_the_open_internet(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "54.0.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://localhost/", "https://127.0.0.1/", "https://127.1/",
        "https://2130706433/", "https://0x7f.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data", "https://user:pw@8.8.8.8/", "ftp://8.8.8.8/",
        "file:///etc/passwd", "https://", "//8.8.8.8", "https://8.8.8.8/a b", "https://8.8.8.8\t/",
        "https://[::1", "https://8.8.8.8:99999/", "https://8.8.8.8/\r\nX: y",
    ],
)  # fmt: skip
async def test_forbidden_addresses_are_refused_before_a_byte_leaves(url: str) -> None:
    async with Outbound() as outbound:
        with pytest.raises(BadRequest) as caught:
            await outbound.request("GET", url)
    assert caught.value.wrote is False
    assert "pw" not in str(caught.value)


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    async with Outbound(resolve=resolve) as outbound:
        with pytest.raises(BadRequest, match=r"10\.0\.0\.1"):
            await outbound.request("GET", "https://example.com/")


async def test_the_name_is_looked_up_once_and_the_checked_address_is_called(server: Server) -> None:
    looked_up = []

    async def resolve(host: str, port: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["10.255.255.1"]

    async with Outbound(allow=["hooks.internal"], resolve=resolve) as outbound:
        url = f"http://Hooks.Internal.:{server.port}/in?a=1"
        answer = await outbound.request("POST", url, body=b"{}")
    assert answer.status == 204
    assert looked_up == ["hooks.internal"]
    head = server.requests[0].decode()
    assert head.startswith("POST /in?a=1 HTTP/1.1\r\n")
    assert f"Host: hooks.internal:{server.port}\r\n" in head


async def test_a_name_without_an_address_is_a_failure_that_sent_nothing() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async with Outbound(resolve=resolve) as outbound:
        with pytest.raises(Unreachable) as caught:
            await outbound.request("GET", "https://nowhere.example/")
    assert caught.value.wrote is False


async def test_a_host_on_the_allow_list_may_be_named_with_its_port_only(server: Server) -> None:
    async with Outbound(allow=[f"127.0.0.1:{server.port}"]) as outbound:
        assert (await outbound.request("GET", server.url)).status == 204
        with pytest.raises(BadRequest):
            await outbound.request("GET", f"http://127.0.0.1:{server.port + 1}/")


async def test_a_notice_is_signed_by_the_standard(server: Server) -> None:
    key = base64.b64encode(b"k" * 24).decode()
    async with Outbound(allow=["127.0.0.1"]) as outbound:
        await outbound.deliver(
            server.url + "/hook", {"text": "ü"}, message_id="act_1", secret=f"whsec_{key}"
        )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert json.loads(body) == {"text": "ü"}
    assert headers["Content-Type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(b"k" * 24, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == "act_1"


def test_the_signature_of_the_standards_own_example() -> None:
    assert (
        signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
        )
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )
    with pytest.raises(UsageError, match="not base64"):
        signature("whsec_*", "m", 1, b"")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", BadRequest),
        (b"HTTP/1.1 410 Gone\r\n\r\n", BadRequest),
        (b"HTTP/1.1 500 Oops\r\n\r\n", ServerError),
        (b"HTTP/1.1 408 Late\r\n\r\n", ServerError),
        (b"HTTP/1.1 429 Slow\r\nRetry-After: 9\r\n\r\n", RateLimited),
        (b"nonsense\r\n\r\n", Unreachable),
        (b"", Unreachable),
    ],
)
async def test_what_becomes_of_other_answers(
    server: Server, answer: bytes, kind: type[GatewayError]
) -> None:
    server.answer = answer
    async with Outbound(allow=["127.0.0.1"]) as outbound:
        with pytest.raises(kind) as caught:
            await outbound.request("POST", server.url, body=b"x")
    assert caught.value.wrote is True
    assert len(server.requests) == 1
    if kind is RateLimited:
        assert caught.value.retry_after == 9


async def test_a_large_answer_is_not_read_to_its_end(server: Server) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000
    async with Outbound(allow=["127.0.0.1"]) as outbound:
        answer = await outbound.request("GET", server.url)
    assert answer.body == b""
    assert "larger than 64 KiB" in answer.fault


async def test_an_answer_that_does_not_come_ends_in_time(server: Server) -> None:
    server.silent = True
    quick = Limits(connect=1, read=0.2, total=0.3, body=1000)
    async with Outbound(allow=["127.0.0.1"], limits=quick) as outbound:
        with pytest.raises(Unreachable) as caught:
            await outbound.request("GET", server.url)
    assert caught.value.wrote is True


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X\r\n": "a"}, {"": "a"}, {"X": "\u00fc"}, {"a b": "c"}]
)
async def test_headers_that_would_break_the_request_are_refused(
    server: Server, headers: dict[str, str]
) -> None:
    async with Outbound(allow=["127.0.0.1"]) as outbound:
        with pytest.raises(BadRequest):
            await outbound.request("GET", server.url, headers=headers)
    assert server.requests == []


async def test_headers_that_are_the_clients_own_are_left_out(server: Server) -> None:
    async with Outbound(allow=["127.0.0.1"]) as outbound:
        await outbound.request(
            "GET", server.url, headers={"Host": "evil", "Transfer-Encoding": "chunked", "X-A": "b"}
        )
    head = server.requests[0].decode().lower()
    assert "evil" not in head
    assert "chunked" not in head
    assert "x-a: b" in head
