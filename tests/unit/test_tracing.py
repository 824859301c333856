"""Traces: what the variables ask for, ids that every process finds by itself, and no people."""

import asyncio
import sys
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from ringback.receiver.received_spans import received
from ringback.receiver.responses import DONE
from ringback.receiver.routes import Head, Target
from ringback.store.log import Entry, LogRow
from ringback.tracing import spans as tracing
from ringback.tracing.configuration import configured
from ringback.tracing.span import Place, Span
from ringback.twilio.webhooks import events_from
from ringback.worker.traces.worker_spans import matched

ASKED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TEXT = {
    "AccountSid": "AC" + "0" * 32, "MessageSid": "SM" + "1" * 32, "SmsStatus": "received",
    "From": "+14155550123", "To": "+14155550100", "Body": "my password is swordfish",
}  # fmt: skip


class Kept(list[Span]):
    """Spans, kept."""

    write = list.append

    def close(self) -> None:
        """Nothing is left."""


@pytest.fixture
def kept() -> Iterator[Kept]:
    found = Kept()
    tracing.start(found)
    yield found
    tracing.end()


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, ""),
        (ASKED, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/x"}, "https://c/x"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"),
        ({**ASKED, "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({**ASKED, "OTEL_SDK_DISABLED": "TRUE"}, ""),
    ],
)
def test_the_standard_variables_ask_for_traces(variables: dict[str, str], endpoint: str) -> None:
    assert configured(variables).endpoint == endpoint


@pytest.mark.parametrize(
    ("variables", "mend"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "set it to otlp or none"),
        ({**ASKED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "set it to http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "write it as http://collector:4318"),
        ({**ASKED, "OTEL_TRACES_SAMPLER": "some"}, "set it to one of always_on"),
        (
            {**ASKED, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"},
            "set it to a share from 0 to 1",
        ),
    ],
)
def test_what_cannot_be_done_is_named_with_its_mend(variables: dict[str, str], mend: str) -> None:
    assert mend in "; ".join(configured(variables).problems)


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert "pip install 'ringback[otel]'" in configured(ASKED).problems[-1]
    tracing.begin(ASKED, "worker")
    assert not tracing.on()
    assert "pip install 'ringback[otel]'" in caplog.text


def test_a_secret_of_the_address_is_not_shown() -> None:
    asked = configured({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://me:pw@c:4318/t?key=k"})
    assert asked.shown == "https://c:4318/t"


def webhook(header: str = "", trust: str = "signed") -> LogRow:
    """A text, told of by the receiver; the row that the worker reads."""
    body = urlencode(TEXT).encode()
    entry = Entry("2026-11-30T07:00:00.123Z", "message", trust, "webhook", "", "", body)
    head = Head(b"POST", Target("message"), b"", b"", {b"traceparent": header.encode()})
    received(head, entry, tracing.clock(), lambda answer: None)(DONE)
    return LogRow(7, *entry)


class Found:
    """An event without runs."""

    runs = ()

    def __init__(self, row: LogRow) -> None:
        (self.event,) = events_from(row, lambda: f"evt_{id(self)}")


def test_receiver_and_worker_find_the_same_trace(kept: Kept) -> None:
    matched([Found(webhook())])
    heard, match = kept
    assert (match.place.trace, match.place.parent) == (heard.place.trace, heard.place.span)
    assert [name for name, _ in heard.events] == ["verified", "recorded"]
    assert match.attributes["messaging.message.id"] == TEXT["MessageSid"]
    for secret in (TEXT["Body"], TEXT["From"], TEXT["To"], "4155550"):
        assert secret not in repr(kept)


@pytest.mark.parametrize(
    ("header", "trust", "links"),
    [
        (PARENT, "signed", 1), (PARENT, "claimed", 0), ("", "signed", 0), ("00-xyz", "signed", 0),
        (PARENT.replace("b7ad6b7169203331", "0" * 16), "signed", 0),
    ],
)  # fmt: skip
def test_a_trace_of_others_is_linked_when_it_is_signed(
    header: str, trust: str, links: int, kept: Kept
) -> None:
    """It is never the trace itself: strangers would write into ours."""
    webhook(header, trust)
    assert len(kept[0].links) == links
    assert kept[0].place.parent == 0


def test_every_process_samples_the_same_traces() -> None:
    kept = Kept()
    tracing.start(kept, 0.25)
    try:
        for number in range(4000):
            trace = tracing.span_id(number, "a") << 64 | tracing.span_id(number, "b")
            tracing.span("x", Place(trace, 1), 1, {})
    finally:
        tracing.end()
    assert 800 < len(kept) < 1200
    assert {each.place.trace for each in kept} == {
        each.place.trace for each in kept if each.place.trace & (2**64 - 1) < 2**62
    }


def test_a_request_names_the_span_that_it_belongs_to(kept: Kept) -> None:
    async def asked() -> dict[str, str]:
        return tracing.traceparent()

    async def both() -> tuple[dict[str, str], dict[str, str]]:
        with tracing.within(Place(0xAB, 0xCD)):
            inside = await asyncio.ensure_future(asked())
        return inside, await asked()

    inside, outside = asyncio.run(both())
    assert inside == {"traceparent": f"00-{0xAB:032x}-{0xCD:016x}-01"}
    assert outside == {}


def test_nothing_is_done_while_traces_are_off() -> None:
    def reply(answer: object) -> None:
        """An answer is sent."""

    body = urlencode(TEXT).encode()
    entry = Entry("2026-11-30T07:00:00.123Z", "message", "signed", "webhook", "", "", body)
    head = Head(b"POST", Target("message"), b"", b"", {})
    assert tracing.clock() == 0
    assert received(head, entry, tracing.clock(), reply) is reply
