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

from ringback.errors import RingbackError
from ringback.events import Event, conversation_of
from ringback.runtime import from_iso
from ringback.twilio import streams
from ringback.twilio.error_codes import error_class

FORM_ROUTES = (
    "message", "message/status", "call", "call/status", "call/step", "recording", "debugger",
)  # fmt: skip
"""The routes whose requests carry form fields."""

JSON_ROUTES = ("events",)
"""The routes whose requests carry JSON."""

ROUTES = (*FORM_ROUTES, *JSON_ROUTES)

CALL_ROUTES = ("call", "call/step")
"""The routes on which a caller waits for TwiML."""

MOST_FIELDS = 200

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}").fullmatch
_STATUS = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}").fullmatch
_RFC2822 = re.compile(
    r"(?:\w{3}, )?(\d{1,2}) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:\+0000|GMT|UTC)"
).fullmatch
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"

Fields = Mapping[str, str]


class Malformed(RingbackError):
    """The body is not what Twilio sends to this route. The message says what is wrong with it."""


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


def check_form(route: str, fields: Fields) -> None:
    """Whether these fields can be a request to this route. Raises Malformed, naming the field."""
    for name in _REQUIRED[route]:
        if not _SID(fields.get(name, "")):
            raise Malformed(f"{name} is missing or not a SID")
    if route == "message/status":
        status = fields.get("MessageStatus") or fields.get("SmsStatus", "")
    elif route in ("call", "call/status"):
        status = fields.get("CallStatus", "")
        if not status and route == "call/status":
            status = fields.get("AnsweredBy") or fields.get("StatusCallbackEvent", "")
    elif route == "debugger":
        status = fields.get("Level", "")
    else:
        return
    if not _STATUS(status):
        raise Malformed("the status is missing or not a word")


_REQUIRED: dict[str, tuple[str, ...]] = {
    "message": ("AccountSid", "MessageSid"),
    "message/status": ("AccountSid", "MessageSid"),
    "call": ("AccountSid", "CallSid"),
    "call/status": ("AccountSid",),
    "call/step": ("AccountSid", "CallSid"),
    "recording": ("AccountSid",),
    "debugger": ("AccountSid", "Sid"),
}


def identity(route: str, fields: Fields, tag: str = "") -> str:
    """The dedupe key of a form request: the same delivery twice has the same key.

    Made of signed content only. `tag` is the nonce of a call step, which is in the signed URL.
    """
    get = fields.get
    if route == "message/status":
        status = get("MessageStatus") or get("SmsStatus", "")
        if status.lower() not in ("received", "receiving"):
            return f"st:{get('MessageSid', '')}:{status.lower()}:{get('ErrorCode', '')}"
        route = "message"
    if route == "message":
        return f"in:{get('MessageSid', '')}"
    if route == "call/status":
        return _call_status_identity(fields)
    if route in CALL_ROUTES:
        path = f"{route}/{tag}" if tag else route
        return f"tw:{get('CallSid', '')}:{path}:{_digest(fields)}"
    if route == "recording":
        if get("TranscriptionSid"):
            return f"tr:{get('TranscriptionSid')}:{get('TranscriptionStatus', '')}"
        return f"rec:{get('RecordingSid') or _digest(fields)}:{get('RecordingStatus', '')}"
    return f"dbg:{get('Sid', '')}"


def _call_status_identity(fields: Fields) -> str:
    get = fields.get
    order = get("SequenceNumber") or get("Timestamp", "")
    if get("CallStatus"):
        return f"cs:{get('CallSid', '')}:{get('CallStatus', '').lower()}:{order}"
    if get("AnsweredBy"):
        return f"am:{get('CallSid', '')}:{get('AnsweredBy', '')}"
    return f"cf:{get('ConferenceSid', '')}:{get('StatusCallbackEvent', '')}:{order}"


