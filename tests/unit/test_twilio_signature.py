"""Signatures: every published vector, and never laxer than Twilio's own validator."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from ringback.twilio.signature import Verifier, sign, sign_json

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "signature-vectors.json").read_text())[
    "vectors"
]
TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://hooks.example.org/twilio/message"


def verifier_for(vector: dict[str, Any]) -> Verifier:
    header = vector["headers"].get("X-Twilio-Webhooks-Signature-Settings", "")
    if header and vector["algorithm"] != "HMAC_SHA1":
        key = header.partition("key=")[2].partition(",")[0]
        return Verifier((), {key: vector["token"]})
    return Verifier((vector["token"],))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    params = vector["params"]
    header = vector["headers"].get("X-Twilio-Webhooks-Signature-Settings", "")
    if vector["algorithm"] == "HMAC_SHA1":
        header = ""
    verdict = verifier_for(vector).verify(
        vector["url"],
        None if params is None else [(name, value) for name, value in params],
        (vector["raw_body"] or "").encode(),
        vector["signature"],
        header,
    )
    assert verdict is vector["expect"]


def test_every_vector_is_there() -> None:
    assert len(VECTORS) == 104


class MultiDict(dict[str, list[str]]):
    def getlist(self, name: str) -> list[str]:
        return self[name]


def official(
    token: str, url: str, params: list[tuple[str, str]], signature: str
) -> bool | Exception:
    fields = MultiDict()
    for name, value in params:
        fields.setdefault(name, []).append(value)
    try:
        return bool(RequestValidator(token).validate(url, fields, signature))
    except Exception as error:
        return error


names = st.text(st.characters(codec="utf-8", exclude_characters="&="), min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8"), max_size=20)
forms = st.lists(st.tuples(names, values), max_size=8)
ports = st.sampled_from(["", ":443", ":80", ":8443", ":1"])
urls = st.builds(
    "{}://{}{}/{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["hooks.example.org", "Hooks.Example.ORG", "127.0.0.1", "a-b.example"]),
    ports,
    st.sampled_from(["twilio/message", "", "a/../b//c", "t%2Fx", "twilio/message/status/abc"]),
    st.sampled_from(["", "?a=1", "?a=2&a=1&b=&c", "?q=%27+x"]),
)


@given(url=urls, params=forms)
def test_what_twilio_signs_is_accepted(url: str, params: list[tuple[str, str]]) -> None:
    signature = sign(TOKEN, url, params)
    assert signature == RequestValidator(TOKEN).compute_signature(
        url, MultiDict({name: [v for n, v in params if n == name] for name, _ in params})
    )
    assert Verifier((TOKEN,)).verify(url, params, b"", signature)
    assert not Verifier(("another token, as long as it is..",)).verify(url, params, b"", signature)


@settings(max_examples=300)
@given(
    signed_url=urls,
    url=urls,
    signed=forms,
    seen=forms,
    same_url=st.booleans(),
    same_form=st.booleans(),
)
def test_same_verdict_as_the_official_validator(
    signed_url: str,
    url: str,
    signed: list[tuple[str, str]],
    seen: list[tuple[str, str]],
    same_url: bool,
    same_form: bool,
) -> None:
    """On URLs that need no cleaning both say the same, whatever was changed on the way."""
    url = signed_url if same_url else url
    seen = signed if same_form else seen
    signature = sign(TOKEN, signed_url, signed)
    assert Verifier((TOKEN,)).verify(url, seen, b"", signature) is official(
        TOKEN, url, seen, signature
    )


@settings(max_examples=300)
@given(
    url=st.one_of(st.text(max_size=60), urls),
    params=st.one_of(st.none(), st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)))),
    body=st.binary(max_size=40),
    signature=st.text(max_size=100),
    header=st.text(max_size=40),
    account=st.text(max_size=8),
)
def test_never_raises_and_never_accepts_what_nobody_signed(
    url: str,
    params: list[tuple[str, str]] | None,
    body: bytes,
    signature: str,
    header: str,
    account: str,
) -> None:
    verifier = Verifier({"": (TOKEN,), "AC1": (TOKEN,)}, {"k": "secret"})
    assert verifier.verify(url, params, body, signature, header, account) is False


@pytest.mark.parametrize("port", ["99999", "abc", "-1", "0", ""])
def test_odd_ports_are_refused_not_raised(port: str) -> None:
    assert Verifier((TOKEN,)).verify(f"https://h.example:{port}/x", [], b"", "A" * 28) is False


def test_lone_surrogates_are_refused_not_raised() -> None:
    assert Verifier((TOKEN,)).verify(URL, [("Body", "\ud800")], b"", "A" * 28) is False


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_token_or_key_proves_nothing(blank: str) -> None:
    mac = base64.b64encode(hmac.digest(blank.encode(), URL.encode(), "sha1")).decode()
    assert Verifier((blank,)).verify(URL, [], b"", mac) is False
    assert Verifier((blank,)).can_prove is False
    mac = base64.b64encode(hmac.digest(blank.encode(), URL.encode(), "sha256")).decode()
    header = "key=k,algorithm=HMAC_SHA256"
    assert Verifier((), {"k": blank}).verify(URL, [], b"", mac, header) is False


def test_rotation_accepts_every_configured_token_and_no_other() -> None:
    old, new = "o" * 32, "n" * 32
    for token in (old, new):
        assert Verifier((new, old)).verify(URL, [], b"", sign(token, URL))
    assert not Verifier((new,)).verify(URL, [], b"", sign(old, URL))


def test_the_account_chooses_the_token() -> None:
    verifier = Verifier({"AC1": ("1" * 32,), "AC2": ("2" * 32,)})
    signature = sign("2" * 32, URL)
    assert verifier.verify(URL, [], b"", signature, account="AC2")
    assert not verifier.verify(URL, [], b"", signature, account="AC1")
    assert not verifier.verify(URL, [], b"", signature, account="AC3"), "no default account"
    assert verifier.verify(URL, [], b"", signature), "JSON names no account"
    assert verifier.knows("AC1")
    assert not verifier.knows("AC3")
    assert Verifier(("1" * 32,)).knows("AC3")


@pytest.mark.parametrize(
    "header",
    [
        "algorithm=HMAC_SHA256",
        "key=k",
        "key=other,algorithm=HMAC_SHA256",
        "key=k,algorithm=HMAC_SHA1",
        "key=k,algorithm=hmac_sha256",
        "key=k,key=k,algorithm=HMAC_SHA256",
        "key=k,algorithm=HMAC_MD5",
        "nonsense",
    ],
)
def test_only_configured_keys_and_the_one_algorithm(header: str) -> None:
    verifier = Verifier((TOKEN,), {"k": "secret"})
    for signature in (sign("secret", URL, digest="sha256"), sign("secret", URL), sign(TOKEN, URL)):
        assert verifier.verify(URL, [], b"", signature, header) is False
    good = "algorithm=HMAC_SHA256, key=k"
    assert verifier.verify(URL, [], b"", sign("secret", URL, digest="sha256"), good)


@given(body=st.binary(min_size=1, max_size=60), other=st.binary(min_size=1, max_size=60))
def test_json_needs_the_hash_of_exactly_this_body(body: bytes, other: bytes) -> None:
    url, signature = sign_json(TOKEN, URL + "?tenant=1", body)
    verifier = Verifier((TOKEN,))
    assert verifier.verify(url, None, body, signature)
    assert verifier.verify(url, None, other, signature) is (body == other)
    assert not verifier.verify(URL, None, body, sign(TOKEN, URL)), "a JSON body without a hash"
    twice = url + "&bodySHA256=" + hashlib.sha256(body).hexdigest()
    assert not verifier.verify(twice, None, body, sign(TOKEN, twice))
    assert dict(parse_qsl(urlsplit(url).query))["tenant"] == "1"
