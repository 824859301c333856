"""Records out of Twilio's JSON: typed, complete, and never a failure, whatever comes."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.errors import GatewayError
from ringback.gateway import records as r
from ringback.gateway.credentials import Credentials
from ringback.gateway.pool import Answer
from ringback.gateway.responses import failure

KINDS = [
    kind
    for kind in vars(r).values()
    if isinstance(kind, type) and issubclass(kind, r.Record) and kind is not r.Record
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
ACCESS = Credentials.maton("canary-key", account_sid="AC" + "0" * 32)


def test_a_message_as_twilio_sends_it() -> None:
    message = r.Message.read(
        {
            "sid": "SM1", "body": "Hi", "from": "+1", "to": "+2", "status": "undelivered",
            "num_segments": "2", "num_media": "0", "price": "-0.00750", "price_unit": "usd",
            "error_code": 30003, "date_sent": "Mon, 09 Feb 2026 21:00:00 +0000",
            "date_updated": None, "brand_new": {"a": 1},
        }
    )  # fmt: skip
    assert (message.from_, message.to) == ("+1", "+2")
    assert (message.num_segments, message.num_media, message.error_code) == (2, 0, 30003)
    assert message.price == Decimal("-0.00750")
    assert message.date_sent == datetime(2026, 2, 9, 21, tzinfo=UTC)
    assert message.date_updated is None
    assert message.messaging_service_sid == ""
    assert message.raw["brand_new"] == {"a": 1}
    with pytest.raises(TypeError):
        message.raw["sid"] = "x"  # type: ignore[index]


def test_moments_of_twilio_and_of_maton() -> None:
    read = r.MatonConnection.read
    made = read({"creation_time": "2026-02-09T23:18:44.243582Z"}).creation_time
    assert made == datetime(2026, 2, 9, 23, 18, 44, 243582, UTC)
    for odd in ("yesterday", "", 7, "9999-99-99T00:00:00Z", "Mon, 99 Feb 2026", []):
        assert read({"creation_time": odd}).creation_time is None


def test_secrets_of_records_do_not_show() -> None:
    url = "https://connect.maton.ai/?session_token=canary"
    connection = r.MatonConnection.read({"connection_id": "c", "url": url})
    assert connection.url == url
    assert "canary" not in repr(connection) + repr(connection.raw)
    account = r.Account.read({"sid": "AC1", "auth_token": "canary"})
    assert "canary" not in repr(account) + repr(account.raw)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_record_of_nothing_is_empty(kind: type[r.Record]) -> None:
    record = kind.read({})
    for item in fields(record):
        assert getattr(record, item.name) in ("", 0, False, None, {})


@given(st.sampled_from(KINDS), st.data())
def test_reading_never_fails(kind: type[r.Record], data: st.DataObject) -> None:
    names = [item.name.rstrip("_") for item in fields(kind)]
    raw: dict[str, Any] = data.draw(
        st.dictionaries(st.sampled_from(names) | st.text(max_size=9), ANYTHING)
    )
    record = kind.read(raw)
    hidden = {"auth_token"} | ({"url"} if kind is r.MatonConnection else set())
    assert set(raw) - set(record.raw) <= hidden
    repr(record)


@given(st.integers(300, 599), ANYTHING | st.binary(max_size=60), st.text(max_size=20))
def test_every_bad_answer_is_a_typed_error(status: int, body: object, kind: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": kind, "retry-after": kind}
    error = failure(Answer(status, headers, raw), ACCESS, now=0.0)
    assert isinstance(error, GatewayError)
    assert error.http_status == status
    assert error.wrote is True
    assert "\n" not in str(error)
    assert error.retry_after is None or 0 <= error.retry_after <= 300


@given(st.text(max_size=400))
def test_what_the_other_side_says_is_one_printable_line_without_our_key(said: str) -> None:
    body = json.dumps({"message": f"{said} canary-key {said}"}).encode()
    answer = Answer(400, {"content-type": "application/json"}, body)
    error = failure(answer, ACCESS, now=0.0)
    assert str(error).isprintable()
    assert "canary-key" not in str(error)
    assert len(str(error)) < 700
