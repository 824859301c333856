"""Cursors of lists: where the next part begins, signed and bound to the filters of the list.

Whoever sends a cursor with other filters would be shown rows from the middle of another list.
"""

import base64
import hashlib
import hmac
import json

from starlette.requests import Request

from ringback.config import Settings
from ringback.console.problems import refuse

_DIGEST = 8
_NOT_FILTERS = ("limit", "cursor", "format")


def cursor(settings: Settings, request: Request, before: int) -> str | None:
    """The cursor of the part before a row; None where there is none."""
    if not before:
        return None
    place = before.to_bytes(8, "big")
    return base64.urlsafe_b64encode(place + _signed(settings, request, place)).decode()


def place_of(settings: Settings, request: Request) -> int:
    """The row that the cursor of a request names, 0 without one. Raises a Refusal."""
    text = request.query_params.get("cursor", "")
    if not text:
        return 0
    try:
        found = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        found = b""
    place, sign = found[:8], found[8:]
    if len(place) < 8 or not hmac.compare_digest(sign, _signed(settings, request, place)):
        raise refuse("cursor")
    return int.from_bytes(place, "big")


def _signed(settings: Settings, request: Request, place: bytes) -> bytes:
    """A cursor is good as long as the secrets of the console are the same, over restarts too. The
    filters count as they were written: a span back from now is another moment each time."""
    secret = f"{settings.data}\n{settings.api_token}\n{settings.console_password}"
    key = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
    asked = sorted(
        (name, value)
        for name, value in request.query_params.multi_items()
        if value and name not in _NOT_FILTERS
    )
    said = json.dumps([request.url.path, asked]).encode()
    return hmac.new(key, place + said, hashlib.sha256).digest()[:_DIGEST]
