"""HTTP responses of the receiver, as data: every answer that a webhook can get.

What the port of a node refuses below `/api/` by itself, before the console sees it, is
`application/problem+json` in the words of the JSON API. https://www.rfc-editor.org/rfc/rfc9457
"""

import json
from typing import NamedTuple

from ringback.twilio.twiml import EMPTY

RETRY_SECONDS = 15
_TEXT = b"text/plain; charset=utf-8"
_XML = b"text/xml; charset=utf-8"

API = "/api/"
MEDIA = "application/problem+json"
_KINDS = {
    400: ("field", "A field is wrong", "Correct what is named."),
    404: ("missing", "There is nothing here", "See `GET /api/v1/openapi.json` for what there is."),
    408: ("busy", "Too much is going on", "Try again in a moment."),
    413: ("large", "This is too large", "Send less."),
    431: ("large", "This is too large", "Send less."),
    502: ("busy", "Too much is going on", "Try again in a moment."),
    503: ("busy", "Too much is going on", "Try again in a moment."),
}
"""For each status its slug, title and mend, as the table of the console has them."""


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _text(status: int, text: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(status, text.encode() + b"\n", ((b"content-type", _TEXT), *headers))


def twiml(document: str) -> Answer:
    """A 200 with a TwiML document."""
    return Answer(200, document.encode(), ((b"content-type", _XML),))


DONE = Answer(204)
EMPTY_TWIML = twiml(EMPTY)
FORBIDDEN = _text(403, "Forbidden")
NOT_FOUND = _text(404, "Not found")
TIMED_OUT = _text(408, "The request did not arrive in time")
TOO_LARGE = _text(413, "The body is too large")
WRONG_TYPE = _text(415, "Send a form, or JSON on the JSON routes")
WRONG_CODING = _text(
    415, "Send the body as it is, without a coding", (b"accept-encoding", b"identity")
)
HEAD_TOO_LARGE = _text(431, "The header is too large")
BAD_REQUEST = _text(400, "Bad request")
FAILED = _text(500, "Internal error")
_LATER = (b"retry-after", str(RETRY_SECONDS).encode())
BUSY = _text(503, "Cannot record this now", _LATER)
NO_LIFESPAN = (
    "the receiver's lifespan does not run: give the outer application "
    "lifespan=receiver.router.lifespan_context"
)
NOT_STARTED = _text(503, NO_LIFESPAN, _LATER)


def malformed(reason: str) -> Answer:
    """A 400 that says what is wrong. Only for bodies, never for reasons of proof."""
    return _text(400, reason)


def wrong_method(allowed: frozenset[bytes]) -> Answer:
    """A 405 with the methods that the route has."""
    return _text(405, "Method not allowed", (b"allow", b", ".join(sorted(allowed))))


def problem(status: int, detail: str) -> bytes:
    """The body of an answer with this status."""
    slug, title, mend = _KINDS[status]
    said = {
        "type": f"urn:ringback:problem:{slug}", "title": title, "status": status,
        "detail": detail, "mend": mend,
    }  # fmt: skip
    return json.dumps(said).encode()


def worded(url: bytes, answer: Answer) -> Answer:
    """An answer in the words of the API, if it is a refusal of something below `/api/`."""
    if answer.status not in _KINDS or not url.startswith(API.encode()):
        return answer
    headers = [each for each in answer.headers if each[0] != b"content-type"]
    detail = answer.body.decode().strip()
    return Answer(
        answer.status, problem(answer.status, f"{detail}."),
        ((b"content-type", MEDIA.encode()), *headers),
    )  # fmt: skip
