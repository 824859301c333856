"""Hostile input to the simulator: a clear answer at no cost."""

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PERSON = "+14155550123"

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><Response><Message>&i;</Message></Response>"
)


def memory(box: Any) -> int:
    """Resident kilobytes of the box."""
    pid = box.http.get("/_sim").json()["pid"]
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (BOMB, "12100"),
        ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response/>', "12100"),
        ("<Response>" + "<Message>" * 7000, "12100"),
        ("<Response>" * 100_000, "11750"),
        ("\x00" * 100, "12100"),
        ("<Response><Message>" + "x" * 2000 + "</Message></Response>", "14103"),
    ],
)
def test_a_hostile_document(box: Any, site: Any, page: Any, body: Any, code: Any) -> None:
    site.pages["/in"] = page(body)
    box.number(sms_url=site.url + "/in", voice_url=site.url + "/in")
    before, begun = memory(box), time.monotonic()
    box.text(PERSON, box.sender, "hi")
    box.control("calls", from_=PERSON, to=box.sender)
    box.finish()
    assert time.monotonic() - begun < 5
    assert memory(box) - before < 30_000
    rows = box.rest("GET", "Notifications.json").json()["notifications"]
    assert code in [row["error_code"] for row in rows]


def test_an_endless_answer_is_cut(box: Any, site: Any, page: Any) -> None:
    site.pages["/in"] = page(b"x" * 50_000_000)
    box.number(sms_url=site.url + "/in")
    before = memory(box)
    box.text(PERSON, box.sender, "hi")
    box.finish()
    assert memory(box) - before < 20_000
    rows = box.rest("GET", "Notifications.json").json()["notifications"]
    assert [row["error_code"] for row in rows] == ["11750"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("messages", b"{"),
        ("messages", b"[1]"),
        ("messages", b"[" * 100_000),
        ("messages", b'{"from": {}}'),
        ("messages", b'{"from": "+14155550123"}'),
        ("messages", b'{"from": "+14155550123", "to": "+19990000000"}'),
        ("messages", b'{"from": "+1", "to": "+14155550100", "media": "x"}'),
        ("messages", b'{"from": "+14155550123", "to": "+14155550100", "body": "\\ud83d"}'),
        ("numbers/+14155550100", b'{"sms_url": 3}'),
        ("numbers/+14155550100", b'{"voice_caller_id_lookup": "yes"}'),
        ("services", b'{"senders": "+14155550100"}'),
        ("calls", b'{"from": "+14155550123", "to": "nobody"}'),
        ("calls/CA0/keys", b'{"digits": "1"}'),
        ("calls/CA0/keys", b'{"digits": "hello"}'),
        ("clock", b'{"advance": -1}'),
        ("clock", b'{"advance": "soon"}'),
        ("clock", b'{"speed": 5}'),
        ("handsets/+14155550123", b'{"calls": "perhaps"}'),
        ("handsets/+14155550123", b'{"ring_seconds": "x"}'),
        ("numbers/+14155550100", b'{"colour": "red"}'),
        ("numbers/+19990000000", b"{}"),
        ("connections/x", b'{"status": "ACTIVE"}'),
        ("services/MG0", b"{}"),
        ("messages/SM0/status", b'{"status": "sent"}'),
    ],
)
def test_wrong_control_requests_get_a_4xx_that_says_why(box: Any, path: Any, body: Any) -> None:
    answer = box.http.post(f"/_sim/{path.replace('+', '%2B')}", content=body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]


def test_a_large_control_request_is_refused(box: Any) -> None:
    answer = box.http.post("/_sim/messages", content=b" " * 2_000_000)
    assert answer.status_code == 413


WORDS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["true", "false", "-1", "0", "99999999999999999999", "2026-02-30", "GET", ""]),
    st.sampled_from(
        ["+14155550123", "whatsapp:+1", "https://a.test", "client:x", "\x00", "\ud83d"]
    ),
).map(lambda text: text.encode("utf-8", "replace").decode())


