"""Records: Twilio's JSON as typed, frozen values. Nothing unknown is lost, it stays in `raw`.

A class is the list of its fields, and their types say how each is read: one loop reads them all.

Twilio writes numbers as texts in places, leaves fields null until they are known and adds new ones
without notice; reading a record therefore never fails. Prices are Decimals, moments are aware UTC.
https://www.twilio.com/docs/usage/api
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, Self, get_type_hints

_Plan = tuple[tuple[str, str, Callable[[Any], Any]], ...]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Record:
    """What every record has: the reply as it came, in `raw`."""

    raw: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, repr=False, kw_only=True)

    hidden: ClassVar[frozenset[str]] = frozenset(("auth_token",))
    """What `raw` leaves out."""

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """The record out of Twilio's JSON. A missing or odd field gets its empty value."""
        key: Any = cls
        plan = _plan(key)
        values = {name: reader(data.get(theirs)) for name, theirs, reader in plan}
        kept = {name: value for name, value in data.items() if name not in cls.hidden}
        return cls(**values, raw=MappingProxyType(kept))


@dataclass(frozen=True, slots=True)
class Account(Record):
    """An account or sub-account. Its auth token is never kept, not even in `raw`."""

    sid: str = ""
    friendly_name: str = ""
    status: str = ""
    type: str = ""
    owner_account_sid: str = ""
    date_created: datetime | None = None
    date_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message(Record):
    """A text, sent or received (https://www.twilio.com/docs/messaging/api/message-resource)."""

    sid: str = ""
    date_sent: datetime | None = None
    direction: str = ""
    from_: str = ""
    to: str = ""
    status: str = ""
    error_code: int = 0
    body: str = ""
    num_segments: int = 0
    num_media: int = 0
    price: Decimal | None = None
    price_unit: str = ""
    error_message: str = ""
    messaging_service_sid: str = ""
    account_sid: str = ""
    date_created: datetime | None = None
    date_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Media(Record):
    """One picture or file of a message."""

    sid: str = ""
    parent_sid: str = ""
    content_type: str = ""
    account_sid: str = ""
    date_created: datetime | None = None
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Feedback(Record):
    """What was reported back about a message's effect."""

    message_sid: str = ""
    outcome: str = ""
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class Call(Record):
    """A call; `duration` is in seconds (https://www.twilio.com/docs/voice/api/call-resource)."""

    sid: str = ""
    start_time: datetime | None = None
    direction: str = ""
    from_: str = ""
    to: str = ""
    status: str = ""
    duration: int = 0
    price: Decimal | None = None
    price_unit: str = ""
    answered_by: str = ""
    parent_call_sid: str = ""
    phone_number_sid: str = ""
    forwarded_from: str = ""
    caller_name: str = ""
    queue_time: int = 0
    account_sid: str = ""
    end_time: datetime | None = None
    date_created: datetime | None = None
    date_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallEvent(Record):
    """One request that Twilio made for a call, and the answer to it."""

    request: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    response: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Recording(Record):
    """A recording. `duration` is in seconds; the sound is at `media_url`."""

    sid: str = ""
    call_sid: str = ""
    conference_sid: str = ""
    status: str = ""
    duration: int = 0
    channels: int = 0
    source: str = ""
    error_code: int = 0
    price: Decimal | None = None
    price_unit: str = ""
    media_url: str = ""
    account_sid: str = ""
    start_time: datetime | None = None
    date_created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notification(Record):
    """An error or warning that Twilio logged, mostly about TwiML. `log`: 0 error, 1 warning."""

    sid: str = ""
    message_date: datetime | None = None
    log: int = 0
    error_code: int = 0
    call_sid: str = ""
    request_method: str = ""
    request_url: str = ""
    message_text: str = ""
    more_info: str = ""
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class Queue(Record):
    """A queue of callers. `average_wait_time` is in seconds."""

    sid: str = ""
    friendly_name: str = ""
    current_size: int = 0
    max_size: int = 0
    average_wait_time: int = 0
    account_sid: str = ""
    date_created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Member(Record):
    """One caller in a queue. `position` counts from 1, `wait_time` is in seconds."""

    call_sid: str = ""
    position: int = 0
    wait_time: int = 0
    queue_sid: str = ""
    date_enqueued: datetime | None = None


