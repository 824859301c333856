"""Every route from outside: what is proven is on disk before the answer, the rest is refused."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from ringback import ipc
from ringback.receiver.routes import LARGE_BYTES, MOST_LARGE
from ringback.twilio.signature import sign, sign_json
from ringback.twilio.twiml import EMPTY
from ringback.twilio.webhooks import events_from

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
SECRET = "s3cr3t-path-of-this-hook-4711"
BASE = "https://hooks.example.org"
MESSAGE = {"MessageSid": "SM" + "a" * 32, "From": "+15557654321", "To": "+15550001111"}
CALL = {"CallSid": "CA" + "b" * 32, "From": "+15557654321", "To": "+15550001111"}


@pytest.fixture(params=["protocol", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both ways in which a request comes to the receiver."""
    return str(request.param)


ONLY_PROTOCOL = pytest.mark.parametrize("transport", ["protocol"])
"""For what an ASGI application never sees, because its server decides about it."""

FORMS: list[tuple[str, str, str, dict[str, str]]] = [
    ("/twilio/message", "message", "", {**MESSAGE, "Body": "hi"}),
    ("/twilio/message/status", "message/status", "", {**MESSAGE, "MessageStatus": "sent"}),
    ("/twilio/message/status/tag7", "message/status", "tag7", {**MESSAGE, "MessageStatus": "sent"}),
    ("/twilio/call/status", "call/status", "", {**CALL, "CallStatus": "completed"}),
    ("/twilio/call/status/tag7", "call/status", "tag7", {**CALL, "CallStatus": "completed"}),
    ("/twilio/recording", "recording", "", {"RecordingSid": "RE1", "RecordingStatus": "absent"}),
    ("/twilio/debugger", "debugger", "", {"Sid": "NO" + "c" * 32, "Level": "Error"}),
]


@pytest.mark.parametrize(("path", "route", "tag", "fields"), FORMS)
async def test_a_signed_form_is_recorded_raw(
    receiver: Any, path: str, route: str, tag: str, fields: dict[str, str]
) -> None:
    reply = await receiver.post(path, fields)
    if route == "message":
        assert (reply.status, reply.body.decode()) == (200, EMPTY)
        assert reply.headers["content-type"].startswith("text/xml")
    else:
        assert (reply.status, reply.body) == (204, b"")
    (row,) = receiver.rows()
    assert (row.route, row.tag, row.trust, row.source) == (route, tag, "signed", "webhook")
    assert row.content_type == "application/x-www-form-urlencoded"
    assert row.body.startswith(b"AccountSid=AC")
    assert row.received_at.endswith("Z")
    assert len(row.received_at) == 24


ADD_ONS = json.dumps({
    "status": "successful", "message": None, "code": None,
    "results": {"twilio_caller_name": {"result": {"caller_name": "Ann & Søn =?+"}}},
})  # fmt: skip


@pytest.mark.parametrize("query", ["", "?tenant=a+b&x=%C3%A9", "?b=2&a=1&b=2", "?AddOns=x"])
async def test_a_form_with_add_ons_to_an_address_with_a_query_is_proven(
    receiver: Any, query: str
) -> None:
    """The signature is over the query as it stands, and over the JSON that is in a field."""
    fields = {**MESSAGE, "Body": "hi", "AddOns": ADD_ONS}
    reply = await receiver.post("/twilio/message" + query, fields)
    assert (reply.status, reply.body.decode()) == (200, EMPTY)
    (row,) = receiver.rows()
    (event,) = events_from(row, lambda: "evt_1")
    assert (row.trust, event.fields["AddOns"]) == ("signed", ADD_ONS)
    other = await receiver.send(
        "/twilio/message?tenant=b", urlencode({"AccountSid": ACCOUNT, **fields}).encode(),
        {"X-Twilio-Signature": sign(TOKEN, BASE + "/twilio/message" + query, [])},
    )  # fmt: skip
    assert other.status == 403


