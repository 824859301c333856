"""Traces of a running node, read by a collector of the tests: a real receiver of OTLP over HTTP."""

import contextlib
import gzip
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from acceptance.conftest import Box, Node

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

pytestmark = pytest.mark.slow

SENDER = "+14155550123"
SECRET_TEXT = "hello my password is swordfish"
RULES = """
rules:
  - name: answer
    on: message.received
    if: event.body.contains('hello')
    do:
      - reply: Good day to you
      - http: {url: URL, method: POST}
"""
PLUGIN = """
from ringback import rule, reply

@rule("message.received")
def counted(event):
    import os, sys, threading
    loaded = [name for name in sys.modules if name.startswith("opentelemetry")]
    threads = [each.name for each in threading.enumerate() if "Otel" in each.name]
    return reply(event, f"loaded {len(loaded)} threads {len(threads)}")
"""


class Got(NamedTuple):
    """A span as the collector has read it."""

    trace: str
    span: str
    parent: str
    name: str
    process: str
    attributes: dict[str, Any]
    took: float
    links: list[tuple[str, str]]
    error: bool


class Collector(ThreadingHTTPServer):
    """Takes spans, and keeps them with the headers of the requests to all other paths."""

    daemon_threads = True

    def __init__(self, answer: str = "good") -> None:
        spans = self.spans = list[Got]()
        self.raw = raw = list[bytes]()
        asked = self.asked = list[dict[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path != "/v1/traces":
                    asked.append({name.lower(): value for name, value in self.headers.items()})
                elif answer == "slow":
                    time.sleep(60)
                elif answer == "good":
                    raw.append(body)
                    spans.extend(read(body))
                if answer == "garbage":
                    self.wfile.write(b"\0\xff this is no HTTP\r\n\r\n")
                    return
                self.send_response(500 if answer == "500" else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        pass

    def of(self, name: str) -> list[Got]:
        """The spans whose names begin so."""
        return [each for each in list(self.spans) if each.name.startswith(name)]


def read(body: bytes) -> Iterator[Got]:
    """The spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    for resource in request.resource_spans:
        about = {each.key: each.value.string_value for each in resource.resource.attributes}
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            attributes = {}
            for each in span.attributes:
                value = each.value
                attributes[each.key] = getattr(value, value.WhichOneof("value"))
            yield Got(
                span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.name,
                about["ringback.process"], attributes,
                (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                span.status.code == 2,
            )  # fmt: skip


@contextlib.contextmanager
def collecting(answer: str = "good") -> Iterator[Collector]:
    with Collector(answer) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        yield collector
        collector.shutdown()


def settings(collector: Collector) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "RINGBACK_OUTBOUND_ALLOW": collector.url.removeprefix("http://"),
    }


def test_a_webhook_is_one_trace_to_its_outcome(make_node: Callable[..., Node], box: Box) -> None:
    """Receiver and worker tell of one trace: receive, match, runs, gate, requests, outcomes. An
    `http` step carries it on; no number and no text is in it; no host of plugins has a thread."""
    with collecting() as collector:
        files = {
            "rules/r.yaml": RULES.replace("URL", f"{collector.url}/hook"),
            "plugins/count.py": PLUGIN,
        }
        node = make_node(files, **settings(collector)).start()
        node.wait_ready()
        box.text(SENDER, SECRET_TEXT)
        node.until(lambda: len(collector.of("outcome")) >= 3 and collector.asked)
        heard = next(each for each in collector.of("receive /twilio/message") if not each.parent)
        received = [each for each in collector.spans if each.trace == heard.trace]
        by_name = {each.name: each for each in received}
        match = by_name["match message.received"]
        assert (heard.process, match.process, match.parent) == ("receiver", "worker", heard.span)
        for name in ("run answer", "run count.counted"):
            assert by_name[name].parent == match.span
        for name in ("gate send_message", "attempt send_message", "outcome send_message"):
            assert {each.parent for each in received if each.name == name} <= {
                by_name["run answer"].span, by_name["run count.counted"].span
            }, name  # fmt: skip
        assert by_name["run count.counted"].attributes["ringback.rule.by"] == "plugin count"
        sent = by_name["attempt send_message"]
        assert sent.attributes["messaging.message.id"].startswith("SM")
        assert by_name["outcome send_message"].attributes["ringback.outcome"] == "delivered"
        (hook,) = collector.asked
        carried = hook["traceparent"].split("-")
        http = by_name["attempt http"]
        assert carried[1:3] == [http.trace, http.span]
        texts = [each["body"] for each in box.inbox(SENDER)]
        assert "loaded 0 threads 0" in texts
        whole = b"".join(collector.raw)
        for secret in (SENDER, SENDER[1:], "swordfish", "Good day", box.facts["numbers"][0][1:]):
            assert secret.encode() not in whole, secret
        assert node.stop() == 0


def test_a_worker_after_a_kill_goes_on_in_the_same_trace(
    make_node: Callable[..., Node], box: Box
) -> None:
    rules = RULES.replace("      - http: {url: URL, method: POST}\n", "").replace(
        "      - reply", "      - wait: 2s\n      - reply"
    )
    with collecting() as collector:
        node = make_node({"rules/r.yaml": rules}, **settings(collector)).start()
        node.wait_ready()
        box.text(SENDER, "hello")
        node.until(lambda: collector.of("run answer"))
        os.kill(node.worker_pid(), signal.SIGKILL)
        node.until(lambda: collector.of("outcome send_message"))
        first, second = collector.of("run answer")[0], collector.of("resume answer")[0]
        assert (second.trace, second.parent) == (first.trace, first.span)
        assert collector.of("outcome send_message")[0].trace == first.trace


@pytest.mark.parametrize("answer", ["dead", "slow", "500", "garbage"])
def test_a_bad_collector_hurts_nobody(
    answer: str, make_node: Callable[..., Node], box: Box
) -> None:
    """Texts are answered, and the node ends in time."""
    with collecting(answer) as collector:
        given = settings(collector)
        if answer == "dead":
            with socket.socket() as gone:
                gone.bind(("127.0.0.1", 0))
                given["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{gone.getsockname()[1]}"
        rules = RULES.replace("      - http: {url: URL, method: POST}\n", "")
        node = make_node({"rules/r.yaml": rules}, **given).start()
        node.wait_ready()
        box.text(SENDER, "hello")
        node.until(lambda: box.inbox(SENDER))
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 7
        assert "Traceback" not in node.lines.rest()