@dataclass(frozen=True, slots=True)
class Number(Record):
    """One of the account's phone numbers and where its webhooks go."""

    sid: str = ""
    phone_number: str = ""
    friendly_name: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    sms_url: str = ""
    sms_method: str = ""
    sms_fallback_url: str = ""
    sms_fallback_method: str = ""
    sms_application_sid: str = ""
    voice_url: str = ""
    voice_method: str = ""
    voice_fallback_url: str = ""
    voice_fallback_method: str = ""
    voice_application_sid: str = ""
    status_callback: str = ""
    status_callback_method: str = ""
    trunk_sid: str = ""
    address_sid: str = ""
    account_sid: str = ""
    date_created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Application(Record):
    """A set of webhook addresses that numbers and calls may point to."""

    sid: str = ""
    friendly_name: str = ""
    sms_url: str = ""
    sms_method: str = ""
    sms_fallback_url: str = ""
    sms_fallback_method: str = ""
    message_status_callback: str = ""
    sms_status_callback: str = ""
    voice_url: str = ""
    voice_method: str = ""
    voice_fallback_url: str = ""
    voice_fallback_method: str = ""
    status_callback: str = ""
    status_callback_method: str = ""
    account_sid: str = ""
    date_created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Address(Record):
    """A postal address on file."""

    sid: str = ""
    friendly_name: str = ""
    customer_name: str = ""
    street: str = ""
    street_secondary: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    iso_country: str = ""
    validated: bool = False
    verified: bool = False
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class UsageRecord(Record):
    """What was used in one category over a span of days (GMT). Categories overlap: never add up."""

    category: str = ""
    description: str = ""
    start_date: str = ""
    end_date: str = ""
    count: str = ""
    count_unit: str = ""
    usage: str = ""
    usage_unit: str = ""
    price: Decimal | None = None
    price_unit: str = ""
    as_of: str = ""
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class Conference(Record):
    """A conference that is, or was, held."""

    sid: str = ""
    friendly_name: str = ""
    status: str = ""
    region: str = ""
    reason_conference_ended: str = ""
    call_sid_ending_conference: str = ""
    account_sid: str = ""
    date_created: datetime | None = None
    date_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Participant(Record):
    """One call in a conference."""

    call_sid: str = ""
    label: str = ""
    status: str = ""
    muted: bool = False
    hold: bool = False
    coaching: bool = False
    call_sid_to_coach: str = ""
    start_conference_on_enter: bool = False
    end_conference_on_exit: bool = False
    conference_sid: str = ""
    account_sid: str = ""
    date_created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance(Record):
    """The money left on the account."""

    balance: Decimal | None = None
    currency: str = ""
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class MatonConnection(Record):
    """A connection of Maton to an account of Twilio.

    `status` is ACTIVE, PENDING or FAILED. `url` is the page where a person grants the access; it
    holds a session token, so neither `repr` nor `raw` shows it.
    """

    connection_id: str = ""
    status: str = ""
    app: str = ""
    method: str = ""
    creation_time: datetime | None = None
    last_updated_time: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, repr=False)
    url: str = field(default="", repr=False)

    hidden: ClassVar[frozenset[str]] = frozenset(("url",))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def _money(value: Any) -> Decimal | None:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _truth(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _mapping(value: Any) -> Mapping[str, Any]:
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else _NOTHING


def _moment(value: Any) -> datetime | None:
    """RFC 2822 as in Twilio's replies, or ISO 8601 as in Maton's."""
    if not isinstance(value, str) or not value:
        return None
    try:
        iso = value[:4].isdecimal()
        moment = datetime.fromisoformat(value) if iso else parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _number,
    bool: _truth,
    Decimal | None: _money,
    datetime | None: _moment,
    Mapping[str, Any]: _mapping,
}


@cache
def _plan(cls: Any) -> _Plan:
    """For each field: its name, Twilio's name for it, and how to read the value."""
    hints = get_type_hints(cls)
    return tuple(
        (item.name, item.name.rstrip("_"), _READERS[hints[item.name]])
        for item in fields(cls)
        if item.name != "raw"
    )
