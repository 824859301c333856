"""Faults of the plan seen from outside, and in the ledger as they truly happened."""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

PERSON = "+14155550123"


def send(box: Any, **more: Any) -> httpx.Response:
    fields = {"To": PERSON, "From": box.sender, "Body": "x", **more}
    return box.rest("POST", "Messages.json", data=fields)


def created(box: Any) -> int:
    return sum(entry["resource"] == "Messages" for entry in box.ledger("created"))


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize(("status", "code"), [(500, 20500), (503, 20503), (504, 20504)])
def test_an_error_with_and_without_the_message(box: Any, status: Any, code: Any, made: Any) -> None:
    box.fault("messages.create", "error", status=status, created=made, times=1)
    answer = send(box)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert created(box) == int(made)
    assert send(box).status_code == 201


def test_an_error_of_a_proxy_is_html(box: Any) -> None:
    box.fault("messages.create", "error", status=502, body="")
    answer = send(box)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (502, "text/html")
    assert "Bad Gateway" in answer.text


@pytest.mark.parametrize("value", [None, "7", "-1", "abc", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_throttle_with_and_without_retry_after(box: Any, value: Any) -> None:
    more = {} if value is None else {"retry_after": value}
    box.fault("messages.create", "throttle", **more)
    answer = send(box)
    assert (answer.status_code, answer.json()["code"]) == (429, 20429)
    assert answer.headers.get("retry-after") == value
    assert created(box) == 0


@pytest.mark.parametrize(("at", "made"), [("before", 0), ("after", 0), ("created", 1)])
def test_a_reset_before_and_after_the_message(box: Any, at: Any, made: Any) -> None:
    box.fault("messages.create", "reset", at=at, times=1)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)):
        send(box)
    assert created(box) == made


def test_a_reset_is_a_reset(box: Any) -> None:
    box.fault("messages.list", "reset", times=1)
    host = urlsplit(box.base)
    with socket.create_connection((host.hostname, host.port), timeout=10) as plug:
        from base64 import b64encode

        pair = f"{box.card['account_sid']}:{box.card['auth_token']}".encode()
        plug.sendall(
            f"GET {box.account}/Messages.json HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Basic {b64encode(pair).decode()}\r\n\r\n".encode()
        )
        with pytest.raises(ConnectionResetError):
            plug.recv(100)


@pytest.mark.parametrize(("how", "made"), [("no", 0), ("now", 1)])
def test_a_hang_ends_without_an_answer(box: Any, how: Any, made: Any) -> None:
    box.fault("messages.create", "hang", seconds=0.3, created=how, times=1)
    begun = time.monotonic()
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        send(box)
    assert time.monotonic() - begun >= 0.3
    assert created(box) == made


def test_a_message_may_be_made_long_after_the_client_gave_up(box: Any) -> None:
    box.fault("messages.create", "hang", seconds=0.1, created="late", late=12, times=1)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        send(box)
    assert created(box) == 0
    box.run(11)
    assert created(box) == 0
    box.run(2)
    assert created(box) == 1