@pytest.fixture(scope="session")
def operations() -> list[tuple[str, str, list[str]]]:
    """Method, path and parameter names of everything in the document; a few by hand without it."""
    name = os.environ.get("RINGBACK_TWILIO_OPENAPI")
    if not name:
        return [
            ("post", "/Messages.json", ["To", "From", "Body", "StatusCallback", "SendAt"]),
            ("get", "/Calls.json", ["Status", "StartTime<", "PageSize", "PageToken"]),
            ("post", "/Calls.json", ["To", "From", "Twiml", "Timeout", "MachineDetection"]),
            ("post", "/Addresses.json", ["CustomerName", "IsoCountry", "EmergencyEnabled"]),
            ("get", "/Usage/Records/Daily.json", ["Category", "StartDate", "EndDate"]),
            ("post", "/IncomingPhoneNumbers/{Sid}.json", ["VoiceUrl", "SmsMethod", "AccountSid"]),
        ]
    subset = Path(name).with_name("twilio_api_v2010_subset.json")
    document = json.loads((subset if subset.exists() else Path(name)).read_text())
    found = []
    for path, item in document["paths"].items():
        for method in ("get", "post", "delete"):
            if method not in item:
                continue
            names = [p["name"] for p in item[method].get("parameters", []) if p["in"] == "query"]
            content = item[method].get("requestBody", {}).get("content", {})
            for body in content.values():
                names += list(body["schema"].get("properties", {}))
            found.append((method, path.removeprefix("/2010-04-01/Accounts/{AccountSid}"), names))
    return found


def fuzz(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@fuzz(80)
@given(data=st.data())
@pytest.mark.slow
def test_no_request_makes_the_box_fail(stepped: Any, operations: Any, data: Any) -> None:
    """What schemathesis would ask: no 5xx, and no good answer outside the document."""
    ask_anything(stepped, operations, data)


@pytest.mark.slow
@pytest.mark.timeout(900)
@fuzz(1500)
@given(data=st.data())
def test_no_request_of_thousands_makes_the_box_fail(
    stepped: Any, operations: Any, data: Any
) -> None:
    ask_anything(stepped, operations, data)


def ask_anything(box: Any, operations: Any, data: Any) -> None:
    method, path, names = data.draw(st.sampled_from(operations))
    fields = data.draw(st.dictionaries(st.sampled_from(names), WORDS, max_size=8) if names else
                       st.just({}))  # fmt: skip
    known = _known(box)
    while "{" in path:
        head, _, rest = path.partition("{")
        sid = data.draw(st.sampled_from([*known, "Front", "x"]))
        path = head + sid + rest.partition("}")[2]
    auth = (box.card["account_sid"], box.card["auth_token"])
    url = path if path.startswith("/2010") else f"{box.account}{path}"
    kwargs = {"params": fields} if method == "get" else {"data": fields}
    if method == "delete":
        kwargs = {}
    answer = box.http.request(method.upper(), url, auth=auth, **kwargs)
    assert answer.status_code < 500, answer.text
    box.auditor.check(method, url, answer.status_code, answer.text)
    if answer.status_code >= 400:
        assert answer.json()["code"] > 0


def _known(box: Any) -> list[str]:
    """One SID of each kind, so that the requests go deep."""
    box.control("clock", advance=3)
    if not hasattr(_known, "sids"):
        box.control("reset")
        client = box.client()
        call = client.calls.create(
            to=PERSON, from_=box.sender,
            twiml="<Response><Enqueue waitUrl=''>help</Enqueue></Response>",
        )  # fmt: skip
        message = client.messages.create(
            to=PERSON, from_=box.sender, media_url=["https://a.test/x.png"]
        )
        box.control("clock", advance=10)
        _known.sids = [
            call.sid, message.sid, client.queues.list()[0].sid,
            client.messages(message.sid).media.list()[0].sid,
            client.incoming_phone_numbers.list()[0].sid,
            client.applications.create(friendly_name="x").sid,
            client.calls(call.sid).recordings.create().sid,
        ]  # fmt: skip
    return _known.sids


def test_many_connections_and_half_requests_do_not_stop_the_box(box: Any) -> None:
    import socket
    from urllib.parse import urlsplit

    host = urlsplit(box.base)
    plugs = [socket.create_connection((host.hostname, host.port), timeout=5) for _ in range(100)]
    for plug in plugs:
        plug.sendall(b"POST /2010-04-01/Accounts.json HTTP/1.1\r\nContent-Length: 10\r\n")
    assert httpx.get(box.base + "/_sim").status_code == 200
    for plug in plugs:
        plug.close()
