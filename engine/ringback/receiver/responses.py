"""What do we say back? Every answer to a webhook, as data."""

from typing import NamedTuple

from ringback.twilio.twiml import EMPTY

RETRY_SECONDS = 15
_TEXT = b"text/plain; charset=utf-8"
_XML = b"text/xml; charset=utf-8"


class Answer(NamedTuple):
    """A whole HTTP answer. `close` ends the connection after it."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False


def _said(status: int, text: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, text.encode() + b"\n", ((b"content-type", _TEXT), *headers))


def twiml(document: str) -> Answer:
    """A 200 with a TwiML document."""
    return Answer(200, document.encode(), ((b"content-type", _XML),))


DONE = Answer(204)
EMPTY_TWIML = twiml(EMPTY)
FORBIDDEN = _said(403, "Forbidden")
NOT_FOUND = _said(404, "Not found")
TIMED_OUT = _said(408, "The request did not arrive in time")
TOO_LARGE = _said(413, "The body is too large")
WRONG_TYPE = _said(415, "Send a form, or JSON on the JSON routes")
HEAD_TOO_LARGE = _said(431, "The header is too large")
BAD_REQUEST = _said(400, "Bad request")
FAILED = _said(500, "Internal error")
BUSY = _said(503, "Cannot record this now", (b"retry-after", str(RETRY_SECONDS).encode()))


def malformed(reason: str) -> Answer:
    """A 400 that says what is wrong. Only for bodies, never for reasons of proof."""
    return _said(400, reason)


def wrong_method(allowed: frozenset[bytes]) -> Answer:
    """A 405 with the methods that the route has."""
    return _said(405, "Method not allowed", (b"allow", b", ".join(sorted(allowed))))
