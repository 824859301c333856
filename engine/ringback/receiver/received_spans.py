"""Spans of the receiver: one webhook, from its body to its answer.

Asked for while traces are on alone. What is refused, or comes a second time, has none.
"""

from collections.abc import Callable

from ringback.receiver.responses import Answer
from ringback.receiver.routes import Head
from ringback.runtime import from_iso
from ringback.store.log import Entry
from ringback.tracing import spans as tracing
from ringback.tracing.span import Place
from ringback.tracing.spans import span_id
from ringback.twilio.webhooks import events_from

Reply = Callable[[Answer], None]


def received(head: Head, entry: Entry, begun: int, reply: Reply) -> Reply:
    """`reply`, which sends the span of this webhook before the answer. Its trace is that of the
    event that the worker will read from the same row; one of Event Streams is in the trace of each
    of its events. Whoever has signed it may name a trace of its own: that becomes a link. With no
    begin, while traces are off, it is `reply` itself."""
    if not begun:
        return reply

    def answered(answer: Answer) -> None:
        tell(head, entry, begun, answer.status)
        reply(answer)

    return answered


def tell(head: Head, entry: Entry, begun: int, status: int) -> None:
    """Send the spans of a webhook that has its answer."""
    header = head.headers.get(b"traceparent", b"").decode("latin-1")
    links = tracing.following(header) if entry.trust != "claimed" else ()
    verified = round(from_iso(entry.received_at).timestamp() * 1000) * 1_000_000
    ended = tracing.clock()
    for event in events_from(entry, str):
        trace = tracing.event_trace(event)
        tracing.span(
            f"receive {head.target.address}",
            Place(trace, span_id(trace, "receive")),
            begun,
            {
                "http.request.method": head.method.decode(),
                "http.route": head.target.address,
                "http.response.status_code": status,
                "messaging.operation.type": "receive",
                "ringback.event.type": event.type,
                "ringback.event.trust": entry.trust,
            },
            ended=ended,
            kind="server",
            error=str(status) if status >= 500 else "",
            events=(("verified", max(verified, begun)), *_recorded(status, ended)),
            links=links,
        )


def _recorded(status: int, at: int) -> tuple[tuple[str, int], ...]:
    return () if status >= 500 else (("recorded", at),)
