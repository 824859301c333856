"""The HTTP pool against servers on loopback: one connection for many requests, one attempt each.

On asyncio's loop and on uvloop's, which the worker runs on.
"""

import asyncio
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from ringback.gateway.pool import Answer, Broken, Limits, NotSent, Pool
from ringback.gateway.proxy import Proxy

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
    """A server on loopback; `connections` counts those who came, `heads` is what they asked."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.heads: list[str] = []
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


async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take no byte."""
    await asyncio.get_running_loop().create_future()


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@LOOPS
def test_many_requests_share_one_connection_with_tls(loop: Loop, certificate: Path) -> None:
    """Bodies of all sizes come back whole, over one handshake."""
    trust = ssl.create_default_context(cafile=certificate)

    async def story() -> None:
        async with Peer(echo, server_tls(certificate)) as peer, Pool(verify=trust) as pool:
            for size in (1, 10_000, 200_000, 0):
                body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
                url = f"https://localhost:{peer.port}/"
                answer = await pool.exchange("POST", url, [], body)
                assert isinstance(answer, Answer)
                assert answer.body == body
            assert peer.connections == 1

    run(loop, story)


@LOOPS
def test_a_name_that_the_certificate_lacks_gets_no_byte(loop: Loop, certificate: Path) -> None:
    """The handshake fails, so nothing was sent."""
    trust = ssl.create_default_context(cafile=certificate)

    async def story() -> None:
        async with Peer(echo, server_tls(certificate)) as peer, Pool(verify=trust) as pool:
            with pytest.raises(NotSent, match="certificate"):
                await pool.exchange("POST", f"https://127.0.0.1:{peer.port}/", [], b"secret")

    run(loop, story)


@LOOPS
def test_a_connection_serves_the_name_that_was_proven(loop: Loop, certificate: Path) -> None:
    """Another name at the same address gets its own handshake, and fails it."""
    trust = ssl.create_default_context(cafile=certificate)

    async def story() -> None:
        async with Peer(echo, server_tls(certificate)) as peer, Pool(verify=trust) as pool:
            url = f"https://127.0.0.1:{peer.port}/"
            answer = await pool.exchange("POST", url, [], b"x", sni="localhost")
            assert answer.body == b"x"
            with pytest.raises(NotSent, match="certificate"):
                await pool.exchange("POST", url, [], b"x", sni="elsewhere.test")

    run(loop, story)


