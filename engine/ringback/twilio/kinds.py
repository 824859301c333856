"""Kinds of webhooks: what a form is by its fields, and the event that it becomes.

An address in Twilio's console is easily swapped with another, and Twilio posts more kinds than
there are routes. So the fields decide, the route only where they leave it open. A kind without a
name here of its own is recorded as `<family>.<word>`, with the word as Twilio spells it, and the
rest as `webhook.other`: what Twilio signed is never refused for what it is.
https://www.twilio.com/docs/usage/webhooks
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from ringback.errors import Malformed
from ringback.twilio import streams

CALL_ROUTES = ("call", "call/step")
"""The routes on which what belongs to a call waits for TwiML."""

Fields = Mapping[str, str]


class Kind(NamedTuple):
    """What a form is: the type, the status and the SID of its event, and its identity. That is
    (SID, status) for what can happen once, and the whole form for what may happen again."""

    type: str
    status: str
    subject: str
    key: str


_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}").fullmatch
_STEP_OF = re.compile(r"/call/step/([a-z0-9-]{1,64})(?:[?#]|$)").search
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}").fullmatch
_INBOUND = ("received", "receiving")
_LIVE = ("queued", "initiated", "ringing", "in-progress")
_CALLBACK = "call-progress-events"
"""What Twilio says in `CallbackSource` of a status callback of a call."""
_REPORT = ("CallbackSource", "SequenceNumber", "Timestamp", "CallDuration")
"""What only a status callback of a call says."""

_FAMILIES = (
    ("conference", "StatusCallbackEvent", "ConferenceSid"),
    ("stream", "StreamEvent", "StreamSid"),
    ("transcription", "TranscriptionEvent", "TranscriptionSid"),
    ("siprec", "SiprecEvent", "SiprecSid"),
    ("relay", "SessionStatus", "SessionId"),
    ("conversation", "EventType", "ConversationSid"),
    ("chat", "EventType", "ChannelSid"),
    ("taskrouter", "EventType", "WorkspaceSid"),
    ("room", "StatusCallbackEvent", "RoomSid"),
    ("composition", "StatusCallbackEvent", "CompositionSid"),
    ("fax", "FaxStatus", "FaxSid"),
    ("link", "event_type", "sms_sid"),
)
"""Of each family: the field with the word for what happened, and that with what it happened to."""


def check_form(route: str, fields: Fields, tag: str = "") -> Kind:
    """What a form is, when it can be one of Twilio's. Raises Malformed, naming the field."""
    if not _SID(fields.get("AccountSid") or fields.get("account_sid", "")):
        raise Malformed("AccountSid is missing or not a SID")
    for name in ("MessageSid", "CallSid", *(("Sid",) if route == "debugger" else ())):
        value = fields.get(name)
        if value and not _SID(value):
            raise Malformed(f"{name} is not a SID")
    kind = form_kind(route, fields, tag)
    if kind.type.startswith("webhook.") and not any(map(_about, fields.items())):
        raise Malformed("there is no SID of what it is about")
    if not _WORD(kind.status or "none"):
        raise Malformed("the status is not a word")
    return kind


def _about(field: tuple[str, str]) -> bool:
    """Whether a field says what a form is about."""
    name, value = field
    return name not in ("AccountSid", "account_sid") and _SID(value) is not None


def form_kind(route: str, fields: Fields, tag: str = "") -> Kind:
    """What these fields are. `tag` is the nonce of a call step, which is in the signed URL."""
    get = fields.get
    sid = get("MessageSid") or get("SmsSid", "")
    if sid[:2] in ("SM", "MM") and (route[:7] == "message" or "CallSid" not in fields):
        return _message(route, fields, sid)
    if route == "call/step":
        type_, status, subject = _step(fields)
        return Kind(type_, status, subject, f"tw:{subject}:{route}/{tag}:{_digest(fields)}")
    return _named(fields) or _voice(route, fields) or _other(fields)


def _message(route: str, fields: Fields, sid: str) -> Kind:
    get = fields.get
    status = (get("MessageStatus") or get("SmsStatus", "")).lower()
    if status and status not in _INBOUND:
        return Kind(f"message.{status}", status, sid, f"st:{sid}:{status}:")
    if status or route == "message" or "Body" in fields or "NumMedia" in fields:
        return Kind("message.received", "received", sid, f"in:{sid}")
    return _other(fields)


def _named(fields: Fields) -> Kind | None:
    """A form that names its kind by a field of its own."""
    get = fields.get
    for family, word, subject in _FAMILIES:
        if word in fields and subject in fields:
            return _of_family(fields, family, get(word, ""), get(subject, ""))
    if "Level" in fields and "Sid" in fields:
        level = get("Level", "").lower()
        subject = streams.debugger_subject(fields) or get("Sid", "")
        return Kind(f"debugger.{level}", level, subject, f"dbg:{get('Sid', '')}")
    payment = _payment(fields)
    if payment:
        return _of_family(fields, "pay", payment, get("CallSid", ""))
    if "UnstableSpeechResult" in fields or "StableSpeechResult" in fields:
        return _of_family(fields, "gather", "partial", get("CallSid", ""))
    return None


def _payment(fields: Fields) -> str:
    """The result of a `<Pay>`, or what it is asking the caller for; empty for anything else.

    https://www.twilio.com/docs/voice/twiml/pay
    """
    asks = "For" in fields and "Attempt" in fields
    if "CallSid" in fields and (asks or not _OF_PAY.isdisjoint(fields)):
        return fields.get("Result") or fields.get("For") or "progress"
    return ""


