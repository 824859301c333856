"""Export: spans to a collector, by OTLP over HTTP, from a thread of their own.

The only module that imports OpenTelemetry. The queue is bounded; when it is full the oldest spans
are lost, and nothing else waits for it.
"""

import logging
import os
import threading
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AnyValue

from ringback.tracing.span import Span
from ringback.version import own_version

log = logging.getLogger("ringback.tracing")

LAST_SECONDS = 2.0
"""How long the end of a process waits for the last spans to be taken."""
SAY_SECONDS = 60.0
"""So often at most it is said that spans are lost."""

_KINDS = {
    "internal": SpanKind.INTERNAL, "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT, "consumer": SpanKind.CONSUMER,
}  # fmt: skip


class Batches:
    """Sends spans in batches to one address."""

    def __init__(self, endpoint: str, shown: str, process: str) -> None:
        # It says each failure at length; we say it once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        version = own_version()
        own: dict[str, AnyValue] = {
            "service.version": version,
            "process.pid": os.getpid(),
            "ringback.process": process,
        }
        named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        self._resource = Resource.create(own if named else own | {"service.name": "ringback"})
        self._scope = InstrumentationScope("ringback", version)
        self._batches = BatchSpanProcessor(_Told(OTLPSpanExporter(endpoint=endpoint), shown))

    def write(self, item: Span) -> None:
        """Put one into the queue."""
        place = item.place
        self._batches.on_end(
            ReadableSpan(
                item.name,
                context=_context(place.trace, place.span),
                parent=_context(place.trace, place.parent) if place.parent else None,
                resource=self._resource,
                attributes=item.attributes,
                events=[Event(name, timestamp=at) for name, at in item.events],
                links=[Link(_context(*each, remote=True)) for each in item.links],
                kind=_KINDS[item.kind],
                status=Status(StatusCode.ERROR if item.error else StatusCode.UNSET),
                start_time=item.begun,
                end_time=item.ended,
                instrumentation_scope=self._scope,
            )
        )

    def close(self) -> None:
        """Send what is left. A collector that does not take it in time is left alone: the threads
        end with the process."""
        closing = threading.Thread(target=self._batches.shutdown, daemon=True)
        closing.start()
        closing.join(LAST_SECONDS)


class _Told(SpanExporter):
    """An exporter that says now and then that spans are lost, and when they are taken again."""

    def __init__(self, inner: SpanExporter, endpoint: str) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._said = float("-inf")
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        try:
            result = self._inner.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.warning("spans are taken again; %d were lost", self._lost)
            self._lost, self._said = 0, float("-inf")
            return result
        self._lost += len(spans)
        if time.monotonic() - self._said >= SAY_SECONDS:
            self._said = time.monotonic()
            log.warning("spans are lost: %s does not take them", self._endpoint)
        return result

    def shutdown(self) -> None:
        """Try no more."""
        self._inner.shutdown()


def _context(trace: int, span: int, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace, span, is_remote=remote, trace_flags=TraceFlags(TraceFlags.SAMPLED))
