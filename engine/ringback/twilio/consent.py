"""Consent: which texts and which errors end or begin it, as Twilio treats them.

A keyword counts only as the whole message: "STOP 12345" is no STOP. With Advanced Opt-Out Twilio
says it itself in `OptOutType`. https://help.twilio.com/articles/223134027
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from ringback.events import Event
from ringback.keywords import opt_out_word
from ringback.twilio.streams import debugger_payload

OPTED_OUT = 21610
"""Twilio's refusal of a message to somebody who opted out of this sender."""
REFUSED = f"error {OPTED_OUT}"
"""The source of an opt-out that only a refusal showed."""

TELLING = frozenset({"OptOutType", "ErrorCode", "MessagingServiceSid"})
"""The fields beside the text that say something about consent."""

_STATES = {"STOP": "out", "START": "in"}


@dataclass(frozen=True, slots=True)
class Change:
    """What one event says about consent: this recipient is `out` or `in` with this sender."""

    sender: str
    recipient: str
    state: str
    source: str


def changes(event: Event) -> tuple[Change, ...]:
    """What an event says about consent: for our number in it and no other, but for those of the
    same messaging service, which Twilio treats as one."""
    if event.type == "message.received":
        state = _STATES.get(keyword(event.fields), "")
        if not state:
            return ()
        ours, theirs = event.recipient, event.sender
        source = f"text {event.fields.get('Body', '')!r}"[:80]
        service = event.fields.get("MessagingServiceSid", "")
    elif is_refusal(event):
        ours, service, theirs = _refused(event)
        state, source = "out", REFUSED
    else:
        return ()
    senders = {ours, service} - {""} if theirs else ()
    return tuple(Change(sender, theirs, state, source) for sender in senders)


def is_refusal(event: Event) -> bool:
    """Whether an event reports, in whatever form, that a text was refused for an opt-out: a status
    callback, one of Event Streams, the debugger's webhook."""
    reported = event.type.startswith(("message.", "debugger."))
    return event.error_code == OPTED_OUT and reported and event.type != "message.received"


def _refused(event: Event) -> tuple[str, str, str]:
    """Sender, messaging service and recipient of the text that was refused, as far as the event
    says. The debugger shows the request that asked for it."""
    fields: Mapping[str, str] = event.fields
    if event.type.startswith("debugger."):
        fields = _parameters(fields)
    return fields.get("From", ""), fields.get("MessagingServiceSid", ""), fields.get("To", "")


def _parameters(fields: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the request that a debugger webhook is about; empty when it has none."""
    found: Any = debugger_payload(fields)
    for name in ("webhook", "request", "parameters"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return dict(parse_qsl(found))
    if not isinstance(found, Mapping):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def keyword(fields: Mapping[str, str]) -> str:
    """`STOP`, `START`, `HELP`, or an empty text for any other message."""
    said = fields.get("OptOutType", "").strip().upper()
    if said in ("STOP", "START", "HELP"):
        return said
    return opt_out_word(fields.get("Body", ""))
