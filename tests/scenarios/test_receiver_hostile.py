"""Hostile requests on raw sockets, through both transports. Each is refused as the table says, none
leaves a row, and every reason of proof gets the very same body."""

import asyncio
import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from ringback.twilio.signature import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
OLD_TOKEN = "0ld0ld0ld0ld0ld0ld0ld0ld0ld0ld0l"
BASE = "https://hooks.example.org"
PATH = "/twilio/message/status"
FIELDS = [
    ("AccountSid", ACCOUNT),
    ("MessageSid", "SM" + "a" * 32),
    ("MessageStatus", "delivered"),
    ("From", "+15550001111"),
    ("To", "+15557654321"),
    ("A", "1"),
    ("B", "2"),
]
Pairs = list[tuple[str, str]]


@pytest.fixture(params=["protocol", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both ways in which a request comes to the receiver."""
    return str(request.param)


ONLY_PROTOCOL = pytest.mark.parametrize("transport", ["protocol"])
"""For what an ASGI application never sees, because its server decides about it."""


@dataclass(frozen=True)
class Case:
    """One hostile request: its bytes, and the statuses that may answer it (0 = just closed).

    `asgi` are those of the application behind uvicorn's own parser where they differ; a comment at
    the case says why.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...]
    recorded: bool = False
    asgi: tuple[int, ...] = ()


def build(
    path: str = PATH,
    pairs: Pairs | None = None,
    signature: str | None = None,
    *,
    extra: str = "",
    method: str = "POST",
    body: bytes | None = None,
    host: str = "Host: hooks.example.org\r\n",
    version: str = "1.1",
    length: str | None = None,
) -> bytes:
    """A request that is right but for what is given."""
    if body is None:
        body = urlencode(FIELDS if pairs is None else pairs).encode()
    if signature is None:
        signature = good()
    head = f"{method} {path} HTTP/{version}\r\n{host}{extra}"
    if signature:
        head += f"X-Twilio-Signature: {signature}\r\n"
    if "ransfer-" not in extra or length is not None:
        head += length if length is not None else f"Content-Length: {len(body)}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    return head.encode("latin-1") + body


def good(pairs: Pairs | None = None, url: str = BASE + PATH, token: str = TOKEN) -> str:
    return sign(token, url, FIELDS if pairs is None else pairs)


def mac(digest: str, key: str = TOKEN, url: str = BASE + PATH) -> bytes:
    text = url + "".join(name + value for name, value in sorted(FIELDS))
    return hmac.new(key.encode(), text.encode(), getattr(hashlib, digest)).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def changed(name: str, value: str) -> Pairs:
    return [(n, value if n == name else v) for n, v in FIELDS]


FORBIDDEN, BAD = (403,), (400,)
BODY = urlencode(FIELDS).encode()
TWO = "X-Twilio-Signature: {{}}\r\nX-Twilio-Signature: {{}}\r\n"
SHIFTED = [*FIELDS[:1], *FIELDS[2:3], ("From", "+15550001111MessageSidSM" + "a" * 32), *FIELDS[4:]]
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"

CASES = [
    Case("H01 no signature", build(signature=""), FORBIDDEN),
    Case("H02 empty signature", build(signature="", extra="X-Twilio-Signature: \r\n"), FORBIDDEN),
    Case("H03 spaces", build(signature="   "), FORBIDDEN),
    Case("H04 wrong base64", build(signature=b64(b"x" * 20)), FORBIDDEN),
    Case("H05 hex digest", build(signature=mac("sha1").hex()), FORBIDDEN),
    Case("H06 sha256 digest", build(signature=b64(mac("sha256"))), FORBIDDEN),
    Case("H07 trailing newline in base64", build(signature=good() + "\\n"), FORBIDDEN),
    Case("H08 good then bad", build(signature="", extra=TWO.format(good(), "x" * 28)), FORBIDDEN),
    Case("H09 bad then good", build(signature="", extra=TWO.format("x" * 28, good())), FORBIDDEN),
    Case("H10 comma-joined", build(signature=f"{good()},{good()}"), FORBIDDEN),
    Case("H11 not ASCII", build(signature="ünïcode-signature-valué====="), FORBIDDEN),
    Case("H12 10 kB long", build(signature="A" * 10_000), FORBIDDEN),
    Case("H13 empty token", build(signature=good(token="")), FORBIDDEN),
    Case("H14 the account SID as key", build(signature=good(token=ACCOUNT)), FORBIDDEN),
    Case("H15 a rotated-out token", build(signature=good(token=OLD_TOKEN)), FORBIDDEN),
    Case("H16 http", build(signature=good(url="http://hooks.example.org" + PATH)), FORBIDDEN),
    Case("H17 another host", build(signature=good(url="https://evil.example" + PATH)), FORBIDDEN),
    Case("H18 another port", build(signature=good(url=BASE + ":8443" + PATH)), FORBIDDEN),
    Case("H19 another path", build(signature=good(url=BASE + "/twilio/message")), FORBIDDEN),
    Case("H20 query order", build(PATH + "?b=2&a=1", signature=good(url=BASE + PATH + "?a=1&b=2")),
         FORBIDDEN),
    Case("H21 query added", build(PATH + "?a=1"), FORBIDDEN),
    Case("H22 fragment signed", build(signature=good(pairs=[], url=BASE + PATH + "%23x")),
         FORBIDDEN),
    Case("H23 trailing slash", build(PATH + "/", signature=good(url=BASE + PATH + "/")), (404,)),
    Case("H24 upper-case path", build(PATH.upper()), (404,)),
    Case("H25 percent-encoding", build("/twilio/message%2Fstatus"), (404,)),
    Case("H26 one byte of the body", build(pairs=changed("To", "+15557654322")), FORBIDDEN),
    Case("H27 parameter dropped", build(pairs=FIELDS[:-1]), FORBIDDEN),
    Case("H28 parameter added", build(pairs=[*FIELDS, ("C", "3")]), FORBIDDEN),
    Case("H29 shifted boundary", build(pairs=SHIFTED, signature=good()), (400, 403)),
    Case("H30 parameters moved into the path", build(
        PATH + "A1AccountSid" + ACCOUNT, pairs=FIELDS[1:5] + FIELDS[6:]), (404, 403)),
    Case("H31 the same parameter twice", build(pairs=[*FIELDS, ("A", "1")]), BAD),
    Case("H32 twice with another value", build(pairs=[*FIELDS, ("A", "9")]), BAD),
    Case("H33 a GET signature on POST", build(signature=good(pairs=[])), FORBIDDEN),
    Case("H34 fields moved to the query",
         build(PATH + "?" + urlencode(FIELDS), pairs=[]), FORBIDDEN),
    Case("H35 evil Host", build(host="Host: evil\r\n"), (204,), recorded=True),
    Case("H36 Host with a path", build(host="Host: a/?x=\r\n"), (204, 400), recorded=True),
    Case("H37 forwarded host", build(extra="X-Forwarded-Host: evil\r\n"), (204,), recorded=True),
    Case("H38 no Host", build(host=""), BAD),
    Case("H39 absolute target", build("http://evil.example" + PATH), (204, 400), recorded=True),
    Case("H40 chunked and a length", build(extra="Transfer-Encoding: chunked\r\n",
         length=f"Content-Length: {len(BODY)}\r\n"), BAD),
    Case("H41 xchunked", build(extra="Transfer-Encoding: xchunked\r\n"), BAD),
    Case("H41 chunk size of no number", build(extra="Transfer-Encoding: chunked\r\n",
         body=b"zz\r\n" + BODY), BAD),
    Case("H41 a space before the colon", build(extra="Transfer-Encoding : chunked\r\n",
         body=b"5\r\nhello\r\n0\r\n\r\n"), BAD),
    Case("H42 negative length", build(length="Content-Length: -5\r\n"), BAD),
    Case("H42 signed length", build(length=f"Content-Length: +{len(BODY)}\r\n"), BAD),
    Case("H42 two lengths", build(
        length=f"Content-Length: {len(BODY)}\r\nContent-Length: {len(BODY) + 1}\r\n"), BAD),
    Case("H42 enormous length", build(length="Content-Length: 99999999999999999999999\r\n"),
         (400, 413)),
    Case("H45 header of 64 KiB", build(extra="X-Big: " + "x" * 65_536 + "\r\n"), (431, 400)),
    Case("H46 1,000 headers", build(extra="".join(f"X-{n}: 1\r\n" for n in range(1000))),
         (431, 400)),
    Case("H47 Expect without a signature", build(signature="", extra="Expect: 100-continue\r\n",
         length="Content-Length: 50000\r\n", body=b""), FORBIDDEN),
    Case("H48 HTTP/1.0 with keep-alive", build(version="1.0", extra="Connection: keep-alive\r\n"),
         (204, 400), recorded=True),
    # uvicorn's parser loses the body of a request that asks for an upgrade: then no proof fits it.
    Case("H49 h2c upgrade", build(extra=H2C), (204,), recorded=True, asgi=(403,)),
    Case("a NUL in the target", build(PATH + "\0"), BAD),
    Case("a header name of NUL", build(extra="X\0Y: 1\r\n"), BAD),
    Case("a folded header", build(extra="X-A: 1\r\n  2\r\n"), (400, 204), recorded=True),
    Case("two Hosts", build(host="Host: a\r\nHost: b\r\n"), BAD),
    Case("a method of no kind", build(method="FOO"), (400, 405)),
    Case("CONNECT", b"CONNECT evil:80 HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404, 405)),
    Case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    Case("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(200), BAD),
    Case("not UTF-8", build(body=b"AccountSid=%ff", signature=good()), BAD),
    Case("the URL of 64 KiB", build("/" + "a" * 65_536), (431, 400)),
    Case("other methods of GET kind", build(method="GET"), (405,)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_hostile(receiver: Any, transport: str, case: Case) -> None:
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(case.data)
    line = await asyncio.wait_for(reader.readline(), 30)
    status = int(line.split()[1]) if line else 0
    rest = b""
    if status == 403:
        rest = await asyncio.wait_for(reader.readuntil(b"Forbidden\n"), 30)
    writer.close()
    assert status in (case.statuses if transport == "protocol" else case.asgi or case.statuses)
    assert time.monotonic() - started < 30
    assert len(receiver.rows()) == (1 if case.recorded and status == 204 else 0)
    if status == 403:
        assert rest.endswith(b"\r\n\r\nForbidden\n"), "one same body for every reason of proof"
    assert (await receiver.send("/healthz", method="GET")).status == 200


async def test_every_number_of_the_corpus_is_there() -> None:
    elsewhere = {"H43", "H44", "H50"}
    named = {case.name[:3] for case in CASES if case.name[1:3].isdigit()} | elsewhere
    assert named == {f"H{n:02}" for n in range(1, 51)}


SLOW = [
    ("H43 a body shorter than its length", build(length="Content-Length: 500\r\n", body=b"A=1")),
    ("H44 one byte a second", build(length="Content-Length: 5000\r\n", body=b"")),
]
SLOW_HEADS = [  # before its head is complete, no ASGI application knows of a request
    ("a head that never ends", b"POST /twilio/message HTTP/1.1\r\nHost: x\r\n"),
    ("a connection that says nothing", b""),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transport", "name", "head"),
    [
        *(("protocol", *slow) for slow in SLOW + SLOW_HEADS),
        *(("asgi", *slow) for slow in SLOW),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_slow_ones_are_cut(
    receiver: Any, monkeypatch: pytest.MonkeyPatch, name: str, head: bytes
) -> None:
    for module in ("protocol", "endpoint"):
        monkeypatch.setattr(f"ringback.receiver.{module}.RECEIVE_SECONDS", 1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head)
    started = time.monotonic()
    answer = b""
    while time.monotonic() - started < 30:
        if name.startswith("H44"):
            writer.write(b"x")
        try:
            data = await asyncio.wait_for(reader.read(1000), 0.2)
        except TimeoutError:
            continue
        except ConnectionError:  # it closed while we still wrote
            break
        answer += data
        if not data:
            break
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.9 < time.monotonic() - started < 20
    assert receiver.count("connections_cut") == 1
    assert receiver.rows() == []


async def test_real_traffic_passes_beside_six_hundred_slow_ones(receiver: Any) -> None:
    half_head = b"POST /twilio/message HTTP/1.1\r\nHost: x\r\n"
    half_body = build(length="Content-Length: 5000\r\n", body=b"A=1")
    slow = []
    try:
        for number in range(600):
            _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(half_head if number % 2 else half_body)
            slow.append(writer)
        times = []
        for number in range(40):
            fields = {"MessageSid": f"SM{number:032x}", "From": "+1", "To": "+2"}
            started = time.monotonic()
            reply = await receiver.post("/twilio/message", fields)
            times.append(time.monotonic() - started)
            assert reply.status == 200
        assert sorted(times)[-2] < 5, "slow requests hold nobody up"
    finally:
        for writer in slow:
            writer.close()


@ONLY_PROTOCOL  # connections are the server's
async def test_idle_connections_keep_nobody_out(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringback.receiver.protocol.MOST_CONNECTIONS", 20)
    idle = []
    for number in range(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        if number % 2:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        idle.append((reader, writer))
    (reply,) = await receiver.raw(build())
    assert reply.status == 204
    assert receiver.count("connections_cut") >= 40
    for _, writer in idle:
        writer.close()


@ONLY_PROTOCOL  # connections are the server's
async def test_when_all_are_being_answered_a_newcomer_gets_503(
    receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringback.receiver.protocol.MOST_CONNECTIONS", 16)
    gate = threading.Event()
    writer = receiver.node.log.writer
    original = writer._apply

    def held(connection: Any, items: Any) -> Any:
        gate.wait(10)
        return original(connection, items)

    writer._apply = held
    waiting = []
    for number in range(16):
        pairs = changed("MessageSid", f"SM{number:032x}")
        waiting.append(asyncio.create_task(receiver.raw(build(pairs=pairs, signature=good(pairs)))))
    async with asyncio.timeout(5):
        while writer.in_flight < 16:
            await asyncio.sleep(0.005)
    (reply,) = await receiver.raw(b"")
    assert reply.status == 503
    gate.set()
    assert [(await task)[0].status for task in waiting] == [204] * 16


async def test_h50_a_hundred_bad_requests_in_one_go(receiver: Any) -> None:
    replies = await receiver.raw(build(signature="x" * 28) * 100, replies=100)
    statuses = [reply.status for reply in replies]
    assert set(statuses) <= {403, 0}
    assert statuses[0] == 403
    assert receiver.rows() == []


async def test_pipelined_good_requests_are_answered_or_closed_never_lost(receiver: Any) -> None:
    def numbered(number: int) -> bytes:
        pairs = changed("MessageSid", f"SM{number:032x}")
        return build(pairs=pairs, signature=good(pairs))

    replies = await receiver.raw(b"".join(numbered(n) for n in range(20)), replies=20)
    accepted = sum(reply.status == 204 for reply in replies)
    assert accepted >= 1
    assert {reply.status for reply in replies} <= {204, 0}
    assert len(receiver.rows()) == accepted


@pytest.mark.parametrize(
    "head",
    [
        build(length="Content-Length: 10000000\r\n", body=b""),
        build(extra="Transfer-Encoding: chunked\r\n", body=b""),
        build(extra="Transfer-Encoding: chunked\r\n", body=b"", signature=""),
    ],
    ids=["announced", "chunked", "chunked and unsigned"],
)
async def test_large_bodies_are_refused_early_and_readably(receiver: Any, head: bytes) -> None:
    """The refusal can be read although the sender was still sending."""
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(head)

    async def flood() -> None:
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            for _ in range(200):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            return

    flooding = asyncio.create_task(flood())
    line = await asyncio.wait_for(reader.readline(), 30)
    assert line.split()[1] in (b"413", b"403")
    flooding.cancel()
    writer.close()
    assert receiver.rows() == []


async def test_old_token_out_new_token_in(start_receiver: Any, receiver_settings: Any) -> None:
    receiver = await start_receiver(replace(receiver_settings, auth_tokens=(TOKEN, OLD_TOKEN)))
    (reply,) = await receiver.raw(build(signature=good(token=OLD_TOKEN)))
    assert reply.status == 204


async def test_a_hundred_spellings_of_the_path_reach_nothing(receiver: Any) -> None:
    spell: list[Callable[[str], str]] = [
        lambda path: path + "/..",
        lambda path: "/." + path,
        lambda path: path + ";x",
        lambda path: path + "%00",
        lambda path: quote(path, safe=""),
        lambda path: path.replace("/", "\\"),
        lambda path: path + "%20",
        lambda path: path + ".php",
    ]
    for change in spell:
        for path in ("/twilio/message", PATH, "/twilio/call"):
            url = change(path)
            pairs = [*FIELDS, ("CallSid", "CA" + "0" * 32)]
            data = build(url, pairs=pairs, signature=good(pairs, url=BASE + url))
            (reply,) = await receiver.raw(data)
            assert reply.status in (400, 404), url
    assert receiver.rows() == []
