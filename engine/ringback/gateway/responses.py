"""Responses: the JSON of a good answer, and the typed error that any other one stands for.

The statuses: https://www.twilio.com/docs/usage/twilios-response. Twilio may answer, or the way in:
`Credentials.origin_of` says who.
"""

import json
import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from ringback import error_codes
from ringback.errors import (
    BadRequest,
    Forbidden,
    GatewayError,
    NotFound,
    RateLimited,
    ServerError,
    Unauthorized,
)
from ringback.gateway.credentials import Credentials
from ringback.gateway.pool import Answer

RETRY_AFTER_CAP = 300.0


NO_ACCESS = frozenset({10001, 20005, 20008, 20010, 20403, 90010})
"""Codes that concern the account or its credentials, and no single request: it is suspended or
closed, has no right to the API, or they are for tests."""


class NotJson(ValueError):
    """The body is not the one JSON object that it should be."""


def read_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer, with any `auth_token` in it blanked.

    Raises NotJson, whatever the body is: cut, of another type, not UTF-8, too deep, with a name
    given twice or a number that JSON has not.
    """
    if answer.fault:
        raise NotJson(answer.fault)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise NotJson(f"the answer is {kind[:60]}, not JSON")
    try:
        data = _DECODER.decode(answer.body.decode())
    except RecursionError:
        raise NotJson("the answer is nested too deep") from None
    except ValueError as error:
        raise NotJson(f"the answer is not JSON: {str(error)[:120]}") from None
    if not isinstance(data, dict):
        raise NotJson(f"the answer is a JSON {type(data).__name__}, not an object")
    return data


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a name is given twice")
    if "auth_token" in data:
        data["auth_token"] = "[hidden]"
    return data


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_constant)


def failure(
    answer: Answer, access: Credentials, *, now: float, request_id: str = ""
) -> GatewayError:
    """The error that an answer outside 2xx stands for. `now` is the time in epoch seconds."""
    body = _body(answer)
    origin = access.origin_of(answer.status, body)
    code = body.get("code")
    number = code if origin == "twilio" and isinstance(code, int) else 0
    kind = _kind(answer.status, number, origin, access)
    known = error_codes.explain_error(number) if number else None
    remedy = access.remedy(kind, origin)
    if known and known.remedy and kind is not Unauthorized:
        remedy = known.remedy
    said = _one_line(access.scrub(_said(body, answer)))
    title = "Twilio" if origin == "twilio" else access.title
    about = f"{number}: {said}" if number else said
    message = f"{title} answered {answer.status}" + (f" ({about})" if about else "")
    return kind(
        f"{message}. {remedy[:1].upper()}{remedy[1:]}" if remedy else message,
        http_status=answer.status,
        code=number,
        origin=origin,
        wrote=True,
        retry_after=retry_after(answer.headers, now),
        request_id=request_id,
        remedy=remedy,
    )


def _kind(status: int, code: int, origin: str, access: Credentials) -> type[GatewayError]:
    if code == 20003 or status == 401:
        return Unauthorized
    if code in NO_ACCESS or (status == 403 and origin != "twilio"):
        return Forbidden
    if status == 429 or code == 20429:
        return RateLimited
    if origin != "twilio" and status in access.own_errors:
        return access.own_errors[status]
    if status == 404:
        return NotFound
    if status == 408 or status >= 500 or status < 300:
        return ServerError
    return BadRequest


def _body(answer: Answer) -> Mapping[str, Any]:
    try:
        return read_object(answer)
    except NotJson:
        return {}


def _said(body: Mapping[str, Any], answer: Answer) -> str:
    for name in ("message", "detail", "error", "title"):
        value = body.get(name)
        if isinstance(value, Mapping):
            value = value.get("message")
        if isinstance(value, str) and value.strip():
            return value
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/plain":
        return answer.body.decode(errors="replace")
    return ""


def _one_line(text: str) -> str:
    """The other side's own words, which are untrusted: one line of printable text, and short."""
    shown = "".join(sign if sign.isprintable() else " " for sign in text[:400])
    return " ".join(shown.split())[:300].rstrip(". ")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, by the Retry-After header: a number or an HTTP date, at most 300.

    None when the header is missing or makes no sense (negative, not a number). A date in the past
    means now.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text[0] in "0123456789.+-":
        try:
            seconds = float(text)
        except ValueError:
            return None
    else:
        moment = epoch(text)
        if moment is None:
            return None
        seconds = max(0.0, moment - now)
    if math.isnan(seconds) or seconds < 0:
        return None
    return min(seconds, RETRY_AFTER_CAP)


def epoch(date: str) -> float | None:
    """An HTTP date in epoch seconds; None for what is not one."""
    try:
        moment = parsedate_to_datetime(date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