@pytest.mark.slow
@pytest.mark.parametrize("part", ["body", "head"])
def test_a_slow_drip_comes_byte_by_byte(box: Any, part: Any) -> None:
    box.fault("messages.create", "drip", part=part, pause=0.001, times=1)
    host = urlsplit(box.base)
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=10)
    from base64 import b64encode

    pair = b64encode(f"{box.card['account_sid']}:{box.card['auth_token']}".encode()).decode()
    connection.request(
        "POST", f"{box.account}/Messages.json",
        urlencode({"To": PERSON, "From": box.sender, "Body": "x"}),
        {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    begun = time.monotonic()
    answer = connection.getresponse()
    assert json.loads(answer.read())["status"] == "queued"
    assert time.monotonic() - begun > 0.2
    connection.close()


@pytest.mark.parametrize(
    ("how", "proof"),
    [
        ("truncated", lambda r: not r.text.endswith("}")),
        ("content_type", lambda r: r.headers["content-type"].startswith("text/plain")),
        ("empty", lambda r: r.content == b""),
        ("html", lambda r: r.text.startswith("<html>")),
        ("nan", lambda r: "NaN" in r.text),
        ("duplicate_keys", lambda r: r.text.count('"sid":') == 2),
        ("deep", lambda r: r.text.count("[") == 100_000),
        ("utf8", lambda r: b"\xff" in r.content),
        ("other_account", lambda r: r.json()["account_sid"].startswith("AC")),
        ("bad_sid", lambda r: len(r.json()["sid"]) != 34),
    ],
)
def test_a_malformed_answer(box: Any, how: Any, proof: Any) -> None:
    box.fault("messages.create", "malform", how=how)
    answer = send(box)
    assert answer.status_code == 201
    assert proof(answer)
    if how == "other_account":
        assert answer.json()["account_sid"] != box.card["account_sid"]
    assert created(box) == 1


def test_an_answer_with_a_used_sid(box: Any) -> None:
    first = send(box).json()["sid"]
    box.fault("messages.create", "malform", how="used_sid")
    assert send(box).json()["sid"] == first
    assert created(box) == 2


def test_malformed_without_the_message(box: Any) -> None:
    box.fault("messages.create", "malform", how="empty", created=False)
    assert send(box).status_code == 201
    assert created(box) == 0


@pytest.mark.parametrize(("how", "at_least"), [("huge", 5_000_000), ("gzip_bomb", 20_000_000)])
def test_a_flood_never_ends_by_itself(box: Any, how: Any, at_least: Any) -> None:
    box.fault("messages.create", "malform", how=how)
    data = {"To": PERSON, "From": box.sender, "Body": "x"}
    auth = (box.card["account_sid"], box.card["auth_token"])
    url = f"{box.account}/Messages.json"
    size = 0
    with box.http.stream("POST", url, data=data, auth=auth) as answer:
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > at_least:
                break
    assert size > at_least
    assert created(box) == 1


@pytest.mark.parametrize(("how", "answers", "made"), [("two_answers", 2, 1), ("early", 1, 0)])
def test_answers_that_break_http(box: Any, how: Any, answers: Any, made: Any) -> None:
    box.fault("messages.create", "malform", how=how)
    host = urlsplit(box.base)
    from base64 import b64encode

    pair = b64encode(f"{box.card['account_sid']}:{box.card['auth_token']}".encode()).decode()
    body = urlencode({"To": PERSON, "From": box.sender, "Body": "x"})
    head = (
        f"POST {box.account}/Messages.json HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host.hostname, host.port), timeout=10) as plug:
        plug.sendall(head.encode())
        if how == "two_answers":
            plug.sendall(body.encode())
        got = b""
        while piece := plug.recv(65_536):
            got += piece
    assert got.count(b"HTTP/1.1 ") == answers
    assert created(box) == made


def test_a_redirect_to_elsewhere(box: Any) -> None:
    box.fault("messages.create", "redirect", location="http://127.0.0.1:9/trap")
    answer = send(box)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:9/trap")
    assert created(box) == 0


def test_a_kept_connection_breaks_at_its_next_use(box: Any) -> None:
    box.fault("messages.list", "stale", times=1)
    auth = (box.card["account_sid"], box.card["auth_token"])
    with httpx.Client(base_url=box.base) as http_client:
        assert http_client.get(f"{box.account}/Messages.json", auth=auth).status_code == 200
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)):
            http_client.get(f"{box.account}/Messages.json", auth=auth)
        assert http_client.get(f"{box.account}/Messages.json", auth=auth).status_code == 200


def test_the_callback_may_come_before_the_answer(box: Any, site: Any) -> None:
    box.fault("messages.create", "callback_first")
    answer = send(box, StatusCallback=site.url + "/s")
    arrived = [hook.fields["MessageStatus"] for hook in site.at("/s")]
    assert arrived == ["sent", "delivered"]
    assert answer.json()["status"] == "queued"


@pytest.mark.slow
def test_the_callback_may_come_before_the_answer_in_real_time(make_box: Any, site: Any) -> None:
    box = make_box("--speed", "50")
    box.fault("messages.create", "callback_first")
    answer = send(box, StatusCallback=site.url + "/s")
    assert site.at("/s")[0].fields["MessageSid"] == answer.json()["sid"]


def test_a_list_may_lag(box: Any) -> None:
    old = send(box).json()["sid"]
    box.run(30)
    send(box)
    box.fault("messages.list", "lag", seconds=20)
    rows = box.rest("GET", "Messages.json").json()["messages"]
    assert [row["sid"] for row in rows] == [old]
    box.run(30)
    assert len(box.rest("GET", "Messages.json").json()["messages"]) == 2


def test_a_list_may_page_for_ever_be_empty_or_out_of_order(box: Any) -> None:
    sids = [send(box).json()["sid"] for _ in range(8)][::-1]
    box.finish()
    box.fault("messages.list", "list", how="empty_page", times=1)
    page = box.rest("GET", "Messages.json").json()
    assert (page["messages"], bool(page["next_page_uri"])) == ([], True)
    auth = (box.card["account_sid"], box.card["auth_token"])
    assert len(box.http.get(page["next_page_uri"], auth=auth).json()["messages"]) == 8
    box.fault("messages.list", "list", how="endless", times=3)
    uri = f"{box.account}/Messages.json"
    for _ in range(3):
        uri = box.http.get(uri, auth=auth).json()["next_page_uri"]
        assert uri
    box.fault("messages.list", "list", how="unordered", times=1)
    rows = [row["sid"] for row in box.rest("GET", "Messages.json").json()["messages"]]
    assert rows != sids
    assert sorted(rows) == sorted(sids)
    box.fault("messages.list", "list", how="no_date_sent", times=1)
    rows = box.rest("GET", "Messages.json").json()["messages"]
    assert {row["date_sent"] for row in rows} == {None}


def test_an_expired_grant_is_a_500_that_is_not_twilios(box: Any) -> None:
    box.fault("messages.*", "expired")
    answer = send(box)
    assert answer.status_code == 500
    assert "code" not in answer.json()
    assert created(box) == 0


def callbacks(box: Any, site: Any, **fault: Any) -> list[str]:
    box.fault("callback", **fault)
    send(box, StatusCallback=site.url + "/s/tag")
    box.finish()
    return [hook.fields["MessageStatus"] for hook in site.hooks]


def test_callbacks_are_lost(box: Any, site: Any) -> None:
    assert callbacks(box, site, do="lose", nth=[1]) == ["delivered"]


def test_callbacks_are_doubled_with_the_same_token(box: Any, site: Any) -> None:
    assert callbacks(box, site, do="duplicate", copies=2, nth=1) == [
        "sent", "sent", "sent", "delivered",
    ]  # fmt: skip
    tokens = [hook.headers["I-Twilio-Idempotency-Token"] for hook in site.hooks]
    assert len(set(tokens)) == 2


def test_callbacks_change_places(box: Any, site: Any) -> None:
    assert callbacks(box, site, do="reorder", nth=[1]) == ["delivered", "sent"]


def test_callbacks_come_late(box: Any, site: Any) -> None:
    assert callbacks(box, site, do="delay", seconds=60, nth=[1]) == ["delivered", "sent"]


def test_callbacks_come_with_a_wrong_tag_or_a_bad_signature(box: Any, site: Any) -> None:
    callbacks(box, site, do="wrong_tag", tag="another", nth=[1])
    assert [hook.path for hook in site.hooks] == ["/s/another", "/s/tag"]
    from twilio.request_validator import RequestValidator

    check = RequestValidator(box.card["auth_token"])
    box.control("faults", "DELETE")
    site.hooks.clear()
    callbacks(box, site, do="bad_signature", nth=[1])
    good = [
        check.validate(site.url + hook.path, hook.fields, hook.headers["X-Twilio-Signature"])
        for hook in site.hooks
    ]
    assert good == [False, True]


def test_an_instruction_that_is_lost_takes_the_fallback(box: Any, site: Any) -> None:
    box.fault("webhook:message", "lose", times=1)
    box.number(sms_url=site.url + "/in", sms_fallback_url=site.url + "/fallback")
    box.text(PERSON, box.sender, "hi")
    box.run()
    assert [hook.path for hook in site.hooks] == ["/fallback"]


@pytest.mark.slow
def test_rates_are_drawn_from_the_seed(make_box: Any) -> None:
    def fates(seed: str) -> list[int]:
        box = make_box("--stepped", "--seed", seed)
        box.fault("messages.create", "error", rate=0.5)
        return [send(box).status_code for _ in range(20)]

    first = fates("5")
    assert 3 < first.count(500) < 17
    assert fates("5") == first
    assert fates("6") != first


def test_a_plan_is_read_changed_and_counted(box: Any) -> None:
    box.fault("messages.create", "throttle", name="brake", nth=[2])
    statuses = [send(box).status_code for _ in range(3)]
    assert statuses == [201, 429, 201]
    fault = box.look("plan")["faults"][0]
    assert (fault["name"], fault["seen"], fault["struck"]) == ("brake", 3, 1)
    assert [entry["fault"] for entry in box.ledger("fault")] == ["throttle"]
    box.control("plan", "PUT", faults=[])
    assert box.look("plan")["faults"] == []


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({}, "needs `on`"),
        ({"on": "messages.create", "do": "explode"}, "explode"),
        ({"on": "callback", "do": "throttle"}, "throttle"),
        ({"on": "messages.create", "do": "error", "status_code": 500}, "status_code"),
        ({"on": "messages.create", "do": "reset", "at": "noon"}, "noon"),
        ({"on": "messages.create", "do": "error", "rate": 2}, "rate"),
        ({"on": "messages.create", "do": "error", "nth": "x"}, "numbers"),
        ({"on": "messages.create", "do": "error", "status": "x"}, "not a number"),
        ({"on": "mesages.create", "do": "error"}, "did you mean 'messages.create'"),
    ],
)
def test_a_wrong_fault_is_refused_with_its_mend(box: Any, fault: Any, word: Any) -> None:
    answer = box.http.post("/_sim/faults", json=fault)
    assert answer.status_code == 400
    assert word in answer.json()["error"]


