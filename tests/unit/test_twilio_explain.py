"""Explanations of broken signatures: each way of breaking one is known from the others."""

import hashlib
import time
import unicodedata
from collections.abc import Mapping
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from ringback.twilio.explain import Cause, explain
from ringback.twilio.readings import Refused

AC = "AC" + "0a" * 16
TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
SETTINGS = "x_twilio_webhooks_signature_settings"
PUBLIC = "https://hooks.example.com"
FIELDS = {
    "AccountSid": AC, "MessageSid": "SM" + "1b" * 16, "From": "+15551112222", "To": "+15553334444",
    "Body": "Grüße & more", "NumMedia": "0", "ToCity": "", "ToState": "", "ToZip": "",
}  # fmt: skip


def signed(url: str, fields: Mapping[str, str] = FIELDS, token: str = TOKEN) -> str:
    made: str = RequestValidator(token).compute_signature(url, dict(fields))
    return made


def as_windows(text: str) -> str:
    """UTF-8 that is read as Windows-1252, by the table of the web: every byte is a letter."""
    letters = (bytes([each]).decode("cp1252", "replace") for each in text.encode())
    return "".join(
        chr(each) if letter == "\ufffd" else letter
        for each, letter in zip(text.encode(), letters, strict=True)
    )


def refused(
    signature: str,
    path: str = "/twilio/message",
    query: str = "",
    fields: Mapping[str, str] | None = FIELDS,
    body: bytes = b"",
    **headers: str,
) -> Refused:
    named = {"x-twilio-signature": signature, "host": "127.0.0.1:8080"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    params = None if fields is None else tuple(fields.items())
    account = (fields or {}).get("AccountSid", "")
    return Refused("POST", path, query, named, params, body, account)


def kinds(seen: Refused, public_url: str = PUBLIC, **more: object) -> list[str]:
    found = explain(seen, public_url=public_url, tokens={AC: (TOKEN,)}, **more)  # type: ignore[arg-type]
    shown = "\n".join(str(cause) for cause in found)
    assert TOKEN not in shown
    assert len(seen.headers["x-twilio-signature"]) < 28 or (
        seen.headers["x-twilio-signature"] not in shown
    )
    return [cause.kind for cause in found]


@pytest.mark.parametrize(
    ("webhook", "public_url", "expected"),
    [
        ("http://hooks.example.com/twilio/message", PUBLIC, ["scheme"]),
        (f"{PUBLIC}/twilio/message", "http://hooks.example.com", ["scheme"]),
        (f"{PUBLIC}:8443/twilio/message", PUBLIC, ["port"]),
        (f"{PUBLIC}/twilio/message", "https://hooks.example.com:5000", ["port"]),
        ("https://www.hooks.example.com/twilio/message", PUBLIC, ["host"]),
        (f"{PUBLIC}/twilio/message", "https://www.hooks.example.com", ["host"]),
        (f"{PUBLIC}/twilio/message", f"{PUBLIC}/node", ["prefix"]),
        (f"{PUBLIC}/twilio/message/", PUBLIC, ["slash"]),
        (f"{PUBLIC}/twilio/message/index.php", PUBLIC, ["path"]),
        ("http://hooks.example.com:8080/twilio/message", PUBLIC, ["scheme", "port"]),
        ("http://www.hooks.example.com:8080/twilio/message/", PUBLIC, ["scheme", "port", "host",
                                                                       "slash"]),
    ],
)  # fmt: skip
def test_what_is_different_about_the_address(
    webhook: str, public_url: str, expected: list[str]
) -> None:
    assert kinds(refused(signed(webhook)), public_url) == expected


def test_hosts_and_prefixes_that_only_the_headers_know() -> None:
    webhook = signed("https://other.example.org/edge/twilio/message")
    seen = refused(webhook, x_forwarded_host="other.example.org", x_forwarded_prefix="/edge")
    assert kinds(seen) == ["host", "prefix"]
    assert kinds(refused(webhook)) == ["unknown"]
    known = ["https://other.example.org/edge/twilio/message#rc=3"]
    assert kinds(refused(webhook), known_urls=known) == ["host", "prefix"]


def test_the_mend_names_the_very_setting() -> None:
    webhook = signed("http://hooks.example.com:8080/in/twilio/message")
    (cause, *_) = explain(
        refused(webhook, x_forwarded_prefix="/in"), public_url=PUBLIC, tokens={AC: (TOKEN,)}
    )
    assert cause.mend == "set RINGBACK_PUBLIC_URL to http://hooks.example.com:8080/in"


def test_a_secret_in_the_path_is_not_shown() -> None:
    webhook = signed(f"{PUBLIC}/twilio/~hush-hush/message/")
    seen = refused(webhook, path="/twilio/~hush-hush/message")
    found = explain(seen, public_url=PUBLIC, tokens={AC: (TOKEN,)})
    assert [cause.kind for cause in found] == ["slash"]
    assert "hush" not in str(found[0])


QUERY = "b=1&a=x%20y&c="


@pytest.mark.parametrize(
    ("arrived", "expected"),
    [
        ("a=x%20y&b=1&c=", ["query-order"]),
        ("b=1&a=x+y&c=", ["query-encoding"]),
        ("b=1&a=x y&c=", ["query-encoding"]),
        ("b=1&a=x%20y&c", ["query-encoding"]),
        ("b=1&a=x%20y&c=&utm_source=cdn", ["query-added"]),
        ("t=1&b=1&a=x%20y&c=&fbclid=2", ["query-added"]),
    ],
)
def test_what_happened_to_the_query(arrived: str, expected: list[str]) -> None:
    webhook = signed(f"{PUBLIC}/twilio/message?{QUERY}")
    assert kinds(refused(webhook, query=arrived)) == expected


@pytest.mark.parametrize("arrived", ["", "B=1&A=X%20Y&C="])
def test_a_query_that_is_gone_is_known_from_what_twilio_was_told(arrived: str) -> None:
    url = f"{PUBLIC}/twilio/message?{QUERY}"
    assert kinds(refused(signed(url), query=arrived)) == ["unknown"]
    assert kinds(refused(signed(url), query=arrived), known_urls=[url]) == ["query-lost"]


@pytest.mark.parametrize("url", [f"{PUBLIC}/Twilio/Message", f"{PUBLIC}/in.php"])
def test_a_path_that_was_rewritten_is_known_from_what_twilio_was_told(url: str) -> None:
    assert kinds(refused(signed(url)), known_urls=[url]) == ["path"]


def changed(**fields: str) -> dict[str, str]:
    return FIELDS | fields


SPACED = changed(Body=" two words \n")


@pytest.mark.parametrize(
    ("sent", "arrived", "expected"),
    [
        (FIELDS, {k: v for k, v in FIELDS.items() if v}, ["blank-values"]),
        (changed(Body=""), {k: v for k, v in changed(Body="").items() if v}, ["blank-values"]),
        (changed(Body="hi "), changed(Body="hi"), ["trimmed"]),
        (changed(Body=" hi"), changed(Body="hi"), ["trimmed"]),
        (FIELDS, changed(From=" 15551112222", To=" 15553334444"), ["plus"]),
        (changed(Body="1+1"), changed(Body="1 1", From=" 15551112222", To=" 15553334444"),
         ["plus"]),
        (changed(Body=unicodedata.normalize("NFD", "Grüße")), changed(Body="Grüße"), ["unicode"]),
        (changed(Body="Grüße"), changed(Body=unicodedata.normalize("NFD", "Grüße")), ["unicode"]),
        (changed(Body="a\r\nb"), changed(Body="a\nb"), ["line-endings"]),
        (changed(Body="a\nb"), changed(Body="a\r\nb"), ["line-endings"]),
        (FIELDS, changed(Body="Grüße & more".encode().decode("latin-1")), ["charset"]),
        (changed(Body="It’s “ok” 👍"), changed(Body=as_windows("It’s “ok” 👍")), ["charset"]),
        (FIELDS, changed(Body="Grüße &amp; more"), ["escaped"]),
        (FIELDS, changed(waf="1"), ["field-added"]),
        ({}, FIELDS, ["method"]),
    ],
)  # fmt: skip
def test_what_happened_to_the_form(
    sent: dict[str, str], arrived: dict[str, str], expected: list[str]
) -> None:
    webhook = signed(f"{PUBLIC}/twilio/message", sent)
    assert kinds(refused(webhook, fields=arrived)) == expected


def test_a_form_that_a_redirect_made_a_get() -> None:
    seen = refused(signed(f"{PUBLIC}/twilio/message"), fields=None)
    other = Refused("GET", seen.path, "", seen.headers, None, b"", "")
    assert kinds(other) == ["method"]


def test_two_things_at_once() -> None:
    webhook = signed("http://hooks.example.com/twilio/message")
    arrived = {k: v for k, v in FIELDS.items() if v}
    assert kinds(refused(webhook, fields=arrived)) == ["scheme", "blank-values"]


def test_other_tokens() -> None:
    webhook = refused(signed(f"{PUBLIC}/twilio/message", token=OTHER))
    assert kinds(webhook) == ["unknown"]
    both = {AC: (TOKEN,), "AC" + "0b" * 16: (OTHER,)}
    assert [c.kind for c in explain(webhook, public_url=PUBLIC, tokens=both)] == ["token"]
    rotated = {AC: (TOKEN, OTHER)}
    assert [c.kind for c in explain(webhook, public_url=PUBLIC, tokens=rotated)] == ["none"]
    foreign = refused(
        webhook.headers["x-twilio-signature"], fields=changed(AccountSid="AC" + "9" * 32)
    )
    assert kinds(foreign) == ["account"]
    assert [c.kind for c in explain(webhook, public_url=PUBLIC, tokens={AC: ()})] == ["token"]


def test_a_json_body_that_was_changed() -> None:
    body = b'{"a": 1}'
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    webhook = signed(f"{PUBLIC}/twilio/events?{query}", {})
    seen = refused(webhook, "/twilio/events", query, None, b'{"a":1}')
    assert kinds(seen) == ["body-hash"]
    elsewhere = signed(f"http://hooks.example.com/twilio/events?{query}", {})
    assert kinds(refused(elsewhere, "/twilio/events", query, None, body)) == ["scheme"]
    both = refused(elsewhere, "/twilio/events", query, None, b'{"a":1}')
    assert kinds(both) == ["scheme", "body-hash"]


@pytest.mark.parametrize("signature", ["x", "A" * 28, "é" * 28, " " * 28, "A" * 27 + "=\n"])
def test_what_is_no_signature(signature: str) -> None:
    assert kinds(refused(signature)) == ["malformed"]


def test_a_missing_signature_and_an_unknown_shared_key() -> None:
    assert kinds(refused("")) == ["missing"]
    settings: dict[str, Any] = {
        "x_twilio_webhooks_signature_settings": "key=k2,algorithm=HMAC_SHA256"
    }
    assert kinds(refused("A" * 43 + "=", **settings)) == ["shared-key"]
    odd: dict[str, Any] = {SETTINGS: "key=k1,algorithm=NONE"}
    assert kinds(refused("A" * 43 + "=", **odd), shared_keys={"k1": "s"}) == ["shared-key"]


def test_a_shared_key_goes_through_the_same_readings() -> None:
    url = "http://hooks.example.com/twilio/message"
    made: str = RequestValidator("shared-secret").compute_signature(url, FIELDS, "HMAC_SHA256")
    settings: dict[str, Any] = {
        "x_twilio_webhooks_signature_settings": "key=k1,algorithm=HMAC_SHA256"
    }
    seen = refused(made, **settings)
    assert kinds(seen, shared_keys={"k1": "shared-secret"}) == ["scheme"]


@pytest.mark.slow
def test_a_forgery_is_given_up_in_good_time() -> None:
    fields = {f"Field{n}": f"value {n}" for n in range(60)} | {"AccountSid": AC}
    query = "&".join(f"p{n}={n}" for n in range(12))
    seen = refused("A" * 27 + "=", query=query, fields=fields, host="a.example:81",
                   x_forwarded_host="b.example", x_forwarded_port="99")  # fmt: skip
    began = time.process_time()
    found = explain(seen, public_url=PUBLIC, tokens={AC: (TOKEN, OTHER)})
    assert [cause.kind for cause in found] == ["unknown"]
    assert "TWILIO_AUTH_TOKEN" in found[0].mend
    assert time.process_time() - began < 3


def test_a_cause_reads_as_one_sentence() -> None:
    cause = Cause("x", "this happened", "do that")
    assert str(cause) == "this happened; do that"


TAIL = "#rc=3&rp=all"


@pytest.mark.parametrize(
    ("webhook", "query", "public_url", "known", "expected"),
    [
        (f"{PUBLIC}/twilio/message/status/tag{TAIL}", "", PUBLIC, "", ["fragment"]),
        (f"{PUBLIC}/twilio/message#ct=3000&rc=3&rp=ct,5xx", "", PUBLIC, "", ["fragment"]),
        (f"{PUBLIC}/twilio/call#ct=2000&rt=5000&rc=2&rp=ct,rt,5xx", "", PUBLIC, "", ["fragment"]),
        (f"{PUBLIC}/twilio/message?a=b{TAIL}", "a=b", PUBLIC, "", ["fragment"]),
        (f"{PUBLIC}/twilio/message#mine", "", PUBLIC, f"{PUBLIC}/twilio/message#mine",
         ["fragment"]),
        (f"http://hooks.example.com/twilio/message{TAIL}", "", PUBLIC, "", ["scheme", "fragment"]),
        (f"{PUBLIC}/twilio/message#other", "", PUBLIC, "", ["unknown"]),
    ],
)  # fmt: skip
def test_a_fragment_that_was_signed_too_is_named(
    webhook: str, query: str, public_url: str, known: str, expected: list[str]
) -> None:
    path = webhook.partition("#")[0].partition("?")[0].partition(".com")[2]
    seen = refused(signed(webhook), path, query)
    assert kinds(seen, public_url, known_urls=[known]) == expected


def test_the_mend_of_a_signed_fragment_names_the_setting() -> None:
    seen = refused(signed(f"{PUBLIC}/twilio/message{TAIL}"))
    (cause,) = explain(seen, public_url=PUBLIC, tokens={AC: (TOKEN,)})
    assert TAIL in cause.says
    assert "RINGBACK_CALLBACK_TAIL=off" in cause.mend