@LOOPS
def test_a_proxy_is_spoken_to_with_tls(loop: Loop, certificate: Path) -> None:
    """TLS to the proxy, and TLS through it to a host that only the proxy can find."""
    trust = ssl.create_default_context(cafile=certificate)

    async def story() -> None:
        async with Peer(echo, server_tls(certificate)) as peer:

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                there = await asyncio.open_connection("127.0.0.1", peer.port)
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
                raise ConnectionError

            async with Peer(tunnel, server_tls(certificate)) as proxy:
                via = Proxy(f"https://localhost:{proxy.port}")
                async with Pool(verify=trust, proxy=via) as pool:
                    for _ in range(2):
                        url = f"https://gateway.test:{peer.port}/"
                        assert (await pool.exchange("POST", url, [], b"x")).body == b"x"
                assert (proxy.connections, peer.connections) == (1, 1)

    run(loop, story)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, to its end."""
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@LOOPS
def test_a_peer_that_takes_nothing_is_given_up(loop: Loop) -> None:
    """A body larger than all buffers on the way: who writes waits, and not for ever."""

    async def story() -> None:
        async with Peer(never_reads) as peer, Pool(tls=False) as pool:
            limits = Limits(read=0.3, total=0.6)
            with pytest.raises(Broken, match="no full answer"):
                await pool.exchange(
                    "POST", f"http://127.0.0.1:{peer.port}/", [], b"x" * 1_000_000 * 8, limits
                )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # aiohttp's, for a body of some size
        run(loop, story)


@LOOPS
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "POST"])
def test_no_method_is_tried_again_when_the_connection_ends(loop: Loop, method: str) -> None:
    """A connection that ends at its second request ends that request, also one that aiohttp and
    RFC 9110 hold safe to repeat: the caller decides."""

    async def story() -> None:
        async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            peer.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            raise ConnectionError

        async with Peer(answers_once) as peer, Pool(tls=False) as pool:
            url = f"http://127.0.0.1:{peer.port}/"
            await pool.exchange(method, url, [])
            with pytest.raises(Broken):
                await pool.exchange(method, url, [])
            assert (peer.connections, len(peer.heads)) == (1, 2)

    run(loop, story)


@LOOPS
def test_what_comes_while_nobody_asks_is_no_answer(loop: Loop) -> None:
    """A peer speaks on a connection at rest: the next request takes another connection."""

    async def story() -> None:
        speak, spoken = asyncio.Event(), asyncio.Event()

        async def speaks_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
            await speak.wait()
            if not spoken.is_set():
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale")
                await writer.drain()
                spoken.set()

        async with Peer(speaks_twice) as peer, Pool(tls=False) as pool:
            url = f"http://127.0.0.1:{peer.port}/"
            assert (await pool.exchange("GET", url, [])).body == b"yes"
            speak.set()
            await spoken.wait()
            assert (await pool.exchange("GET", url, [])).body == b"yes"
            assert peer.connections == 2

    run(loop, story)


@LOOPS
def test_an_address_is_asked_for_as_it_is_written(loop: Loop) -> None:
    """A webhook's signature covers its address, so that no escape in it may change."""
    target = "/a%2Fb/c%41~%7e;x=1?q=%41+b%20c&q=&to=%2B1'"

    async def story() -> None:
        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with Peer(keep) as peer, Pool(tls=False) as pool:
            given = [("X-Odd-CASE", "1"), ("x-odd-case", "2")]
            await pool.exchange("GET", f"http://u:p@127.0.0.1:{peer.port}{target}#f", given)
            lines = peer.heads[0].split("\r\n")
        assert lines[0] == f"GET {target} HTTP/1.1"
        assert sorted(lines[1:-2]) == [
            "Accept-Encoding: identity", f"Host: 127.0.0.1:{peer.port}", "X-Odd-CASE: 1",
            "x-odd-case: 2",
        ]  # fmt: skip

    run(loop, story)


@LOOPS
def test_a_connection_that_is_refused_says_so(loop: Loop) -> None:
    """People, and the simulator's debugger, tell it from other failures by its words."""

    async def story() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound and not listening
            async with Pool(tls=False) as pool:
                with pytest.raises(NotSent, match=r"no connection \(Connection refused\)"):
                    await pool.exchange("GET", f"http://127.0.0.1:{closed.getsockname()[1]}/", [])

    run(loop, story)


async def test_the_next_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address refuses, the other answers."""
    with socket.socket() as dead:
        dead.bind(("127.0.0.2", 0))  # bound and not listening: refused
        port = dead.getsockname()[1]
        server = await asyncio.start_server(_hello, "127.0.0.1", port)

        async def both(*args: object, **named: object) -> list[object]:
            tcp = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
            return [(*tcp, ("127.0.0.2", port)), (*tcp, ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        async with Pool(tls=False) as pool:
            answer = await pool.exchange("GET", f"http://two.test:{port}/", [])
        assert answer.status == 204
        server.close()


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    writer.close()


async def test_a_closed_pool_sends_nothing() -> None:
    """Also when it was never used."""
    pool = Pool(tls=False)
    await pool.aclose()
    with pytest.raises(NotSent, match="closed"):
        await pool.exchange("GET", "http://127.0.0.1:1/", [])


async def test_it_says_when_there_is_a_connection_before_a_byte_leaves() -> None:
    """Also for a connection that is used again; never where none comes about."""
    order: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            order.append("heard")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if order.count("heard") == 2:
                writer.close()
                return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with Pool(tls=False) as pool:
        for _ in range(2):
            await pool.exchange("GET", url, [], leaving=lambda: order.append("leaving"))
        server.close()
        await server.wait_closed()
        with pytest.raises(NotSent):
            await pool.exchange("GET", url, [], leaving=lambda: order.append("leaving"))
    assert order == ["leaving", "heard"] * 2