@pytest.mark.parametrize("path", ["/twilio/message", "/twilio/message/status/tag7"])
@pytest.mark.parametrize("prefix", ["/hooks", "/a/b%20c", ""])
async def test_the_prefix_of_the_public_url_may_come_and_may_be_cut_off(
    start_receiver: Any, receiver_settings: Any, prefix: str, path: str
) -> None:
    """The address that Twilio signed is the same, whatever the proxy does with its front part."""
    receiver = await start_receiver(replace(receiver_settings, public_url=BASE + prefix))
    body = urlencode({"AccountSid": ACCOUNT, **MESSAGE, "MessageStatus": "sent"}).encode()
    signature = sign(TOKEN, BASE + prefix + path, parse_qsl(body.decode()))
    headers = {"X-Twilio-Signature": signature}
    for asked in (path, prefix + path):
        assert (await receiver.send(asked, body, headers)).status in (200, 204)
    assert (await receiver.send("/other" + path, body, headers)).status == 404
    (row,) = receiver.rows()
    assert row.trust == "signed"


@pytest.mark.parametrize(
    "path", ["/twilio/mesage", "/message", "/hooks/twilio/message", "/twilio/message/", "/"]
)
async def test_a_signed_webhook_to_no_path_of_ours_is_counted_and_explained(
    receiver: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has wired a number to it, and would look for the reason at Twilio alone."""
    unsigned = await receiver.send(path, b"", {})
    assert unsigned.status == 404
    assert receiver.count("refused", "path") == 0
    assert (await receiver.send(path, b"", {"X-Twilio-Signature": "x"})).status == 404
    assert receiver.count("refused", "path") == 1
    kept = receiver.settings.data / "refusals.json"
    async with asyncio.timeout(10):
        while not kept.exists():
            await asyncio.sleep(0.01)
    ((cause,),) = [row["causes"] for row in json.loads(kept.read_text())]
    assert f"came to {path}," in cause["says"]
    assert f"{BASE}/twilio/" in cause["mend"]
    assert (f"{BASE}/hooks" in cause["mend"]) == path.startswith("/hooks")
    assert f"a webhook to {path} was refused" in caplog.text


@pytest.mark.parametrize("path", ["/twilio/message", "/twilio/call/status", "/twilio/recording"])
async def test_get_is_recorded_by_its_query(receiver: Any, path: str) -> None:
    query = f"AccountSid={ACCOUNT}&MessageSid={MESSAGE['MessageSid']}&CallSid={CALL['CallSid']}"
    query += "&From=%2B1555&To=%2B1666&CallStatus=ringing&RecordingSid=RE1"
    url = f"{path}?{query}"
    headers = {"X-Twilio-Signature": sign(TOKEN, BASE + url)}
    reply = await receiver.send(url, b"", headers, "GET")
    assert reply.status in (200, 204)
    (row,) = receiver.rows()
    assert row.body == query.encode()


@pytest.mark.parametrize("array", [True, False])
async def test_event_streams(receiver: Any, array: bool) -> None:
    event = {"id": "EZ1", "type": "com.twilio.messaging.message.sent", "source": "x", "data": {}}
    body = json.dumps([event] if array else event).encode()
    url, signature = sign_json(TOKEN, BASE + "/twilio/events", body)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    path = url.removeprefix(BASE)
    assert (await receiver.send(path, body, headers)).status == 204
    assert (await receiver.send(path, body + b" ", headers)).status == 403
    assert (await receiver.send("/twilio/events", body, headers)).status == 403
    (row,) = receiver.rows()
    assert (row.route, row.body) == ("events", body)


async def test_json_that_is_no_event_is_malformed(receiver: Any) -> None:
    for body in (b"{", b"[]", b'{"id": 1}', b"[" * 1000):
        url, signature = sign_json(TOKEN, BASE + "/twilio/events", body)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
        assert (await receiver.send(url.removeprefix(BASE), body, headers)).status == 400
    assert receiver.rows() == []


async def test_a_known_duplicate_is_acknowledged_without_a_row(receiver: Any) -> None:
    for _ in range(3):
        assert (await receiver.post("/twilio/message", MESSAGE)).status == 200
    assert await receiver.post("/twilio/message/status", {**MESSAGE, "MessageStatus": "sent"})
    assert len(receiver.rows()) == 2
    assert receiver.count("duplicates", "message") == 2


async def test_rotation_and_further_accounts(start_receiver: Any, receiver_settings: Any) -> None:
    other = "AC" + "f" * 32
    settings = replace(
        receiver_settings, auth_tokens=("n" * 32, TOKEN), accounts={other: ("o" * 32,)}
    )
    receiver = await start_receiver(settings)
    for token in ("n" * 32, TOKEN):
        fields = {**MESSAGE, "MessageSid": f"SM{ord(token[0]):032x}"}
        assert (await receiver.post("/twilio/message", fields, token=token)).status == 200
    sub = {**MESSAGE, "AccountSid": other}
    assert (await receiver.post("/twilio/message", sub, token="o" * 32)).status == 200
    assert (await receiver.post("/twilio/message", sub, token=TOKEN)).status == 403
    unknown = {**MESSAGE, "AccountSid": "AC" + "e" * 32}
    assert (await receiver.post("/twilio/message", unknown)).status == 403
    assert len(receiver.rows()) == 3


async def test_a_shared_key(start_receiver: Any, receiver_settings: Any) -> None:
    receiver = await start_receiver(
        replace(receiver_settings, auth_tokens=(), shared_keys={"key7": "k" * 32})
    )
    fields = list({"AccountSid": ACCOUNT, **MESSAGE}.items())
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in fields).encode()
    signature = sign("k" * 32, BASE + "/twilio/message", fields, digest="sha256")
    headers = {
        "X-Twilio-Signature": signature,
        "X-Twilio-Webhooks-Signature-Settings": "key=key7,algorithm=HMAC_SHA256",
    }
    assert (await receiver.send("/twilio/message", body, headers)).status == 200
    headers["X-Twilio-Webhooks-Signature-Settings"] = "key=key8,algorithm=HMAC_SHA256"
    assert (await receiver.send("/twilio/message", body, headers)).status == 403
    assert [row.trust for row in receiver.rows()] == ["signed"]


async def test_the_secret_path_claims_and_a_signature_on_it_proves(receiver: Any) -> None:
    body = f"AccountSid={ACCOUNT}&MessageSid={MESSAGE['MessageSid']}&From=1&To=2".encode()
    path = f"/twilio/~{SECRET}/message"
    assert (await receiver.send(path, body)).status == 200
    assert (await receiver.send(path, body)).status == 200, "the same claim again"
    assert (await receiver.send(path, body, {"X-Twilio-Signature": "A" * 28})).status == 403
    for wrong in (
        f"/twilio/~{SECRET}x/message",
        "/twilio/~/message",
        f"/twilio/~{SECRET[:-1]}/call",
    ):
        assert (await receiver.send(wrong, body)).status == 403
    assert [row.trust for row in receiver.rows()] == ["claimed"]
    proof = {"X-Twilio-Signature": sign(TOKEN, BASE + path, parse_qsl(body.decode()))}
    assert (await receiver.send(path, body, proof)).status == 200
    assert [row.trust for row in receiver.rows()] == ["claimed", "signed"], (
        "a claim does not hide the proven webhook"
    )


async def test_without_any_proof_configured_nothing_is_accepted(
    start_receiver: Any, receiver_settings: Any
) -> None:
    receiver = await start_receiver(replace(receiver_settings, auth_tokens=(), hook_secret=""))
    assert (await receiver.post("/twilio/message", MESSAGE, token="")).status == 403
    assert (await receiver.send("/twilio/~/message", b"a=1")).status == 403
    assert receiver.rows() == []


@ONLY_PROTOCOL  # simulated mode is for `ringback dev` alone
async def test_simulated_trust_still_needs_the_signature(
    start_receiver: Any, receiver_settings: Any
) -> None:
    receiver = await start_receiver(replace(receiver_settings, simulated=True, public_url=""))
    assert (await receiver.send("/twilio/message", b"a=1")).status == 403
    reply = await receiver.post("/twilio/message", MESSAGE, base=receiver.url)
    assert reply.status == 200
    assert [row.trust for row in receiver.rows()] == ["simulated"]


@ONLY_PROTOCOL
async def test_simulated_trust_ends_at_the_loopback(
    start_receiver: Any, receiver_settings: Any
) -> None:
    receiver = await start_receiver(
        replace(receiver_settings, simulated=True, auth_tokens=(), host="0.0.0.0")
    )
    body = f"AccountSid={ACCOUNT}&MessageSid={MESSAGE['MessageSid']}&From=1&To=2".encode()
    assert (await receiver.send("/twilio/message", body)).status == 403
    assert receiver.rows() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
        {"X-Forwarded-Port": "1", "Forwarded": "host=evil.example;proto=http"},
        {"X-Original-URL": "/twilio/call", "X-Rewrite-URL": "/twilio/call"},
        {"X-HTTP-Method-Override": "GET"},
    ],
)
async def test_only_the_configured_address_counts(receiver: Any, headers: dict[str, str]) -> None:
    fields = list({"AccountSid": ACCOUNT, **MESSAGE}.items())
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in fields).encode()
    good = sign(TOKEN, BASE + "/twilio/message", fields)
    assert (
        await receiver.send("/twilio/message", body, {**headers, "X-Twilio-Signature": good})
    ).status == 200
    evil = sign(TOKEN, "http://evil.example/twilio/message", fields)
    assert (
        await receiver.send("/twilio/message", body, {**headers, "X-Twilio-Signature": evil})
    ).status == 403


@pytest.mark.parametrize(("proxies", "status"), [(("127.0.0.0/8",), 200), (("10.0.0.1",), 403)])
async def test_a_trusted_proxy_may_name_the_address(
    start_receiver: Any, receiver_settings: Any, proxies: tuple[str, ...], status: int
) -> None:
    receiver = await start_receiver(replace(receiver_settings, trusted_proxies=proxies))
    fields = list({"AccountSid": ACCOUNT, **MESSAGE}.items())
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in fields).encode()
    headers = {
        "X-Forwarded-Host": "other.example",
        "X-Forwarded-Proto": "https",
        "X-Twilio-Signature": sign(TOKEN, "https://other.example/twilio/message", fields),
    }
    assert (await receiver.send("/twilio/message", body, headers)).status == status


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/twilio/message", "PUT", 405),
        ("/twilio/message/status", "GET", 405),
        ("/twilio/debugger", "GET", 405),
        ("/twilio/events", "DELETE", 405),
        ("/twilio/message", "HEAD", 405),
        ("/twilio/message", "OPTIONS", 405),
        ("/twilio/message", "TRACE", 405),
        ("/twilio/", "POST", 404),
        ("/twilio/messages", "POST", 404),
        ("/twilio/message/", "POST", 404),
        ("/twilio/call/step", "POST", 404),
        ("/twilio/call/step/a/b", "POST", 404),
        ("/twilio/message/status/" + "t" * 65, "POST", 404),
        ("/twilio/message/status/Tag", "POST", 404),
        ("/twilio/%6dessage", "POST", 404),
        ("//twilio/message", "POST", 404),
        ("/twilio/../twilio/message", "POST", 404),
        ("/nothing", "GET", 404),
    ],
)
async def test_other_paths_and_methods(receiver: Any, path: str, method: str, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nallow: " in head) is (status == 405)
    assert b"access-control" not in head
    assert bool(body) is (method != "HEAD")
    assert receiver.rows() == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-www-form-urlencoded; charset=UTF-8", 200),
        ("APPLICATION/X-WWW-FORM-URLENCODED", 200),
        ("application/json", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
async def test_the_media_type_of_a_form(receiver: Any, content_type: str, status: int) -> None:
    fields = list({"AccountSid": ACCOUNT, **MESSAGE}.items())
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in fields).encode()
    headers = {
        "Content-Type": content_type,
        "X-Twilio-Signature": sign(TOKEN, BASE + "/twilio/message", fields),
    }
    assert (await receiver.send("/twilio/message", body, headers)).status == status


async def test_bodies_at_and_over_the_limit(receiver: Any) -> None:
    base = {"AccountSid": ACCOUNT, **MESSAGE}
    left = 64 * 1024 - len(
        "&".join(f"{n}={v.replace('+', '%2B')}" for n, v in base.items()) + "&Body="
    )
    assert (await receiver.post("/twilio/message", {**MESSAGE, "Body": "x" * left})).status == 200
    over = {**MESSAGE, "Body": "x" * (left + 1)}
    assert (await receiver.post("/twilio/message", over)).status == 413
    chunked = (
        b"POST /twilio/message HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: "
        + b"A" * 28
        + b"\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 3
    )
    (reply,) = await receiver.raw(chunked)
    assert reply.status == 413
    many = {**MESSAGE, **{f"X{n}": "" for n in range(200)}}
    assert (await receiver.post("/twilio/message", many)).status == 400
    assert len(receiver.rows()) == 1


async def test_the_route_of_event_streams_has_a_limit_of_its_own(receiver: Any) -> None:
    """A batch may have 1,000 events; Twilio sends one that is refused with 413 never again."""
    most = 4 * 1024 * 1024
    for size, status in ((most, 204), (most + 1, 413)):
        start = b'{"id": "EZ1", "type": "x", "data": {"a": "'
        body = start + b"x" * (size - len(start) - 3) + b'"}}'
        assert len(body) == size
        url, signature = sign_json(TOKEN, BASE + "/twilio/events", body)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
        assert (await receiver.send(url.removeprefix(BASE), body, headers)).status == status
    assert [len(row.body) for row in receiver.rows()] == [most]


async def test_so_many_large_bodies_are_received_at_once_and_the_others_are_asked_for_again(
    receiver: Any,
) -> None:
    """Whoever leaves, or is through, makes room."""
    size = LARGE_BYTES + 10
    head = (
        b"POST /twilio/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"X-Twilio-Signature: " + b"A" * 28 + b"\r\nContent-Length: %d\r\n\r\n" % size
    )
    part = head + b"x" * (size - 1)

    async def answered(status: int) -> None:
        async with asyncio.timeout(5.0):
            while (await receiver.raw(part + b"x"))[0].status != status:
                pass

    held = [await asyncio.open_connection("127.0.0.1", receiver.port) for _ in range(MOST_LARGE)]
    for _, writer in held:
        writer.write(part)
        await writer.drain()
    await answered(503)
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    await answered(403)


async def test_a_malformed_element_refuses_no_batch(receiver: Any) -> None:
    good = {"id": "EZ1", "type": "com.twilio.messaging.message.sent", "source": "x", "data": {}}
    body = json.dumps([good, {"id": "EZ2"}, "no event", {**good, "id": "EZ3"}]).encode()
    url, signature = sign_json(TOKEN, BASE + "/twilio/events", body)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/json"}
    assert (await receiver.send(url.removeprefix(BASE), body, headers)).status == 204
    assert [row.body for row in receiver.rows()] == [body]


async def test_a_chunked_body_is_read(receiver: Any, transport: str) -> None:
    fields = list({"AccountSid": ACCOUNT, **MESSAGE}.items())
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in fields).encode()
    signature = sign(TOKEN, BASE + "/twilio/message", fields)
    head = (
        "POST /twilio/message HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\n"
        f"X-Twilio-Signature: {signature}\r\n\r\n"
    ).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[n : n + 1]) for n in range(len(body)))
    # uvicorn takes trailers for headers: there a second signature is refused, as it must be.
    trailer = b"X-Twilio-Signature: trailer\r\n" if transport == "protocol" else b""
    (reply,) = await receiver.raw(head + chunks + b"0\r\n" + trailer + b"\r\n")
    assert reply.status == 200
    assert receiver.rows()[0].body == body


async def test_many_at_once_on_one_connection_each(receiver: Any) -> None:
    async def one(number: int) -> int:
        fields = {**MESSAGE, "MessageSid": f"SM{number:032x}", "MessageStatus": "sent"}
        return int((await receiver.post("/twilio/message/status", fields)).status)

    assert await asyncio.gather(*(one(n) for n in range(100))) == [204] * 100
    assert len(receiver.rows()) == 100


async def test_the_worker_is_woken_and_not_once_per_row(receiver: Any, fake_worker: Any) -> None:
    await receiver.post("/twilio/message", MESSAGE)
    await asyncio.wait_for(fake_worker.heard.wait(), 5)
    fake_worker.messages.clear()
    fields = [{**MESSAGE, "MessageSid": f"SM{n:032x}"} for n in range(50)]
    await asyncio.gather(*(receiver.post("/twilio/message", each) for each in fields))
    async with asyncio.timeout(5):
        while not fake_worker.ops("wake") or fake_worker.ops("wake")[-1] != 51:
            fake_worker.heard.clear()
            await fake_worker.heard.wait()
    assert len(fake_worker.ops("wake")) <= 50


async def test_a_worker_that_comes_later_hears_of_what_came_before(
    receiver: Any, receiver_settings: Any
) -> None:
    await receiver.post("/twilio/message", MESSAGE)
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handle(message: ipc.Message) -> None:
        if not heard.done():
            heard.set_result(message["id"])

    server = await ipc.serve(ipc.socket_path(receiver_settings.data), handle)
    assert await asyncio.wait_for(heard, 3) == 1
    await server.close()


async def test_the_first_webhook_wakes_the_worker_at_once(receiver: Any, fake_worker: Any) -> None:
    started = asyncio.get_running_loop().time()
    await receiver.post("/twilio/message", MESSAGE)
    await asyncio.wait_for(fake_worker.heard.wait(), 5)
    assert asyncio.get_running_loop().time() - started < 4


async def test_health_readiness_metrics(
    start_receiver: Any, receiver_settings: Any, fake_worker: Any
) -> None:
    receiver = await start_receiver(receiver_settings)
    assert (await receiver.send("/healthz", method="GET")).status == 200
    ready = await receiver.send("/readyz", method="GET")
    assert (ready.status, json.loads(ready.body)["ready"]) == (200, True)
    await receiver.post("/twilio/message", MESSAGE)
    await receiver.send("/twilio/message", b"a=1", {"X-Twilio-Signature": "no"})
    text = (await receiver.send("/metrics", method="GET")).body.decode()
    assert 'ringback_recorded_total{route="message",trust="signed"} 1.0' in text
    assert 'ringback_answers_total{route="message",status="403"} 1.0' in text


async def test_not_ready_without_a_worker_but_alive(receiver: Any) -> None:
    ready = await receiver.send("/readyz", method="GET")
    assert ready.status == 503
    assert "worker" in json.loads(ready.body)["problems"]
    assert (await receiver.send("/healthz", method="GET")).status == 200


@ONLY_PROTOCOL  # uvicorn closes a connection on which the other side has said all
async def test_a_client_that_half_closes_still_gets_its_answer(receiver: Any) -> None:
    fields = list({"AccountSid": ACCOUNT, **MESSAGE}.items())
    body = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in fields).encode()
    signature = sign(TOKEN, BASE + "/twilio/message", fields)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    writer.write(receiver.bytes_of("/twilio/message", body, {"X-Twilio-Signature": signature}))
    writer.write_eof()
    data = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert data.startswith(b"HTTP/1.1 200")
