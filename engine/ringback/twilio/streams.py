"""Event Streams and debugger payloads: JSON, read as the form webhooks that they correspond to.

https://www.twilio.com/docs/events. A CloudEvent that says the same as a classic callback becomes
the same fields, so that it is recognised as the same fact when both are switched on.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CloudEvent = dict[str, Any]

_WORD = re.compile(r"[\x21-\x7e]{1,200}").fullmatch

LONGEST_SHOWN = 2000
"""So many letters are shown of what is no event; the log has all of it."""

_ACCOUNT = re.compile(r"AC[0-9a-f]{32}").fullmatch

_MESSAGE = "com.twilio.messaging.message."
_INBOUND = "com.twilio.messaging.inbound-message.received"
_CALL = "com.twilio.voice.status-callback.call."
_MACHINE = "com.twilio.voice.status-callback.amd.detected"
_OLD_VOICE = "com.twilio.voice.webhook.status-callback."
"""How events of calls began before 2024; old subscriptions still get them."""
_ERROR = "com.twilio.error-logs.error.logged"

_NAMES = {
    "numberOfSegments": "NumSegments",
    "machineDetectionAnsweredBy": "AnsweredBy",
}


@dataclass(frozen=True, slots=True)
class Misshapen:
    """An element of a body that is no event: its place from 1, why, and its JSON, cut."""

    place: int
    why: str
    text: str


def parse(body: bytes) -> list[CloudEvent | Misshapen]:
    """The CloudEvents of a body, which is one object or an array of them.

    A webhook that comes as a plain JSON object, such as that of a link click, may stand in place of
    one. Twilio sends a batch that is refused never again, or as a whole: so what is no event beside
    others that are is kept as `Misshapen`. Raises ValueError when nothing in it is an event, and
    for JSON that only Python reads (NaN) or that is nested without end.
    https://www.twilio.com/docs/events/event-delivery-and-duplication
    """
    try:
        data = json.loads(body.decode(), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    items = data if isinstance(data, list) else [data]
    if not items:
        raise ValueError("the body holds no event")
    found = [_element(place, item) for place, item in enumerate(items, 1)]
    first = found[0]
    if isinstance(first, Misshapen) and all(isinstance(each, Misshapen) for each in found):
        raise ValueError(first.why)
    return found


def _element(place: int, item: Any) -> CloudEvent | Misshapen:
    why = "" if isinstance(item, dict) else "the body is not a CloudEvent"
    if not why and not is_plain(item):
        bad = (name for name in ("id", "type") if not _is_word(item.get(name)))
        why = next((f"a CloudEvent has no usable {name}" for name in bad), "")
    return Misshapen(place, why, json.dumps(item)[:LONGEST_SHOWN]) if why else item


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD(value) is not None


def is_plain(item: CloudEvent) -> bool:
    """Whether this is a webhook with its fields in JSON, and no CloudEvent around them."""
    account = item.get("AccountSid") or item.get("account_sid")
    return "specversion" not in item and isinstance(account, str) and bool(_ACCOUNT(account))


def plain_fields(item: CloudEvent) -> dict[str, str]:
    """The fields of such a webhook, by the names that it gives them."""
    return {_text(name): _text(value) for name, value in item.items()}


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def as_form(item: CloudEvent) -> tuple[str, dict[str, str]]:
    """The form route that a CloudEvent corresponds to and its fields by their form names.

    A type that has no counterpart keeps its own name in place of the route.
    """
    kind: str = item["type"]
    raw = item.get("data")
    data: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
    if kind.startswith(_OLD_VOICE):
        kind = kind.replace(".webhook.", ".", 1)
    if kind.startswith(_CALL) or kind == _MACHINE:
        data = _of_request(data)
    fields = {_form_name(name): _text(data[name]) for name in data}
    fields.setdefault("Timestamp", _text(item.get("time", "")))
    if kind == _INBOUND:
        return "message", fields
    if kind.startswith(_MESSAGE):
        fields["MessageStatus"] = fields.get("MessageStatus", "").lower() or kind.removeprefix(
            _MESSAGE
        )
        return "message/status", fields
    if kind.startswith(_CALL):
        status = fields.get("CallStatus", "").lower().replace("_", "-")
        fields["CallStatus"] = status or kind.removeprefix(_CALL)
        return "call/status", fields
    if kind == _MACHINE:
        fields.pop("CallStatus", None)
        fields["AnsweredBy"] = fields.get("AnsweredBy", "").lower() or "unknown"
        return "call/status", fields
    if kind == _ERROR:
        fields["Level"] = fields.get("Level", "error").lower()
        fields.setdefault("Sid", item["id"])
        return "debugger", fields
    return kind, fields


def _of_request(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a status callback, as the event of a call shows its request.

    https://www.twilio.com/docs/events/event-types/voice/status-callback
    """
    request = data.get("request")
    parameters = request.get("parameters") if isinstance(request, dict) else None
    if not isinstance(parameters, dict) or not parameters:
        return data
    said = {"CallSid": data.get("sid", ""), "Timestamp": data.get("timestamp", "")}
    return said | parameters


def _form_name(name: str) -> str:
    """`messageSid` and `message_sid` are both used, by products of different age."""
    words = name.split("_") if "_" in name else (name,)
    return _NAMES.get(name) or _text("".join(word[:1].upper() + word[1:] for word in words))


def _text(value: object) -> str:
    if isinstance(value, str):
        # JSON can spell half a character, which no database takes.
        return value if value.isascii() else value.encode(errors="replace").decode()
    return "" if value is None else json.dumps(value)


def debugger_payload(fields: Mapping[str, str]) -> Mapping[str, Any]:
    """The JSON object inside a debugger webhook; empty when it cannot be read. Event Streams has no
    object around what is in it."""
    payload = _object(fields.get("Payload", ""))
    return payload or {"webhook": _object(fields.get("Webhook", ""))}


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def debugger_code(fields: Mapping[str, str]) -> int:
    """The error code that a debugger webhook reports; 0 when it names none."""
    code = str(debugger_payload(fields).get("error_code", ""))
    return int(code) if code.isdecimal() and len(code) < 10 else 0


def debugger_subject(fields: Mapping[str, str]) -> str:
    """The SID of the call or message that a debugger webhook is about; empty when none."""
    subject = debugger_payload(fields).get("resource_sid") or fields.get("ResourceSid", "")
    subject = subject or fields.get("CorrelationSid", "")
    return subject if isinstance(subject, str) else ""