async def test_faults_strike_one_request_and_leave_the_others(box: Any) -> None:
    box.fault("messages.create", "hang", seconds=1.0, created="no", nth=[1])
    auth = (box.card["account_sid"], box.card["auth_token"])
    fields = {"To": PERSON, "From": box.sender, "Body": "x"}
    async with httpx.AsyncClient(base_url=box.base, auth=auth) as http_client:
        url = f"{box.account}/Messages.json"
        results = await asyncio.gather(
            *(http_client.post(url, data=fields) for _ in range(5)), return_exceptions=True
        )
    broken = [result for result in results if isinstance(result, Exception)]
    assert len(broken) == 1
    assert created(box) == 4


@pytest.mark.slow
def test_a_fault_may_be_a_flag(make_box: Any) -> None:
    box = make_box("--stepped", "--fault", "messages.create error status=503 nth=2")
    assert [send(box).status_code for _ in range(3)] == [201, 503, 201]


@pytest.mark.slow
def test_the_box_goes_out_of_reach_and_comes_back(make_box: Any) -> None:
    box = make_box("--stepped")
    sid = send(box).json()["sid"]
    host = urlsplit(box.base)
    with socket.create_connection((host.hostname, host.port), timeout=10) as plug:
        plug.sendall(b"GET /_sim HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += plug.recv(65_536)
        assert box.control("outage", seconds=0.6) == {"seconds": 0.6}
        with pytest.raises(ConnectionResetError):
            plug.recv(100)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host.hostname, host.port), timeout=10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if box.http.get("/_sim").status_code == 200:
                break
    assert box.rest("GET", f"Messages/{sid}.json").json()["sid"] == sid
    for wrong in (0, -1, 4000, "soon"):
        assert box.http.post("/_sim/outage", json={"seconds": wrong}).status_code == 400


@pytest.mark.slow
def test_the_box_serves_https(make_box: Any, certificate: Path) -> None:
    box = make_box("--cert", str(certificate), "--key", str(certificate))
    assert box.base.startswith("https://")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        box.http.get("/_sim")
    assert httpx.get(box.base + "/_sim", verify=False).status_code == 200
