"""Spans: their ids, times and attributes. Nothing is kept here but where they go."""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from hashlib import blake2b
from typing import Protocol

from ringback.events import Event
from ringback.runtime import iso
from ringback.tracing.configuration import configured
from ringback.tracing.span import Place, Span, Value

log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where spans go."""

    def write(self, item: Span) -> None:
        """Take one. Never waits."""

    def close(self) -> None:
        """Send what is left, for a moment at most."""


_writer: Writer | None = None
_bound = 0
_within: ContextVar[Place | None] = ContextVar("place", default=None)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}").fullmatch


def begin(environ: Mapping[str, str], process: str) -> None:
    """Send spans from now on, when these variables ask for it. It starts a thread: no process that
    goes on without a program of its own may be forked after it."""
    asked = configured(environ)
    if not asked.endpoint:
        return
    if asked.problems:
        log.warning("no traces are sent: %s", "; ".join(asked.problems))
        return
    from ringback.tracing.export import Batches

    try:
        start(Batches(asked.endpoint, asked.shown, process), asked.share)
    except Exception as error:  # a variable that only the library reads: a node works without
        log.warning("no traces are sent: %s: %s", type(error).__name__, error)


def start(writer: Writer, share: float = 1.0) -> None:
    """Give spans to this writer, of this share of the traces."""
    global _writer, _bound
    _writer, _bound = writer, round(share * 2**64)


def end() -> None:
    """Send what is left, and no more."""
    global _writer
    writer, _writer = _writer, None
    if writer is not None:
        writer.close()


def on() -> bool:
    """Whether anybody wants spans."""
    return _writer is not None


def clock() -> int:
    """The moment now, for the begin of a span; 0 while nobody wants spans."""
    return 0 if _writer is None else time.time_ns()


def event_trace(event: Event) -> int:
    """The trace of an event. The receiver knows it before there is an event, from the row that it
    writes; so does each worker, from the event on record."""
    key = f"{iso(event.received_at)} {event.account_sid} {event.tag} {event.dedupe_key}"
    return int.from_bytes(blake2b(key.encode(), digest_size=16).digest(), "big") or 1


def span_id(trace: int, *names: str) -> int:
    """The id of the span of this trace that these names tell from all others."""
    key = f"{trace:032x} {' '.join(names)}"
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") or 1


def fresh_id() -> int:
    """The id of a span that nothing refers to."""
    return int.from_bytes(os.urandom(8), "big") or 1


def sampled(trace: int) -> bool:
    """Whether this trace is one of those to be sent: the same answer in every process."""
    return (trace & (2**64 - 1)) < _bound


def span(
    name: str,
    place: Place,
    begun: int,
    attributes: Mapping[str, Value | None],
    *,
    ended: int = 0,
    kind: str = "internal",
    error: str = "",
    events: tuple[tuple[str, int], ...] = (),
    links: tuple[tuple[int, int], ...] = (),
) -> None:
    """Send a span that began then and is over, now unless it is said when. What is empty among the
    attributes is left out. It never raises."""
    if _writer is None or not sampled(place.trace):
        return
    said: dict[str, Value] = {"messaging.system": "twilio"}
    said |= {key: value for key, value in attributes.items() if value is not None and value != ""}
    if error:
        said["error.type"] = error
    last = max(ended or time.time_ns(), begun)
    try:
        _writer.write(Span(name, place, begun or last, last, said, kind, error, events, links))
    except Exception as broken:  # tracing must not hurt what it tells of
        log.debug("a span was lost: %s", broken)


def instant(name: str, place: Place, attributes: Mapping[str, Value | None]) -> None:
    """Send a span of no length."""
    span(name, place, clock(), attributes)


@contextlib.contextmanager
def within(place: Place) -> Iterator[None]:
    """What is requested inside belongs to this span."""
    token = _within.set(place)
    try:
        yield
    finally:
        _within.reset(token)


def traceparent() -> dict[str, str]:
    """The header of W3C trace context for a request that is made now; none when it belongs to no
    span."""
    place = _within.get() if _writer is not None else None
    if place is None:
        return {}
    flag = "01" if sampled(place.trace) else "00"
    return {"traceparent": f"00-{place.trace:032x}-{place.span:016x}-{flag}"}


def following(header: str) -> tuple[tuple[int, int], ...]:
    """The link to the span that a `traceparent` names; none when it is none."""
    found = _TRACEPARENT(header.strip())
    if found is None or header.startswith("ff"):
        return ()
    trace, parent = int(found[1], 16), int(found[2], 16)
    return ((trace, parent),) if trace and parent else ()
