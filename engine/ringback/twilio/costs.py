"""Cost of a message or call: what its record at Twilio says, and an estimate until it says so.

A record has no `price` at first; it comes minutes after the end, in rare cases a day, and holds
the fees of carriers. A charge is negative there and positive here, as a plain decimal.
https://support.twilio.com/hc/en-us/articles/46871410243099

`num_segments` is "0" while a Messaging Service has yet to choose the sender. What goes by another
channel than SMS and MMS has no segments, although its record names one.
https://www.twilio.com/docs/messaging/api/message-resource
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from ringback.outcomes import EFFECTS
from ringback.twilio import segments
from ringback.twilio.rest import is_sid

_PREFIXES = tuple(prefix for effect in EFFECTS.values() for prefix in effect.sid_prefixes)
_LISTS = tuple(effect.resource.lower() for effect in EFFECTS.values())
_FAILED = ("failed", "undelivered")
_UNIT = re.compile("[A-Z]{3}", re.ASCII)
_COUNT = re.compile("[1-9][0-9]{0,3}", re.ASCII)
_LONGEST = 40
"""No amount of money is written with more characters."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What is known of a cost: the segments, the amount charged, its currency as `USD`. What is not
    known is None, and empty for the currency."""

    segments: int | None = None
    price: str | None = None
    unit: str = ""

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return self.segments is not None or self.price is not None


NOTHING = Cost()


def cost_of(record: Mapping[str, Any]) -> Cost:
    """What a record says of its cost. Numbers may be texts, and nonsense is no knowledge."""
    price = _amount(record.get("price"))
    unit = str(record.get("price_unit") or "").strip().upper()
    known = price is not None and _UNIT.fullmatch(unit)
    return Cost(_segments(record), price, unit if known else "")


class Told(NamedTuple):
    """By SID, what is said of the costs of records that we may have `made`, and of what was
    `received`; of texts that have `failed`, the error code."""

    made: Mapping[str, Cost]
    received: Mapping[str, Cost]
    failed: Mapping[str, int]


def costs_in(answer: Mapping[str, Any]) -> Told:
    """What an answer says of costs: it is one record, or a page of a list."""
    made, received, failed = dict[str, Cost](), dict[str, Cost](), dict[str, int]()
    for record in records_in(answer):
        sid, cost = record.get("sid"), cost_of(record)
        if not is_sid(sid, *_PREFIXES):
            continue
        if record.get("direction") == "inbound":
            if cost.price is not None:
                received[str(sid)] = cost
            continue
        if cost.known:
            made[str(sid)] = cost
        if record.get("status") in _FAILED and (code := error_code(record)):
            failed[str(sid)] = code
    return Told(made, received, failed)


def error_code(record: Mapping[str, Any]) -> int:
    """The error code that a record names; 0 when it names none."""
    code = str(record.get("error_code") or "")
    return int(code) if code.isdecimal() and len(code) < 10 else 0


def as_fields(cost: Cost) -> dict[str, str]:
    """The price of what came in, as fields of its event; empty while it is not known."""
    return {"Price": cost.price, "PriceUnit": cost.unit} if cost.price is not None else {}


def records_in(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages or calls of a page of their list; else the answer itself."""
    listed = next((answer[key] for key in _LISTS if isinstance(answer.get(key), list)), [answer])
    return [record for record in listed if isinstance(record, Mapping)]


def estimated_segments(params: Mapping[str, Any]) -> int | None:
    """How many segments a text will take, from what its action says; None for one that takes none,
    or whose words Twilio writes. A picture takes one, whatever is said with it."""
    body, extra = params.get("body"), params.get("extra")
    if _elsewhere(params.get("to"), params.get("sender")):
        return None
    if params.get("media"):
        return 1
    if not isinstance(body, str) or not body:
        return None
    asked = extra.get("SmartEncoded") if isinstance(extra, Mapping) else None
    smart = str(asked or "").lower() == "true"
    return segments.count(segments.smart(body) if smart else body)


def _elsewhere(*addresses: object) -> bool:
    """Whether one of these is of another channel, as `whatsapp:+15550100001`."""
    return any(isinstance(address, str) and ":" in address for address in addresses)


def _segments(record: Mapping[str, Any]) -> int | None:
    number = _written(record.get("num_segments"))
    if not _COUNT.fullmatch(number) or _elsewhere(record.get("to"), record.get("from")):
        return None
    return int(number)


def _amount(value: object) -> str | None:
    if value is None:
        return None
    try:
        amount = Decimal(_written(value))
    except InvalidOperation:
        return None
    if not amount.is_finite() or not -12 <= amount.adjusted() <= 9:
        return None
    return f"{abs(amount).normalize():f}"


def _written(value: object) -> str:
    """A number as text; empty for what is none, and for one that is too long to be meant."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, int) and value.bit_length() > 64:
        return ""
    text = str(value).strip()
    return text if len(text) <= _LONGEST else ""
