"""The bytes below HTTP: TLS on one connection for many requests, back pressure both ways.

On asyncio's loop and on uvloop's, which the worker runs on.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpcore
import pytest
import uvloop

from ringback.gateway.pool import Answer, Broken, Limits, NotSent, Pool
from ringback.gateway.stream import HIGH_BYTES, Network

LOOPS = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
Loop = Callable[[], asyncio.AbstractEventLoop]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(loop: Loop, story: Callable[[], Awaitable[None]]) -> None:
    """Let a story happen on a loop of this kind."""

    async def whole() -> None:
        await story()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(whole())


class Peer:
    """A server on loopback; `connections` counts those who came."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._talk = talk
        self._tls = tls

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *args: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request with its own body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
    body = await reader.readexactly(length)
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + body)


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take no byte."""
    await asyncio.get_running_loop().create_future()


@LOOPS
def test_many_requests_share_one_connection_with_tls(loop: Loop, certificate: Path) -> None:
    """Bodies of all sizes come back whole, over one handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=certificate)

    async def story() -> None:
        async with Peer(echo, context) as peer:
            pool = Pool(verify=trust)
            for size in (1, 10_000, 200_000, 0):
                body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
                url = f"https://localhost:{peer.port}/"
                answer = await pool.exchange("POST", url, [], body)
                assert isinstance(answer, Answer)
                assert answer.body == body
            assert peer.connections == 1
            await pool.aclose()

    run(loop, story)


@LOOPS
def test_a_name_that_the_certificate_lacks_gets_no_byte(loop: Loop, certificate: Path) -> None:
    """The handshake fails, so nothing was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=certificate)

    async def story() -> None:
        async with Peer(echo, context) as peer:
            pool = Pool(verify=trust)
            with pytest.raises(NotSent, match="certificate"):
                await pool.exchange("POST", f"https://127.0.0.1:{peer.port}/", [], b"secret")
            await pool.aclose()

    run(loop, story)


@LOOPS
def test_a_peer_that_takes_nothing_is_given_up(loop: Loop) -> None:
    """A body larger than all buffers on the way: who writes waits, and not for ever."""

    async def story() -> None:
        async with Peer(deaf) as peer:
            pool = Pool(tls=False)
            limits = Limits(read=0.3)
            with pytest.raises(Broken, match="sending took too long"):
                await pool.exchange(
                    "POST", f"http://127.0.0.1:{peer.port}/", [], b"x" * 30_000_000, limits
                )
            await pool.aclose()

    run(loop, story)


@LOOPS
def test_what_nobody_reads_makes_the_peer_wait(loop: Loop) -> None:
    """A peer that sends without end fills no memory, and nothing of it is lost."""
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for number in range(2000):
            writer.write(number.to_bytes(4, "big") * 4096)
            await writer.drain()
            sent += 1
        writer.close()
        await writer.wait_closed()
        raise ConnectionError

    async def story() -> None:
        nonlocal sent
        sent = 0
        async with Peer(pour) as peer:
            stream = await Network().connect_tcp("127.0.0.1", peer.port, timeout=5)
            seen = -1
            while sent > seen:  # until the peer stands still
                seen = sent
                await asyncio.sleep(0.2)
            assert 0 < seen < 2000
            got = bytearray()
            while data := await stream.read(HIGH_BYTES, timeout=5):
                got += data
            assert bytes(got) == b"".join(n.to_bytes(4, "big") * 4096 for n in range(2000))
            await stream.aclose()

    run(loop, story)


@LOOPS
def test_a_connection_that_ended_takes_nothing_more(loop: Loop) -> None:
    """It says so in the terms that tell what may have been sent."""

    async def story() -> None:
        async with Peer(echo) as peer:
            stream = await Network().connect_tcp("127.0.0.1", peer.port, timeout=5)
            await stream.aclose()
            with pytest.raises(httpcore.WriteError):
                await stream.write(b"x", timeout=1)

    run(loop, story)


def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address refuses, the other answers."""
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))  # bound and not listening: refused

    async def story() -> None:
        async with Peer(echo) as peer:

            async def both(*args: object, **named: object) -> list[object]:
                tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
                return [(*tcp, dead.getsockname()), (*tcp, ("127.0.0.1", peer.port))]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
            stream = await Network().connect_tcp("two.test", 80, timeout=5)
            assert stream.get_extra_info("server_addr")[1] == peer.port
            await stream.aclose()

    with dead:
        run(asyncio.new_event_loop, story)


@LOOPS
def test_a_connection_that_is_refused_says_so(loop: Loop) -> None:
    """People, and the simulator's debugger, tell it from other failures by its words."""

    async def story() -> None:
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            with pytest.raises(httpcore.ConnectError, match="refused"):
                await Network().connect_tcp("127.0.0.1", deaf.getsockname()[1], timeout=5)

    run(loop, story)
