"""A gateway that misbehaves in every way a network can: each fault ends in the right typed error,
within its time, once, and with `wrote` false only where nothing can have happened."""

import asyncio
import gzip
import json
import logging
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time
import traceback
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from ringback.errors import (
    BadRequest,
    ConfigError,
    ConnectionExpired,
    Forbidden,
    GatewayError,
    NoConnection,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
    Unreadable,
    UsageError,
)
from ringback.gateway import pool as pool_module
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import MATON_CONTROL, Credentials
from ringback.gateway.pool import Answer, Limits, NotSent, Pool
from ringback.twilio.rest import Request, path
from ringback.worker.send import settle

AC = "AC" + "0a" * 16
SM = "SM" + "1b" * 16
TOKEN = "canary-token-0123456789abcdef-0123456789"
KEY = "canary+key/0123456789=abcdef"
QUICK = Limits(connect=1.0, read=0.4, total=0.8)
SEND = Request(
    "POST",
    path(AC, "Messages"),
    (("To", "+15550000002"), ("From", "+15550000001"), ("Body", "Hi")),
    "messages",
    ("SM", "MM"),
)
GET = Request("GET", path(AC, "Messages", SM), (), "messages")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(status: int, body: object = b"", *headers: str, kind: str = "application/json") -> bytes:
    """One HTTP answer as bytes; a body that is no bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}", *headers]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join([*lines, "", ""]).encode() + raw


def made(**fields: object) -> dict[str, object]:
    return {"sid": SM, "account_sid": AC, "status": "queued"} | fields


def twilio_error(status: int, code: int, message: str = "no") -> bytes:
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status}
    return http(status, body)


class Wild:
    """A server on loopback that answers with bytes, or talks as a function says."""

    def __init__(self) -> None:
        self.plan: list[bytes | Talk] = []
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while isinstance(self.plan[0], bytes):
                await self.read(reader)
                step = self.next()
                assert isinstance(step, bytes)
                writer.write(step)
                await writer.drain()
            talk = self.next()
            assert not isinstance(talk, bytes)
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    def next(self) -> bytes | Talk:
        """The next step of the plan; the last one lasts."""
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Read one whole request and keep it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.requests.append((head, body))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def wild() -> AsyncIterator[Wild]:
    server = Wild()
    await server.open()
    yield server
    await server.close()


def direct(wild: Wild, limits: Limits = QUICK) -> Gateway:
    return Gateway(Credentials.direct(AC, TOKEN, base_url=wild.url), limits=limits)


def maton(wild: Wild, connection: str = "c-1") -> Gateway:
    access = Credentials.maton(
        KEY, account_sid=AC, connection=connection, base_url=wild.url + "/twilio",
        control_url=wild.url,
    )  # fmt: skip
    return Gateway(access, limits=QUICK)


async def fails(gateway: Gateway, request: Request = SEND) -> GatewayError:
    """The error that one attempt ends in; no attempt may take longer than its limits."""
    began = time.monotonic()
    async with gateway:
        with pytest.raises(GatewayError) as caught:
            await gateway.perform(request)
    assert time.monotonic() - began < 20
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST in place of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def test_g01_refused_means_that_nothing_happened() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        error = await fails(Gateway(Credentials.direct(AC, TOKEN, base_url=url), limits=QUICK))
    assert isinstance(error, Unreachable)
    assert error.wrote is False
    assert error.origin == "network"


async def test_g01_no_accept_and_no_dns_mean_that_nothing_happened() -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    crowd = [socket.socket() for _ in range(4)]
    for waiting in crowd:
        waiting.setblocking(False)
        waiting.connect_ex(full.getsockname())
    url = f"http://127.0.0.1:{full.getsockname()[1]}"
    limits = Limits(connect=0.3, read=1, total=2)
    error = await fails(Gateway(Credentials.direct(AC, TOKEN, base_url=url), limits=limits))
    for sock in (full, *crowd):
        sock.close()
    assert isinstance(error, Unreachable)
    assert error.wrote is False
    nowhere = Credentials.direct(AC, TOKEN, base_url="http://nowhere.invalid:1")
    error = await fails(Gateway(nowhere, limits=limits))
    assert isinstance(error, Unreachable)
    assert error.wrote is False


async def test_g02_to_g04_a_reset_may_hide_a_created_message(wild: Wild) -> None:
    async def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async def after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        reset(writer)

    async def politely(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        writer.close()

    for talk in (at_once, after, politely):
        wild.plan = [talk]
        error = await fails(direct(wild))
        assert isinstance(error, Unreachable)
        assert error.wrote is True
        assert "may have arrived" in str(error)
    assert wild.connections == 3


async def test_g05_to_g07_and_g16_g17_silence_and_slowness_end_in_time(wild: Wild) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        await asyncio.sleep(60)

    async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        for sign in http(201, made()):
            writer.write(bytes([sign]))
            await asyncio.sleep(0.1)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        answer = http(201, made())
        writer.write(answer[:-60])
        for sign in answer[-60:]:
            writer.write(bytes([sign]))
            await asyncio.sleep(0.1)

    for talk in (silent, slow_head, drip):
        wild.plan = [talk]
        error = await fails(direct(wild))
        assert isinstance(error, Unreachable)
        assert error.wrote is True
    assert wild.connections == 3


@pytest.mark.parametrize(
    ("answer", "through_maton", "kind", "origin"),
    [
        (twilio_error(500, 20500), False, ServerError, "twilio"),
        (twilio_error(500, 20500), True, ServerError, "twilio"),
        (http(500, {"error": "internal"}), True, ConnectionExpired, "maton"),
        (http(500, b"oops", kind="text/plain"), True, ConnectionExpired, "maton"),
        (http(500, b""), False, ServerError, "network"),
        (http(502, b"<html>Bad gateway</html>", kind="text/html"), False, ServerError, "network"),
        (http(502, b"<html>Bad gateway</html>", kind="text/html"), True, ServerError, "maton"),
        (http(503, {}), True, ServerError, "maton"),
        (http(504, {}), False, ServerError, "network"),
        (http(408, {}), False, ServerError, "network"),
        (http(400, {"error": "no connection"}), True, NoConnection, "maton"),
        (http(400, b"<html>", kind="text/html"), False, BadRequest, "network"),
        (twilio_error(400, 21610), True, BadRequest, "twilio"),
        (twilio_error(400, 21211), False, BadRequest, "twilio"),
        (twilio_error(400, 21999), False, BadRequest, "twilio"),
        (http(401, {"message": "Invalid API key"}), True, Unauthorized, "maton"),
        (twilio_error(401, 20003), True, Unauthorized, "twilio"),
        (twilio_error(403, 20003), False, Unauthorized, "twilio"),
        (twilio_error(403, 20403), False, Forbidden, "twilio"),
        (http(404, b"not found", kind="text/plain"), True, NotFound, "maton"),
        (twilio_error(404, 20404), True, NotFound, "twilio"),
        (twilio_error(405, 20004), False, BadRequest, "twilio"),
        (http(413, b""), False, BadRequest, "network"),
        (http(415, b""), False, BadRequest, "network"),
        (twilio_error(409, 20409), False, BadRequest, "twilio"),
        (twilio_error(429, 20429), True, RateLimited, "twilio"),
        (http(429, {"error": "slow"}), True, RateLimited, "maton"),
        (http(400, {"code": True, "more_info": "twilio.com"}), True, NoConnection, "maton"),
        (http(400, {"code": "21610", "more_info": "twilio.com"}), True, NoConnection, "maton"),
        (http(400, [1, 2]), False, BadRequest, "network"),
        (http(999, {}), False, ServerError, "network"),
    ],
)
async def test_g08_to_g15_and_g25_to_g28_every_status_is_its_own_error(
    wild: Wild, answer: bytes, through_maton: bool, kind: type[GatewayError], origin: str
) -> None:
    wild.plan = [answer]
    error = await fails(maton(wild) if through_maton else direct(wild))
    assert type(error) is kind
    assert error.origin == origin
    assert error.wrote is True
    assert error.http_status == int(answer.split()[1])
    assert len(wild.requests) == 1
    if origin == "twilio":
        assert error.code
        assert str(error.code) in str(error)
        assert error.remedy
        assert str(error).endswith(error.remedy[1:])


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("1.5", 1.5, 1.5),
        ("1000000000", 300, 300),
        ("-5", None, None),
        ("abc", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("", None, None),
        ("DATE", 10, 21),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2115 07:28:00 GMT", 300, 300),
        ("Wed, 99 Oct", None, None),
    ],
)
async def test_c3_retry_after_in_all_its_forms(
    wild: Wild, value: str, low: float | None, high: float | None
) -> None:
    if value == "DATE":
        value = formatdate(time.time() + 20, usegmt=True)
    for status in (429, 503):
        wild.plan = [http(status, {}, f"Retry-After: {value}")]
        error = await fails(direct(wild))
        if low is None or high is None:
            assert error.retry_after is None
        else:
            assert error.retry_after is not None
            assert low <= error.retry_after <= high
    wild.plan = [http(429, {})]
    assert (await fails(direct(wild))).retry_after is None


LONG = b'{"sid": "' + SM.encode() + b'", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "answer",
    [
        http(201, json.dumps(made()).encode()[:-9]),
        http(201, json.dumps(made()).encode(), kind="text/html"),
        http(201, b""),
        http(201, b"null"),
        http(201, [made()]),
        http(201, b"\xff\xfe"),
        http(201, b'{"sid": "\xff"}'),
        http(201, f'{{"sid": "{SM}", "sid": "{SM}"}}'.encode()),
        http(201, f'{{"sid": "{SM}", "price": NaN}}'.encode()),
        http(201, f'{{"sid": "{SM}", "price": {"9" * 5000}}}'.encode()),
        http(201, LONG),
        http(201, made(sid="")),
        http(201, made(sid=None)),
        http(201, made(sid=12)),
        http(201, made(sid=SM[:-1])),
        http(201, made(sid="CA" + "1b" * 16)),
        http(201, made(sid=SM + "\n")),
        http(201, made(account_sid="AC" + "ff" * 16)),
        http(201, {}),
        http(204, b""),
        http(201, gzip.compress(b"0" * 10_000_000), "Content-Encoding: gzip"),
        http(201, b"x" * (256 * 1024 + 1)),
        b"HTTP/1.1 201 X\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{",
    ],
    ids=lambda answer: answer[:20].decode() + str(len(answer)),
)
async def test_g18_to_g23_and_g32_a_2xx_that_is_no_message_is_no_message(
    wild: Wild, answer: bytes
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    wild.plan = [once]
    error = await fails(direct(wild))
    assert isinstance(error, Unreadable)
    assert error.wrote is True
    assert error.http_status in (201, 204)


async def test_a_page_of_a_thousand_long_texts_can_be_read(wild: Wild) -> None:
    """The worker asks for this much to find out what became of a send. What it could not read would
    keep the send in doubt for ever, and what is held after a restore with it."""
    text = "Ж" * 1600
    listed = [made(sid=f"SM{number:032x}", body=text) for number in range(settle.PAGE_SIZE)]
    wild.plan = [http(200, {"messages": listed})]
    where = Request("GET", path(AC, "Messages"), (("PageSize", str(settle.PAGE_SIZE)),), "messages")
    async with direct(wild, Limits()) as gateway:
        reply = await gateway.perform(where)
    assert [row["body"] for row in reply.data["messages"]] == [text] * settle.PAGE_SIZE


async def test_c9_an_endless_answer_costs_neither_memory_nor_time(wild: Wild) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await wild.read(reader)
        writer.write(b"HTTP/1.1 201 X\r\nContent-Length: 524288000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    wild.plan = [flood]
    tracemalloc.start()
    error = await fails(direct(wild))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(error, Unreadable)
    assert peak < 20_000_000
    assert sent < 20_000_000


async def test_c10_g24_redirects_are_not_followed_and_take_no_credentials_along(
    wild: Wild,
) -> None:
    other = Wild()
    await other.open()
    other.plan = [http(201, made())]
    for status in (301, 302, 303, 307, 308):
        wild.plan = [http(status, b"", f"Location: {other.url}/x")]
        error = await fails(direct(wild))
        assert isinstance(error, BadRequest)
        assert error.http_status == status
    await other.close()
    assert other.connections == 0
    assert all("canary" not in head for head, _ in other.requests)


async def test_g29_a_hundred_continue_is_no_answer(wild: Wild) -> None:
    wild.plan = [b"HTTP/1.1 100 Continue\r\n\r\n" + http(201, made())]
    async with direct(wild) as gateway:
        assert (await gateway.perform(SEND)).data["sid"] == SM


async def test_g29_a_second_answer_is_never_taken_for_the_next_request(wild: Wild) -> None:
    stale = "SM" + "ee" * 16
    fresh = "SM" + "dd" * 16
    wild.plan = [http(201, made()) + http(201, made(sid=stale)), http(201, made(sid=fresh))]
    async with direct(wild) as gateway:
        assert (await gateway.perform(SEND)).data["sid"] == SM
        assert (await gateway.perform(SEND)).data["sid"] == fresh
    assert wild.connections == 2


async def test_g29_an_early_answer_counts(wild: Wild) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(twilio_error(429, 20429))
        await writer.drain()
        await asyncio.sleep(0.2)

    wild.plan = [early]
    assert isinstance(await fails(direct(wild)), RateLimited)


async def test_g31_a_connection_closed_at_reuse_is_not_tried_again(wild: Wild) -> None:
    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        writer.write(http(201, made()))
        await wild.read(reader)

    wild.plan = [one_answer]
    async with direct(wild) as gateway:
        await gateway.perform(SEND)
        with pytest.raises(Unreachable) as caught:
            await gateway.perform(SEND)
    assert caught.value.wrote is True
    assert len(wild.requests) == 2


async def test_g31_a_connection_closed_while_idle_is_simply_replaced(wild: Wild) -> None:
    closed = asyncio.Event()

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        writer.write(http(201, made()))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    wild.plan = [one_answer, http(201, made())]
    async with direct(wild) as gateway:
        await gateway.perform(SEND)
        await closed.wait()
        assert (await gateway.perform(SEND)).http_status == 201
    assert wild.connections == 2


async def test_no_connection_that_rested_long_is_used(
    wild: Wild, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pool_module.KEEPALIVE_SECONDS <= 15
    monkeypatch.setattr(pool_module, "KEEPALIVE_SECONDS", 0.1)
    wild.plan = [http(201, made())]
    async with direct(wild) as gateway:
        await gateway.perform(SEND)
        await gateway.perform(SEND)
        assert wild.connections == 1
        await asyncio.sleep(0.15)
        await gateway.perform(SEND)
    assert wild.connections == 2


async def test_what_cannot_be_written_never_leaves(wild: Wild) -> None:
    wild.plan = [http(201, made())]
    half = Request("POST", SEND.path, (("Body", "\ud83d"),), "messages", ("SM",))
    async with direct(wild) as gateway:
        with pytest.raises(UsageError):
            await gateway.perform(half)
    assert wild.connections == 0


@pytest.mark.parametrize(
    "said",
    ["".join(map(chr, range(128))), "50 % off & more = +1 ~", "Grüße, 你好 🙂\n", "", "a b+c%20d"],
)
async def test_a_form_arrives_as_it_was_said(wild: Wild, said: str) -> None:
    wild.plan = [http(201, made())]
    form = (("Body", said), (said or "To", "+15551000001"))
    async with direct(wild) as gateway:
        await gateway.perform(Request("POST", SEND.path, form, "messages", ("SM",)))
    ((_, body),) = wild.requests
    assert parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True) == [*form]
    assert body.decode() == urlencode(form)


async def test_no_more_than_the_allowed_connections_and_the_rest_wait(wild: Wild) -> None:
    wild.plan = [http(201, made())]
    access = Credentials.direct(AC, TOKEN, base_url=wild.url)
    async with Gateway(access, connections=4) as gateway:
        replies = await asyncio.gather(*(gateway.perform(SEND) for _ in range(60)))
    assert len(replies) == 60
    assert wild.connections <= 4


async def test_a_request_that_finds_every_connection_busy_was_not_sent(wild: Wild) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        await asyncio.sleep(60)

    wild.plan = [silent]
    access = Credentials.direct(AC, TOKEN, base_url=wild.url)
    limits = Limits(connect=0.2, read=1.0, total=1.0)
    async with Gateway(access, limits=limits, connections=1) as gateway:
        results = await asyncio.gather(
            gateway.perform(SEND), gateway.perform(SEND), return_exceptions=True
        )
    wrote = sorted(error.wrote for error in results if isinstance(error, Unreachable))
    assert wrote == [False, True]


async def test_cancelled_attempts_give_their_connection_back(wild: Wild) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wild.read(reader)
        await asyncio.sleep(60)

    wild.plan = [silent, http(201, made())]
    access = Credentials.direct(AC, TOKEN, base_url=wild.url)
    async with Gateway(access, connections=1) as gateway:
        attempt = asyncio.ensure_future(gateway.perform(SEND))
        while not wild.requests:
            await asyncio.sleep(0.01)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert (await gateway.perform(SEND)).http_status == 201


# ---- TLS -----------------------------------------------------------------------------------


def certificates(folder: Path) -> None:
    """An authority, and under it a good certificate, one for another host and one long expired. As
    strict as Python is from 3.13 on."""

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
        "-days", "10", "-subj", "/CN=Test authority",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    (folder / "index").write_text("")
    (folder / "serial").write_text("01")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
        "certificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\npolicy=p\n"
        "copy_extensions=copy\nunique_subject=no\nx509_extensions=x\n[p]\ncommonName=supplied\n"
        "[x]\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    spans = {"good": "300101000000Z", "other": "300101000000Z", "expired": "210101000000Z"}
    for name, end in spans.items():
        host = "elsewhere.example" if name == "other" else "localhost"
        run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", "csr.pem",
            "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}")  # fmt: skip
        run("ca", "-batch", "-config", "ca.conf", "-in", "csr.pem", "-out", f"{name}.pem",
            "-startdate", "200101000000Z", "-enddate", end, "-notext")  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
async def test_g30_a_bad_certificate_gets_no_byte(wild: Wild, tmp_path: Path) -> None:
    certificates(tmp_path)
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    seen: dict[str, object] = {}
    for name, verify in (
        ("good", trust),
        ("other", trust),
        ("expired", trust),
        ("good", ssl.create_default_context()),
    ):
        server = Wild()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        await server.open(context)
        server.plan = [http(200, {})]
        pool = Pool(1, verify=verify)
        try:
            answer = await pool.exchange(
                "GET", f"https://localhost:{server.port}/", [("Authorization", TOKEN)]
            )
            seen[f"{name}-{verify is trust}"] = answer
        except NotSent as error:
            seen[f"{name}-{verify is trust}"] = error
            assert server.requests == []
        await pool.aclose()
        await server.close()
    assert isinstance(seen["good-True"], Answer)
    assert isinstance(seen["other-True"], NotSent)
    assert isinstance(seen["expired-True"], NotSent)
    assert isinstance(seen["good-False"], NotSent)


# ---- lists ---------------------------------------------------------------------------------

BASE = f"/2010-04-01/Accounts/{AC}/Messages.json"


def page(link: object, *sids: str, **more: object) -> bytes:
    return http(200, {"messages": [{"sid": sid} for sid in sids], "next_page_uri": link} | more)


def sm(number: int) -> str:
    return f"SM{number:032x}"


async def listed(gateway: Gateway, **options: int) -> list[str]:
    async with gateway:
        return [item.sid async for item in gateway.messages.list(**options)]


async def test_g33_lists_follow_their_links_and_give_each_row_once(wild: Wild) -> None:
    wild.plan = [
        page(BASE + "?PageSize=2&Page=1&PageToken=PAx%2By", sm(1), sm(2)),
        page(BASE + "?PageSize=2&Page=2&PageToken=b"),
        page(None, sm(2), sm(3), sm(1)),
    ]
    assert await listed(maton(wild), page_size=2) == [sm(1), sm(2), sm(3)]
    assert wild.requests[0][0].startswith(f"GET /twilio{BASE}?PageSize=2 HTTP/1.1")
    assert "PageToken=PAx%2By" in wild.requests[1][0]
    assert wild.requests[1][0].startswith(f"GET /twilio{BASE}?")


async def test_g33_a_limit_asks_for_no_page_more_than_it_needs(wild: Wild) -> None:
    wild.plan = [page(BASE + "?PageToken=a", sm(1), sm(2), sm(3))]
    assert await listed(direct(wild), limit=2) == [sm(1), sm(2)]
    assert len(wild.requests) == 1


@pytest.mark.parametrize(
    "link",
    [
        "http://evil.example/2010-04-01/Accounts/" + AC + "/Messages.json?PageToken=a",
        "//evil.example" + BASE,
        BASE.replace("Messages", "Calls"),
        BASE.replace(AC, "AC" + "ff" * 16),
        f"/2010-04-01/Accounts/{AC}/Messages.json/../../x",
        "http://[",
        17,
        {"a": 1},
    ],
)
async def test_g33_a_link_that_leads_elsewhere_is_not_followed(wild: Wild, link: object) -> None:
    wild.plan = [page(link, sm(1))]
    with pytest.raises(Unreadable, match="cannot be read on"):
        await listed(direct(wild))
    assert len(wild.requests) == 1


async def test_g33_lists_without_an_end_are_ended(wild: Wild) -> None:
    wild.plan = [page(BASE + "?PageToken=a", sm(1))]
    with pytest.raises(Unreadable, match="no end"):
        await listed(direct(wild))
    assert len(wild.requests) == 2
    wild.requests.clear()
    wild.plan = [page(f"{BASE}?PageToken={n}") for n in range(100)]
    with pytest.raises(Unreadable, match="no end"):
        await listed(direct(wild))
    assert len(wild.requests) <= 21


async def test_g33_a_page_that_fails_ends_the_list_with_its_error(wild: Wild) -> None:
    wild.plan = [page(BASE + "?PageToken=a", sm(1)), twilio_error(500, 20500)]
    async with direct(wild) as gateway:
        messages = gateway.messages.list()
        assert (await anext(messages)).sid == sm(1)
        with pytest.raises(ServerError):
            await anext(messages)
    for bad in ({"messages": None}, {}, {"messages": [1]}):
        wild.plan = [http(200, bad)]
        with pytest.raises(Unreadable):
            await listed(direct(wild))


# ---- secrets -------------------------------------------------------------------------------


async def test_keys_never_show(wild: Wild, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    for gateway, secret in ((direct, TOKEN), (maton, KEY)):
        said = f"Invalid API key {secret}"
        shown += [repr(gateway(wild)), str(gateway(wild).access), repr(gateway(wild).messages)]
        for answer in (
            http(401, {"message": said}),
            http(400, said.encode(), kind="text/plain"),
            http(500, {"error": {"message": ("x" * 290) + said}}),
            twilio_error(400, 21211, said),
            http(201, b"{" + said.encode()),
            b"broken\r\n\r\n",
        ):
            wild.plan = [answer]
            error = await fails(gateway(wild))
            trace = traceback.TracebackException.from_exception(error, capture_locals=True)
            shown += [str(error), repr(error), repr(vars(error)), *trace.format()]
    text = "\n".join([*shown, caplog.text])
    wild_heads = "".join(head for head, _ in wild.requests)
    assert KEY in wild_heads
    assert "Basic " in wild_heads
    for piece in ("canary", TOKEN[-20:], KEY[-12:]):
        assert piece not in text
    basic = re.search(r"Basic (\S+)", wild_heads)
    assert basic is not None
    assert basic[1] not in text


async def test_an_auth_token_in_a_reply_is_blanked(wild: Wild) -> None:
    rows = {"accounts": [{"sid": AC, "auth_token": TOKEN, "friendly_name": "Mine"}]}
    wild.plan = [http(200, rows), http(200, rows["accounts"][0])]
    async with direct(wild) as gateway:
        accounts = [item async for item in gateway.accounts.list()]
        one = await gateway.accounts.fetch(AC)
        raw = await gateway.perform(Request("GET", "/Accounts.json"))
    assert accounts[0].friendly_name == one.friendly_name == "Mine"
    for value in (accounts, accounts[0].raw, one.raw, raw.data):
        assert TOKEN not in repr(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Credentials.maton("key with space"),
        lambda: Credentials.maton("key\r\nX: y"),
        lambda: Credentials.maton(KEY, connection="a b"),
        lambda: Credentials.maton(KEY, base_url="gateway.maton.ai"),
        lambda: Credentials.maton(KEY, base_url="https://user:pw@host/"),
        lambda: Credentials.maton(KEY, base_url="https://host/?q=1"),
        lambda: Credentials.maton(KEY, base_url="ftp://host"),
        lambda: Credentials.direct("AC123", TOKEN),
        lambda: Credentials.direct(AC, "tok\nen"),
    ],
)
def test_credentials_that_cannot_be_right_are_refused_at_once(
    make: Callable[[], Credentials],
) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert "canary" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_simulators_key_does_not_go_to_the_real_control_plane() -> None:
    local = Credentials.maton(
        "key", base_url="http://127.0.0.1:8081/twilio", control_url=MATON_CONTROL
    )
    assert local.control_url == "http://127.0.0.1:8081"
    assert Credentials.maton("key").control_url == MATON_CONTROL
    moved = Credentials.maton("key", base_url="https://api.maton.ai/twilio")
    assert moved.control_url == MATON_CONTROL
    given = Credentials.maton(
        "key", base_url="http://localhost:1/twilio", control_url="http://x:2/"
    )
    assert given.control_url == "http://x:2"


# ---- which connection ----------------------------------------------------------------------


def connections(*ids: str, status: str = "ACTIVE") -> bytes:
    rows = [{"connection_id": each, "status": status, "app": "twilio"} for each in ids]
    return http(200, {"connections": rows})


async def test_an_unpinned_write_with_one_connection_pins_it(wild: Wild) -> None:
    wild.plan = [connections("c-9"), http(201, made()), http(201, made())]
    async with maton(wild, connection="") as gateway:
        await gateway.perform(SEND)
        await gateway.perform(SEND)
    heads = [head for head, _ in wild.requests]
    assert heads[0].startswith("GET /connections?app=twilio&status=ACTIVE ")
    assert "Maton-Connection" not in heads[0]
    assert all("Maton-Connection: c-9\r\n" in head for head in heads[1:])
    assert len(heads) == 3


async def test_an_unpinned_write_with_several_connections_never_leaves(wild: Wild) -> None:
    wild.plan = [connections("c-1", "c-2")]
    async with maton(wild, connection="") as gateway:
        with pytest.raises(ConfigError, match="c-1, c-2"):
            await gateway.perform(SEND)
    assert len(wild.requests) == 1


async def test_reads_need_no_pin_and_a_failed_look_up_sends_nothing(wild: Wild) -> None:
    wild.plan = [http(200, made()), http(500, b"")]
    async with maton(wild, connection="") as gateway:
        await gateway.perform(GET)
        with pytest.raises(GatewayError) as caught:
            await gateway.perform(SEND)
    assert caught.value.wrote is False
    assert [head.split()[0] for head, _ in wild.requests] == ["GET", "GET"]


# ---- downloads -----------------------------------------------------------------------------

RE = "RE" + "2c" * 16
ME = "ME" + "3d" * 16


async def test_a_file_comes_straight_or_by_a_redirect_that_sees_no_credentials(wild: Wild) -> None:
    sound = bytes(range(256)) * 2000
    wild.plan = [http(200, sound, kind="audio/mpeg")]
    async with direct(wild) as gateway:
        found = await gateway.recordings.content(RE)
    assert (found.content_type, found.body) == ("audio/mpeg", sound)
    assert wild.requests[0][0].startswith(f"GET /2010-04-01/Accounts/{AC}/Recordings/{RE}.mp3 ")
    wild.requests.clear()
    wild.plan = [
        http(307, b"", "Location: /moved"),
        http(302, b"", f"Location: {wild.url}/file?signed=1"),
        http(200, b"picture", kind="image/png"),
    ]
    async with maton(wild) as gateway:
        medium = await gateway.messages.media(SM).content(ME)
    assert (medium.content_type, medium.body) == ("image/png", b"picture")
    heads = [head for head, _ in wild.requests]
    assert heads[0].startswith(f"GET /twilio/2010-04-01/Accounts/{AC}/Messages/{SM}/Media/{ME} ")
    assert KEY in heads[0]
    assert heads[1].startswith("GET /moved ")
    assert heads[2].startswith("GET /file?signed=1 ")
    assert not any("authorization" in head.lower() for head in heads[1:])


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/x", "http://127.0.0.1:1/x", "https://media.twiliocdn.com.evil/x",
     "file:///etc/passwd", "https://169.254.169.254/", "http://api.twilio.com/plain", ""],
)  # fmt: skip
async def test_a_file_is_not_looked_for_elsewhere(wild: Wild, target: str) -> None:
    wild.plan = [http(302, b"", f"Location: {target}")]
    async with direct(wild) as gateway:
        with pytest.raises(BadRequest):
            await gateway.recordings.content(RE)
    assert len(wild.requests) <= 4


async def test_a_file_that_is_gone_too_large_or_moved_for_ever(wild: Wild) -> None:
    async with direct(wild) as gateway:
        wild.plan = [twilio_error(404, 20404)]
        with pytest.raises(NotFound):
            await gateway.recordings.content(RE)
        wild.plan = [http(200, b"x" * (25 * 1024 * 1024 + 1), kind="audio/mpeg")]
        with pytest.raises(Unreadable, match="25600 KiB"):
            await gateway.recordings.content(RE)
        with pytest.raises(UsageError, match="mp3 or wav"):
            await gateway.recordings.content(RE, "ogg")
    wild.requests.clear()
    wild.plan = [http(302, b"", "Location: /again")]
    async with direct(wild) as gateway:
        with pytest.raises(BadRequest):
            await gateway.recordings.content(RE)
    assert len(wild.requests) == 4
