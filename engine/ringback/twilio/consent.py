"""Consent: which texts and which errors end or begin it, as Twilio treats them.

A keyword counts only as the whole message: "STOP 12345" is no STOP. With Advanced Opt-Out Twilio
says it itself in `OptOutType`. https://help.twilio.com/articles/223134027
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ringback.events import Event

STOP = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout",
     "opt out"}
)  # fmt: skip
START = frozenset({"start", "yes", "unstop"})
HELP = frozenset({"help", "info"})

OPTED_OUT = 21610
"""Twilio's refusal of a message to somebody who opted out of this sender."""


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
    elif event.error_code == OPTED_OUT and event.type.startswith("message."):
        ours, theirs, state = event.sender, event.recipient, "out"
        source = f"error {OPTED_OUT}"
    else:
        return ()
    senders = {ours, event.fields.get("MessagingServiceSid", "")} - {""}
    return tuple(Change(sender, theirs, state, source) for sender in senders)


def keyword(fields: Mapping[str, str]) -> str:
    """`STOP`, `START`, `HELP`, or an empty text for any other message."""
    said = fields.get("OptOutType", "").strip().upper()
    if said in ("STOP", "START", "HELP"):
        return said
    text = " ".join(fields.get("Body", "").lower().strip(" \t\r\n.!\"'").split())
    if text in STOP:
        return "STOP"
    if text in START:
        return "START"
    return "HELP" if text in HELP else ""
