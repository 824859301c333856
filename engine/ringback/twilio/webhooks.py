"""Webhooks read as events: the fields of a request, by route.

The fields are those of https://www.twilio.com/docs/messaging/guides/webhook-request,
https://www.twilio.com/docs/voice/twiml and https://www.twilio.com/docs/voice/api/call-resource.
Twilio adds fields without notice: every field is kept, only those that we rely on are checked.
Identity (`dedupe_key`) comes from signed content alone: a token in a header can be forged.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Protocol
from urllib.parse import unquote

from ringback.error_codes import error_class
from ringback.errors import Malformed
from ringback.events import Event, conversation_of
from ringback.hooks.reading import ROUTE as HOOKS
from ringback.hooks.reading import hook_event
from ringback.runtime import from_iso
from ringback.twilio import streams
from ringback.twilio.kinds import Kind, form_kind

FORM_ROUTES = (
    "message", "message/status", "call", "call/status", "call/step", "recording", "debugger",
)  # fmt: skip
"""The routes whose requests carry form fields."""

JSON_ROUTES = ("events",)
"""The routes whose requests carry JSON."""

ROUTES = (*FORM_ROUTES, *JSON_ROUTES)

MOST_FIELDS = 200

_RFC2822 = re.compile(
    r"(?:\w{3}, )?(\d{1,2}) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:\+0000|GMT|UTC)"
).fullmatch
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


class Row(Protocol):
    """What is needed of a logged request: see `ringback.store.log.LogRow`."""

    @property
    def received_at(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def trust(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


def parse_form(body: bytes) -> dict[str, str]:
    """The decoded fields of a form body or a query string, blank values kept.

    Raises Malformed for more than 200 fields, for text that is not UTF-8, and for a name that comes
    twice: the signature does not say which value counts.
    """
    try:
        text = body.decode()
        if text.count("&") >= MOST_FIELDS:
            raise Malformed(f"more than {MOST_FIELDS} fields")
        if "%26" in text or "%3" in text:  # an escaped separator: decode each part alone
            pairs = [pair.partition("=") for pair in text.split("&") if pair]
            fields = {_decoded(name): _decoded(value) for name, _, value in pairs}
        else:
            pairs = [pair.partition("=") for pair in _decoded(text).split("&") if pair]
            fields = {name: value for name, _, value in pairs}
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8") from error
    if len(fields) != len(pairs):
        raise Malformed("a field comes twice")
    return fields


def _decoded(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" in text:
        text = text.replace("%2B", "+")  # the plus of a number, often the only escape there is
        if "%" in text:
            text = unquote(text, errors="strict")
    return text


def events_from(row: Row, mint: Callable[[], str]) -> list[Event]:
    """The events of one logged request: one for a form and for a delivery of another system, any
    number for Event Streams.

    `mint` gives each event its uid. Raises Malformed when the body cannot be read; the receiver
    checks before it records, so that happens to foreign or hand-made rows only.
    """
    if row.route.startswith(HOOKS):
        return [hook_event(row, mint())]
    if row.route in JSON_ROUTES:
        return [_event(row, fields, kind, mint()) for fields, kind in _streamed(row.body)]
    fields = parse_form(row.body)
    return [_event(row, fields, form_kind(row.route, fields, row.tag), mint())]


def _streamed(body: bytes) -> list[tuple[dict[str, str], Kind]]:
    found = []
    for item in read_stream(body):
        if isinstance(item, streams.Misshapen):
            found.append(_misshapen(item))
            continue
        route, fields = streamed_form(item)
        kind = kind_of(route, fields)
        if not kind.key:
            kind = kind._replace(key=f"ce:{item.get('source', '')}:{item['id']}")
        found.append((fields, kind))
    return found


def streamed_form(item: streams.CloudEvent) -> tuple[str, dict[str, str]]:
    """The route and the fields of one element of Event Streams. A CloudEvent without a counterpart
    among the forms has its type in place of the route."""
    if streams.is_plain(item):
        return "events", streams.plain_fields(item)
    return streams.as_form(item)


def kind_of(route: str, fields: Mapping[str, str], tag: str = "") -> Kind:
    """What these fields are, of a form or of Event Streams. A CloudEvent without a counterpart has
    no identity in its fields."""
    if route in ROUTES:
        return form_kind(route, fields, tag)
    return Kind(route, fields.get("Status", ""), _subject(fields), "")


def parties(type_: str, fields: Mapping[str, str]) -> tuple[str, str]:
    """Our address and that of the other party, each empty when the fields do not name it. They
    decide to which conversation an event belongs."""
    get = fields.get
    sender, recipient = get("From") or get("from", ""), get("To") or get("to", "")
    inbound = type_ == "message.received" or get("Direction", "").lower() == "inbound"
    return (recipient, sender) if inbound else (sender, recipient)


def _misshapen(item: streams.Misshapen) -> tuple[dict[str, str], Kind]:
    """An element that is no event, as one of its own kind: it is named and nothing is lost."""
    fields = {"Reason": item.why, "Place": str(item.place), "Element": item.text}
    digest = sha256(item.text.encode()).hexdigest()[:24]
    return fields, Kind("webhook.malformed", "malformed", "", f"webhook:malformed:{digest}")


def _subject(fields: Mapping[str, str]) -> str:
    """The SID of what a CloudEvent without a counterpart among the forms is about."""
    return next((fields[name] for name in _SUBJECTS if fields.get(name)), "")


_SUBJECTS = ("MessageSid", "CallSid", "ConferenceSid", "RecordingSid", "TaskSid", "Sid")


def read_stream(body: bytes) -> list[streams.CloudEvent | streams.Misshapen]:
    """The CloudEvents of an Event Streams body, one object or an array; what is none beside others
    that are is named. Raises Malformed when nothing is one."""
    try:
        return streams.parse(body)
    except ValueError as error:
        raise Malformed(str(error)) from error


def code_of(fields: Mapping[str, str]) -> int:
    """The error code in these fields; 0 when they name none."""
    get = fields.get
    code = get("ErrorCode") or get("PayErrorCode") or get("TranscriptionErrorCode", "")
    return int(code) if code.isdecimal() and len(code) < 10 else 0


def _event(row: Row, fields: dict[str, str], kind: Kind, uid: str) -> Event:
    get = fields.get
    received_at = from_iso(row.received_at)
    type_, status, subject, key = kind
    sender, recipient = get("From") or get("from", ""), get("To") or get("to", "")
    error_code = code_of(fields)
    if type_.startswith("debugger."):
        error_code = streams.debugger_code(fields) or error_code
    return Event(
        uid=uid,
        type=type_,
        at=_moment(get("Timestamp", "")) or received_at,
        received_at=received_at,
        trust=row.trust,
        source=row.source,
        account_sid=get("AccountSid") or get("account_sid", ""),
        subject_sid=subject,
        sender=sender,
        recipient=recipient,
        conversation=conversation_of(*parties(type_, fields)),
        status=status,
        error_code=error_code,
        error_class=error_class(error_code) if error_code else "",
        tag=row.tag,
        dedupe_key=key,
        fields=MappingProxyType(fields),
    )


def _moment(text: str) -> datetime | None:
    """When it happened, as Twilio says: RFC 2822 in callbacks, ISO 8601 in Event Streams."""
    if not text:
        return None
    found = _RFC2822(text)
    try:
        if found is not None:
            day, month, year, hour, minute, second = found.groups()
            return datetime(
                int(year),
                _MONTHS.index(month) // 3 + 1,
                int(day),
                int(hour),
                int(minute),
                int(second),
                tzinfo=UTC,
            )
        return from_iso(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
