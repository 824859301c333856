"""Consent: which texts and which errors end or begin it, as Twilio treats them.

A keyword counts only as the whole message: "STOP 12345" is no STOP, and on SMS only when it is an
everyday word such as "Cancel". With Advanced Opt-Out Twilio says it itself in `OptOutType`. https://help.twilio.com/articles/223134027
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from ringback.events import Event
from ringback.keywords import consent_word
from ringback.twilio.streams import debugger_payload

OPTED_OUT = 21610
"""Twilio's refusal of a message to somebody who opted out of this sender."""
BLOCKED = 63014
"""The report that somebody has blocked this sender on a channel such as WhatsApp, or left it there.
Whoever writes there again has ended that. https://www.twilio.com/docs/api/errors/63014"""
OPT_OUTS = frozenset({OPTED_OUT, 30630, BLOCKED})
"""The errors that say that this person has left this sender. A carrier's block (30004), a list of
litigants (30640), whom a channel does not serve (63032) and who takes no marketing (63033, 63050)
say something else."""

TELLING = frozenset({"OptOutType", "ErrorCode", "MessagingServiceSid"})
"""The fields beside the text that say something about consent."""

_STATES = {"STOP": "out", "START": "in"}


def tells_consent(event: Event) -> bool:
    """Whether an event is a text by which a person leaves or comes back."""
    return event.type == "message.received" and bool(changes(event))


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
        state = _STATES.get(consent_word(event.fields), "")
        if not state:
            return ()
        ours, theirs = event.recipient, event.sender
        source = f"text {event.fields.get('Body', '')!r}"[:80]
        service = event.fields.get("MessagingServiceSid", "")
    elif is_refusal(event):
        ours, service, theirs = _refused(event)
        state, source = "out", refusal(event.error_code)
    else:
        return ()
    senders = {ours, service} - {""} if theirs else ()
    return tuple(Change(sender, theirs, state, source) for sender in senders)


def is_refusal(event: Event) -> bool:
    """Whether an event reports, in whatever form, that a text was refused for an opt-out: a status
    callback, one of Event Streams, the debugger's webhook."""
    if event.error_code not in OPT_OUTS:
        return False
    reported = event.type.startswith(("message.", "debugger."))
    return reported and event.type != "message.received"


def refusal(code: int) -> str:
    """The source of an opt-out that only this error showed."""
    return f"error {code}"


def ends_block(event: Event) -> bool:
    """Whether an event shows that its sender has not blocked us, or no longer: they write to us on
    a channel where a block lets nobody write."""
    return event.type == "message.received" and ":" in event.sender


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
    alone = ((name, _alone(value)) for name, value in found.items())
    return {name: value for name, value in alone if isinstance(value, str)}


def _alone(value: Any) -> Any:
    """A value that may stand in a list of its own."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