_OF_PAY = frozenset({
    "PaymentMethod", "PaymentConnector", "PaymentToken", "PaymentConfirmationCode", "PayErrorCode",
    "PaymentCardNumber", "BankAccountNumber",
})  # fmt: skip
"""Fields that come with a `<Pay>` alone; which of them depends on what was asked and keyed."""


def _voice(route: str, fields: Fields) -> Kind | None:
    """What belongs to a call: its status, its recording, its transcript, or the call itself."""
    get = fields.get
    call = get("CallSid", "")
    if route == "recording" or "RecordingStatus" in fields or "TranscriptionStatus" in fields:
        recording = _recording(fields)
        if recording is not None:
            return recording
    status = get("CallStatus", "").lower()
    name = "answered" if status == "in-progress" else status
    if call and _asks(route, status, fields):
        return Kind("call.received", status, call, f"tw:{call}:call{_return(fields)}")
    if call and status:
        return Kind(f"call.{name}", name, call, f"cs:{call}:{name}:")
    if call and get("AnsweredBy"):
        return Kind("call.machine", get("AnsweredBy", ""), call, f"am:{call}:{get('AnsweredBy')}")
    return None


def _asks(route: str, status: str, fields: Fields) -> bool:
    """Whether a call asks what to do. The address of texts gets no report of calls; at the others
    only the first request of a call is told from one."""
    if route in ("call", "message"):
        return status in _LIVE and fields.get("CallbackSource") != _CALLBACK
    if status != "ringing" or any(name in fields for name in _REPORT):
        return False
    return fields.get("Direction", "").lower() == "inbound"


def waits(route: str, type_: str, fields: Fields) -> bool:
    """Whether the sender of a webhook waits for TwiML of a call: one that comes in, wherever it is
    posted, and all else that a live call brings to the routes of calls."""
    if type_ == "call.received":
        return route != "events"
    if route not in CALL_ROUTES or type_.startswith("message."):
        return False
    return "CallSid" in fields and fields.get("CallbackSource") != _CALLBACK


def misplaced(route: str, type_: str) -> str:
    """The route that a text or a call should have come to; empty when it did."""
    meant = {"message.received": "message", "call.received": "call"}.get(type_, route)
    return "" if meant == route or route == "events" else meant


def _return(fields: Fields) -> str:
    """What sets a caller who was sent here again, by a `<Redirect>` in the middle of a call, apart
    from the first request of the call; empty for that one, and for its repeats."""
    again = fields.get("CallStatus", "").lower() == "in-progress"
    inbound = fields.get("Direction", "").lower() == "inbound"
    return f":{_digest(fields)}" if again and inbound and not failed_document(fields) else ""


class Failed(NamedTuple):
    """Why Twilio asks the fallback address of a call: whether it had a document and could not use
    it, and the nonce of the step that the document was for, if it was for one."""

    unusable: bool
    step: str


def failed_document(fields: Fields) -> Failed | None:
    """Why a call is asked for once more; None for a request that says nothing of an error.

    Errors 112xx are those of the request itself: no answer has arrived.
    https://www.twilio.com/docs/usage/security/availability-reliability
    """
    code = fields.get("ErrorCode", "")
    if not code.isdecimal() or not code.strip("0"):
        return None
    step = _STEP_OF(fields.get("ErrorUrl", ""))
    return Failed(not (len(code) == 5 and code.startswith("112")), step[1] if step else "")


def _recording(fields: Fields) -> Kind | None:
    """https://www.twilio.com/docs/voice/api/recording#recording-status-callback: only what is
    completed is a recording. The older kinds of `<Record>` say no status."""
    get = fields.get
    transcript, recording = get("TranscriptionSid", ""), get("RecordingSid", "")
    if transcript:
        status = get("TranscriptionStatus", "").lower()
        type_ = "transcription.failed" if status == "failed" else "call.transcribed"
        return Kind(type_, status, transcript, f"tr:{transcript}:{status}")
    if not recording and "RecordingUrl" not in fields and "RecordingStatus" not in fields:
        return None
    status = get("RecordingStatus", "").lower()
    type_ = f"recording.{status}" if status not in ("", "completed") else "call.recorded"
    return Kind(type_, status, recording, f"rec:{recording or _digest(fields)}:{status}")


def _other(fields: Fields) -> Kind:
    """What nobody here knows, under the word that it has for itself if there is one."""
    get = fields.get
    subject = get("MessageSid") or get("CallSid") or get("Sid", "")
    word = get("EventType") or get("StatusCallbackEvent") or get("event_type", "")
    return _of_family(fields, "webhook", word, subject)


def _of_family(fields: Fields, family: str, word: str, subject: str) -> Kind:
    word = word if _WORD(word) else "other"
    return Kind(f"{family}.{word}", word, subject, f"{family}:{word}:{_digest(fields)}")


def _step(fields: Fields) -> tuple[str, str, str]:
    """Which verb of our own TwiML this request continues, by the fields that only it sends."""
    call, named = fields.get("CallSid", ""), _named(fields)
    if named is not None:
        return named.type, named.status, call
    name = next((name for name, mark in _STEPS if mark in fields), "continued")
    return f"call.{name}", fields.get("CallStatus", "").lower(), call


_STEPS = (
    ("dequeued", "QueueResult"), ("dialed", "DialCallStatus"), ("transcribed", "TranscriptionSid"),
    ("recorded", "RecordingUrl"), ("queued", "QueuePosition"), ("gathered", "Digits"),
    ("gathered", "SpeechResult"),
)  # fmt: skip
"""What follows which verb, and the field that tells."""


def _digest(fields: Fields) -> str:
    text = "\0".join(f"{name}\0{value}" for name, value in sorted(fields.items()))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