def _digest(fields: Fields) -> str:
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(fields.items()))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def events_from(row: Row, mint: Callable[[], str]) -> list[Event]:
    """The events of one logged request: one for a form, any number for Event Streams.

    `mint` gives each event its uid. Raises Malformed when the body cannot be read; the receiver
    checks before it records, so that happens to foreign or hand-made rows only.
    """
    if row.route in JSON_ROUTES:
        return [
            _event(row, route, fields, mint(), key) for route, fields, key in _streamed(row.body)
        ]
    fields = parse_form(row.body)
    return [_event(row, row.route, fields, mint(), identity(row.route, fields, row.tag))]


def _streamed(body: bytes) -> list[tuple[str, dict[str, str], str]]:
    found = []
    for item in read_stream(body):
        route, fields = streams.as_form(item)
        key = identity(route, fields) if route in FORM_ROUTES else ""
        found.append((route, fields, key or f"ce:{item.get('source', '')}:{item['id']}"))
    return found


def read_stream(body: bytes) -> list[streams.CloudEvent]:
    """The CloudEvents of an Event Streams body, one object or an array. Raises Malformed."""
    try:
        return streams.parse(body)
    except ValueError as error:
        raise Malformed(str(error)) from error


def _event(row: Row, route: str, fields: dict[str, str], uid: str, key: str) -> Event:
    get = fields.get
    received_at = from_iso(row.received_at)
    type_, status, subject = _meaning(route, fields)
    sender, recipient = get("From", ""), get("To", "")
    inbound = type_ == "message.received" or get("Direction") == "inbound"
    code = get("ErrorCode", "")
    error_code = int(code) if code.isdecimal() and len(code) < 10 else 0
    if route == "debugger":
        error_code = streams.debugger_code(fields) or error_code
    return Event(
        uid=uid,
        type=type_,
        at=_moment(get("Timestamp", "")) or received_at,
        received_at=received_at,
        trust=row.trust,
        source=row.source,
        account_sid=get("AccountSid", ""),
        subject_sid=subject,
        sender=sender,
        recipient=recipient,
        conversation=conversation_of(recipient, sender)
        if inbound
        else conversation_of(sender, recipient),
        status=status,
        error_code=error_code,
        error_class=error_class(error_code) if error_code else "",
        tag=row.tag,
        dedupe_key=key,
        fields=MappingProxyType(fields),
    )


def _meaning(route: str, fields: Fields) -> tuple[str, str, str]:
    """The event's type, status and subject."""
    get = fields.get
    if route == "message/status":
        status = (get("MessageStatus") or get("SmsStatus", "")).lower()
        if status not in ("received", "receiving"):
            return f"message.{status}", status, get("MessageSid", "")
        route = "message"
    if route == "message":
        return "message.received", "received", get("MessageSid", "")
    status = get("CallStatus", "").lower()
    if route == "call/status":
        if status:
            name = "answered" if status == "in-progress" else status
            return f"call.{name}", name, get("CallSid", "")
        if get("AnsweredBy"):
            return "call.machine", get("AnsweredBy", ""), get("CallSid", "")
        event = get("StatusCallbackEvent", "").lower()
        return f"conference.{event}", event, get("ConferenceSid", "")
    if route == "call":
        if status in ("ringing", "queued", "in-progress", "initiated"):
            return "call.received", status, get("CallSid", "")
        return f"call.{status}", status, get("CallSid", "")
    if route == "call/step":
        return f"call.{_step(fields)}", status, get("CallSid", "")
    if route == "recording":
        if get("TranscriptionSid"):
            return "call.transcribed", get("TranscriptionStatus", ""), get("TranscriptionSid", "")
        return "call.recorded", get("RecordingStatus", ""), get("RecordingSid", "")
    if route == "debugger":
        level = get("Level", "").lower()
        return f"debugger.{level}", level, streams.debugger_subject(fields) or get("Sid", "")
    return route, get("Status", ""), ""


def _step(fields: Fields) -> str:
    """Which verb of our own TwiML this request continues, by the fields that only it sends."""
    if "QueueResult" in fields:
        return "dequeued"
    if "DialCallStatus" in fields:
        return "dialed"
    if "TranscriptionSid" in fields:
        return "transcribed"
    if "RecordingUrl" in fields:
        return "recorded"
    if "QueuePosition" in fields:
        return "queued"
    if "Digits" in fields or "SpeechResult" in fields:
        return "gathered"
    return "continued"


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
