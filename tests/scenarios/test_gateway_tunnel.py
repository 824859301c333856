"""Proxy of a company in front of the gateway: used, named, and not confused with what is behind."""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from ringback.errors import ConfigError
from ringback.gateway.pool import Answer, Broken, Limits, NotSent, Pool
from ringback.gateway.proxy import Proxy

HOST = "gateway.test"
AC = "AC" + "0a" * 16
SM = "SM" + "1b" * 16
TOKEN = "0123456789abcdeffedcba9876543210"
PASSWORD = "p@ss:word"
UNSET = "-"
TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line:
    """A server on loopback: a proxy that tunnels to the gateway, or the gateway behind it. `heads`
    is what each was asked."""

    def __init__(self, talk: Callable[["Line", str, Stream], Awaitable[None]]) -> None:
        self.heads: list[str] = []
        self.port = 0
        self.target = 0
        self._talk = talk
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, tls: ssl.SSLContext | None = None) -> "Line":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await self._talk(self, head, (reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


async def tunnel(line: Line, head: str, client: Stream) -> None:
    """Connect to the gateway, whatever its name, and pass everything on."""
    server = await asyncio.open_connection("127.0.0.1", line.target)
    client[1].write(TUNNEL)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    await asyncio.gather(pump(client[0], server[1]), pump(server[0], client[1]))
    raise ConnectionError


async def twilio(line: Line, head: str, client: Stream) -> None:
    """Take every message; there is nothing to list."""
    if head.startswith("POST"):
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
        await client[0].readexactly(length)
    body = json.dumps({"sid": SM, "account_sid": AC, "status": "queued", "messages": []}).encode()
    status = "201 Created" if head.startswith("POST") else "200 OK"
    headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    client[1].write(f"HTTP/1.1 {status}\r\n{headers}".encode() + body)


async def silent(line: Line, head: str, client: Stream) -> None:
    """Say nothing, for longer than anybody waits."""
    await asyncio.sleep(60)


def saying(answer: bytes) -> Callable[[Line, str, Stream], Awaitable[None]]:
    async def say(line: Line, head: str, client: Stream) -> None:
        client[1].write(answer)
        await client[1].drain()
        raise ConnectionError

    return say


@pytest.fixture
async def gateway(certificate: Path) -> AsyncIterator[Line]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    line = await Line(twilio).open(context)
    yield line
    await line.close()


@pytest.fixture
async def proxy(gateway: Line) -> AsyncIterator[Line]:
    line = await Line(tunnel).open()
    line.target = gateway.port
    yield line
    await line.close()


async def shell(
    proxy: Line, gateway: Line, certificate: Path, folder: Path, *words: str, **more: str
) -> tuple[int, str]:
    """A command in a process of its own, in a company where names lead nowhere but at the proxy."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("RINGBACK", "MATON"))},
        "TWILIO_ACCOUNT_SID": AC,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "RINGBACK_GATEWAY_URL": f"https://{HOST}:{gateway.port}",
        "HTTPS_PROXY": f"http://clerk:{PASSWORD.replace('@', '%40')}@127.0.0.1:{proxy.port}",
        "SSL_CERT_FILE": str(certificate),
        **more,
    }
    environ = {name: value for name, value in environ.items() if value != UNSET}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ringback.cli.main", *words,
        cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


SEND = (
    "gateway", "messages", "send", "--yes", "--to", "+12025550142", "--from", "+15550001111",
    "--body", "Hello",
)  # fmt: skip


async def test_the_environments_proxy_is_used_and_learns_nothing(
    proxy: Line, gateway: Line, certificate: Path, tmp_path: Path
) -> None:
    """The name and the password go to the proxy alone, the credentials of Twilio past it."""
    code, said = await shell(proxy, gateway, certificate, tmp_path, *SEND)
    assert (code, SM in said) == (0, True), said
    pair = base64.b64encode(f"clerk:{PASSWORD}".encode()).decode()
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT {HOST}:{gateway.port} HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {pair}\r\n" in head
    assert "\r\nAuthorization" not in head
    (head,) = gateway.heads
    assert head.startswith("POST /2010-04-01/")
    assert "Proxy" not in head


@pytest.mark.slow
async def test_dot_env_names_the_proxy_and_no_proxy_goes_around_it(
    proxy: Line, gateway: Line, certificate: Path, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"HTTPS_PROXY=http://127.0.0.1:{proxy.port}\n")
    send = partial(shell, proxy, gateway, certificate, tmp_path, *SEND, HTTPS_PROXY=UNSET)
    code, said = await send()
    assert (code, len(proxy.heads)) == (0, 1), said
    code, said = await send(NO_PROXY=f"other.example, {HOST}:{gateway.port}")
    assert code != 0  # the name leads nowhere without the proxy
    assert HOST in said
    assert "proxy" not in said
    assert len(proxy.heads) == 1


@pytest.mark.slow
async def test_the_doctor_names_the_proxy(
    proxy: Line, gateway: Line, certificate: Path, tmp_path: Path
) -> None:
    _, said = await shell(proxy, gateway, certificate, tmp_path, "doctor", "--json")
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    (row,) = [row for row in rows if row["check"] == "gateway"]
    assert row["state"] == "ok"
    assert row["says"].endswith(f"through the proxy http://127.0.0.1:{proxy.port}")
    assert "p%40ss" not in said
    assert PASSWORD not in said


@pytest.mark.slow
async def test_a_proxy_that_refuses_is_named(
    gateway: Line, certificate: Path, tmp_path: Path
) -> None:
    refusing = await Line(
        saying(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    ).open()
    code, said = await shell(refusing, gateway, certificate, tmp_path, *SEND)
    await refusing.close()
    assert code != 0
    assert "407 Proxy Authentication Required" in said
    assert f"the proxy http://127.0.0.1:{refusing.port}" in said
    assert "nothing was sent" in said
    assert PASSWORD not in said


async def ask(proxy: str, gateway: Line, certificate: Path, times: int = 1) -> list[Answer]:
    limits = Limits(connect=2.0, read=0.4, total=2.0)
    trust = ssl.create_default_context(cafile=certificate)
    pool = Pool(1, verify=trust, proxy=Proxy(proxy))
    try:
        url = f"https://{HOST}:{gateway.port}/"
        return [await pool.exchange("GET", url, [], limits=limits) for _ in range(times)]
    finally:
        await pool.aclose()


async def test_a_tunnel_serves_many_requests(proxy: Line, gateway: Line, certificate: Path) -> None:
    address = f"http://127.0.0.1:{proxy.port}"
    answers = await ask(address, gateway, certificate, times=3)
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert (len(proxy.heads), len(gateway.heads)) == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "talk",
    [
        silent,
        saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        saying(b"SSH-2.0-OpenSSH\r\n\r\n"),
        saying(TUNNEL + b"this is no TLS"),
        saying(b""),
    ],
    ids=["silent", "refused", "rubbish", "no-tls", "hung-up"],
)
async def test_without_a_tunnel_nothing_was_sent(
    talk: Callable[[Line, str, Stream], Awaitable[None]], gateway: Line, certificate: Path
) -> None:
    line = await Line(talk).open()
    address = f"http://127.0.0.1:{line.port}"
    with pytest.raises(NotSent, match=f"at the proxy {address}"):
        await ask(address, gateway, certificate)
    await line.close()
    with pytest.raises(NotSent, match=f"no connection .* at the proxy {address}"):
        await ask(address, gateway, certificate)
    assert gateway.heads == []


async def test_behind_the_tunnel_it_may_have_arrived(proxy: Line, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    deaf = await Line(silent).open(context)
    proxy.target = deaf.port
    with pytest.raises(Broken, match="no answer in time"):
        await ask(f"http://127.0.0.1:{proxy.port}", deaf, certificate)
    assert len(deaf.heads) == 1
    await deaf.close()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://a:1"}, None),
        ({"HTTPS_PROXY": " "}, None),
        ({"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "http://b:2"}, "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "http://b:2"),
        ({"ALL_PROXY": "proxy.corp"}, "http://proxy.corp:80"),
        ({"ALL_PROXY": "https://me:x@proxy.corp"}, "https://proxy.corp:443"),
        ({"ALL_PROXY": "http://[fd00::1]:3128/"}, "http://[fd00::1]:3128"),
    ],
)
def test_which_proxy(environ: dict[str, str], url: str | None) -> None:
    found = Proxy.from_environ(environ)
    assert (found.url if found else None) == url


@pytest.mark.parametrize("address", ["socks5://a:1", "http://", "http://a:port", "http://a:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="ALL_PROXY is not the address"):
        Proxy.from_environ({"ALL_PROXY": address})


@pytest.mark.parametrize(
    ("exempt", "direct"),
    [
        ("", False),
        ("*", True),
        ("api.twilio.com", True),
        ("API.Twilio.com", True),
        ("twilio.com", True),
        (".twilio.com", True),
        ("*.twilio.com", True),
        ("other.example, twilio.com:443", True),
        ("twilio.com:8443", False),
        ("lio.com", False),
        (".", False),
    ],
)
def test_who_is_exempt(exempt: str, direct: bool) -> None:
    proxy = Proxy.from_environ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": exempt})
    assert proxy is not None
    assert proxy.tunnels("https://api.twilio.com") is not direct


def test_this_machine_and_plain_http_are_called_directly() -> None:
    proxy = Proxy("http://a:1")
    direct = ["https://127.0.0.1:1", "https://localhost", "https://[::1]:2", "http://x.example"]
    assert not any(proxy.tunnels(url) for url in direct)
