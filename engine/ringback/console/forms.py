"""Forms of pages: `application/x-www-form-urlencoded`, read under limits, and nothing else.

There is no multipart anywhere: its parsers are the largest part of a form library, and no page
sends a file.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qsl

from starlette.requests import Request

from ringback.console.problems import refuse
from ringback.rules.timing.durations import parse_duration
from ringback.runtime import REAL, from_person, iso

FORM = "ringback.form"
"""Where the guard puts a form in the scope of a request."""
MOST_BYTES = 64 * 1024
MOST_FIELDS = 200


async def body_of(request: Request, most: int = MOST_BYTES) -> bytes:
    """The body of a request. Raises a Refusal of the kind `large` as soon as there is too much."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise refuse("large", f"The body has more than {most} bytes.")
        parts.append(part)
    return b"".join(parts)


def media_of(request: Request) -> str:
    """The type of a request's body, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form, which the guard has read and checked. Of a name that stands twice the
    last one counts."""
    form: Mapping[str, str] = request.scope.get(FORM) or {}
    return form


def parsed(body: bytes) -> Mapping[str, str]:
    """The fields that a body holds. Raises a Refusal for one that is none."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body),
            errors="strict", max_num_fields=MOST_FIELDS,
        )  # fmt: skip
    except ValueError as error:
        raise refuse("field", f"This is no form: {error}.") from None
    return dict(pairs)


_meant: OrderedDict[tuple[str, str], str] = OrderedDict()
_MOST_MEANT = 256


def until_of(text: str, request: str = "") -> str:
    """A stored time, from a span (`2h`) or a time; empty for none. A span that comes again with the
    same `request` ends when it did the first time. Raises a Refusal."""
    if not text.strip():
        return ""
    known = _meant.get((request, text)) if request else None
    if known is not None:
        return known
    try:
        found = iso(REAL.now() + timedelta(seconds=parse_duration(text)))
        _meant[request, text] = found
        while len(_meant) > _MOST_MEANT:
            _meant.popitem(last=False)
        return found
    except ValueError as span:
        try:
            return iso(from_person(text))
        except ValueError as time:
            why = str(time) if text.strip()[4:5] == "-" else f"{span}; or a time: {time}"
            raise refuse("field", f"until: {why}", fields=(("until", why),)) from None
