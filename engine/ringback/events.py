"""Event: a fact from outside, one proven webhook or one resource fetched back. Immutable."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from ringback.error_codes import ErrorCode, explain_error
from ringback.json_data import JSON_FIELD, data_of

MESSAGE_STATUSES = (
    "accepted", "scheduled", "queued", "sending", "sent", "delivered", "undelivered", "failed",
    "read", "canceled", "partially_delivered",
)  # fmt: skip
CALL_STATUSES = (
    "initiated", "ringing", "answered", "completed", "busy", "no-answer", "failed", "canceled",
)  # fmt: skip

EVENT_TYPES: tuple[str, ...] = (
    "message.received",
    *(f"message.{status}" for status in MESSAGE_STATUSES),
    "call.received",
    *(f"call.{status}" for status in CALL_STATUSES),
    "call.gathered", "call.recorded", "call.transcribed", "call.queued", "call.dequeued",
    "call.dialed", "call.machine",
    "recording.in-progress", "recording.absent", "recording.failed",
    "debugger.error", "debugger.warning",
    "action.settled", "action.failed", "action.unknown", "action.refused",
    "broadcast.begun", "broadcast.ended",
    "timer.due", "rule.started",
    "incident.opened", "incident.updated", "incident.resolved",
    "watch.silent", "watch.stuck",
    "http.answered",
)  # fmt: skip
"""The types whose every name is known. An unknown status becomes an event of that name, never an
error."""

INCIDENT_KINDS = (
    "budget", "channel", "delivery", "disk", "drift", "duplicate", "held", "loop", "plugin",
    "repair", "sending", "silent", "worker",
)  # fmt: skip
"""The kinds of incidents, which their events have as `status`."""

FAMILIES = (
    "recording", "transcription", "conference", "stream", "siprec", "pay", "relay", "gather",
    "conversation", "chat", "taskrouter", "room", "composition", "fax", "link", "webhook",
)  # fmt: skip
"""Families of types of which Twilio has, or may have, more words than we name."""

HOOK = "hook"
"""The family of the events of other systems: `hook.shop` comes to the hook `shop`."""

STARTED = "rule.started"
"""The type of an event that starts one rule, which it names, by hand or by a program."""
RULE_FIELD = "Rule"
"""The field that names the rule which an event is for."""

NAMED = (
    "conference.conference-start", "conference.conference-end", "conference.participant-join",
    "conference.participant-leave", "conference.participant-mute",
    "conference.participant-unmute", "conference.participant-hold",
    "conference.participant-unhold", "conference.participant-modify",
    "conference.participant-speech-start", "conference.participant-speech-stop",
    "conference.announcement-end", "conference.announcement-fail",
    "stream.stream-started", "stream.stream-stopped", "stream.stream-error",
    "siprec.siprec-started", "siprec.siprec-stopped", "siprec.siprec-error",
    "transcription.transcription-started", "transcription.transcription-content",
    "transcription.transcription-stopped", "transcription.transcription-error",
    "transcription.failed", "recording.in-progress", "recording.absent", "recording.failed",
    "pay.success", "relay.ended", "link.click", "webhook.other",
    "conversation.onMessageAdded", "conversation.onConversationAdded",
)  # fmt: skip
"""Those of them that Twilio documents, to know a slip of the pen by: others are as good."""

ON_CALLS = frozenset(
    {"call", "recording", "transcription", "conference", "stream", "siprec", "pay", "relay"}
)
"""Families whose events are about a call."""

CLOUD_EVENTS = "com.twilio."
"""How the types of Event Streams begin that have no counterpart among the webhooks."""

ANSWERED = "http.answered"
"""The type that tells a waiting run of the answer to its web request, or that none came."""

CALL_OVER = ("call.completed", "call.busy", "call.failed", "call.no-answer", "call.canceled")
"""The types that tell of the end of a call."""

TRUST = ("claimed", "confirmed", "signed", "simulated")

DEEPEST = 5
"""So many of our own actions may cause each other in a row. What is deeper starts nothing."""

REPLAY = "replay"
"""The source of a copy of an older event."""

EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Cause:
    """What led to an action of ours that an event is about: the action, its run and rule (uids and
    name), and the event that the run began with: its uid, type, addresses and text. All is empty
    for an event that is about no action."""

    action: str = ""
    run: str = ""
    rule: str = ""
    event: str = ""
    type: str = ""
    sender: str = ""
    recipient: str = ""
    conversation: str = ""
    body: str = ""

    @property
    def from_(self) -> str:
        """Who sent that event: the person who caused it all."""
        return self.sender

    @property
    def to(self) -> str:
        """Whom that event was for."""
        return self.recipient

    @property
    def ours(self) -> str:
        """Our number in that event's conversation."""
        return sides(self.conversation, self.sender, self.recipient)[0]

    @property
    def theirs(self) -> str:
        """The other side's number in that event's conversation."""
        return sides(self.conversation, self.sender, self.recipient)[1]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `type` is one of `EVENT_TYPES` (or `message.<status>`, `call.<status>` of a status yet unknown).
    `at` is when it happened as far as Twilio says, `received_at` when we recorded it, both UTC.
    `trust` is `signed`, `confirmed`, `claimed` or `simulated`; `source` is `webhook`, `repair`,
    `replay` (a copy of an older event) or `internal`. `sender` and `recipient` are addresses as
    Twilio writes them (E.164, `whatsapp:+…`, `client:…`, a short code, a word); both are also there
    as `from_` and `to`. `conversation` is the pair (our number, their number). `fields` holds every
    parameter of the webhook as it came; unknown ones too. `error_code` is 0 when there is none,
    `error_class` is our class for it.
    `tag` is the secret of the attempt that caused this event, empty otherwise. `dedupe_key` is the
    identity from signed content: the same delivery twice has the same key. `depth` counts how many
    of our own actions stand between this event and the outside world's last word.
    """

    uid: str
    type: str
    at: datetime
    received_at: datetime
    trust: str = "signed"
    source: str = "webhook"
    account_sid: str = ""
    subject_sid: str = ""
    sender: str = ""
    recipient: str = ""
    conversation: str = ""
    status: str = ""
    error_code: int = 0
    error_class: str = ""
    tag: str = ""
    dedupe_key: str = ""
    depth: int = 0
    fields: Mapping[str, str] = field(default_factory=lambda: EMPTY)

    def __reduce__(self) -> tuple[Any, ...]:
        """Its values, for pickle: the read-only view of the fields has no form of its own there."""
        return event_of, (event_values(self),)

    @property
    def from_(self) -> str:
        """The sender's address."""
        return self.sender

    @property
    def to(self) -> str:
        """The recipient's address."""
        return self.recipient

    @property
    def sid(self) -> str:
        """The SID of the message, call, recording… that this event is about."""
        return self.subject_sid

    @property
    def answered_sid(self) -> str:
        """The SID of what a text answers; empty where only another system told of the person."""
        return "" if self.type.startswith(f"{HOOK}.") else self.subject_sid

    @property
    def body(self) -> str:
        """The text of a message, the speech of a gather, the transcript of a recording, what an
        incident or a watch tells; empty when there is none."""
        said = self.fields.get("Body", "") or self.fields.get("SpeechResult", "")
        said = said or self.fields.get("TranscriptionText", "")
        if not said and self.type.startswith(("incident.", "watch.")):
            return self.fields.get("Text", "")
        return said

    @property
    def choice(self) -> str:
        """The id of the button or list entry that was pressed; empty for what was typed.

        https://www.twilio.com/docs/whatsapp/buttons"""
        return self.fields.get("ButtonPayload", "") or self.fields.get("ListId", "")

    @property
    def error(self) -> ErrorCode:
        """What Twilio's catalogue of errors says of the code: title, fault, steps, use of a retry.
        All of it is empty where there is no error."""
        return explain_error(self.error_code)

    @property
    def remedy(self) -> str:
        """What to do about the error, the first step; empty where there is none."""
        return self.error.remedy

    @property
    def cause(self) -> Cause:
        """What led to the action that an `action.*` or `watch.stuck` is about."""
        given = {name: self.fields.get(key, "") for name, key in _CAUSE.items()}
        return Cause(**given)

    @property
    def hook(self) -> Any:
        """The JSON of another system, or of a start, read anew; an empty object where none came."""
        return data_of(self.fields.get(JSON_FIELD, ""))

    @property
    def digits(self) -> str:
        """The keys that a caller pressed."""
        return self.fields.get("Digits", "")

    @property
    def call_sid(self) -> str:
        """The call that this event belongs to, empty when it is not about a call."""
        return self.fields.get("CallSid", "")

    @property
    def media(self) -> tuple[str, ...]:
        """The URLs of the media that came with a message. They are never fetched by themselves."""
        fields = self.fields
        urls = (fields.get(f"MediaUrl{index}", "") for index in range(self.media_count))
        return tuple(url for url in urls if url)

    @property
    def media_count(self) -> int:
        """How many media came with a message. Event Streams tells no URLs of them."""
        count = self.fields.get("NumMedia", "0")
        return min(int(count), 20) if count.isdecimal() else 0

    @property
    def ours(self) -> str:
        """Our number in this conversation, as this event writes it."""
        return sides(self.conversation, self.sender, self.recipient)[0]

    @property
    def theirs(self) -> str:
        """The other side's number in this conversation, as this event writes it."""
        return sides(self.conversation, self.sender, self.recipient)[1]


_CAUSE = {
    "action": "ActionUid", "run": "CauseRun", "rule": "Rule", "event": "CauseEvent",
    "type": "CauseType", "sender": "CauseFrom", "recipient": "CauseTo",
    "conversation": "CauseConversation", "body": "CauseBody",
}  # fmt: skip


def cause_fields(action: str, rule: str, run: str, event: Event | None) -> dict[str, str]:
    """The fields of an event about an action, from which its `cause` is read again. `event` is the
    one that the run began with, None when it is not kept."""
    fields = {"ActionUid": action, "Rule": rule, "CauseRun": run}
    if event is not None:
        fields |= {
            "CauseEvent": event.uid, "CauseType": event.type, "CauseFrom": event.sender,
            "CauseTo": event.recipient, "CauseConversation": event.conversation,
            "CauseBody": event.body,
        }  # fmt: skip
    return fields


_PLAIN = attrgetter(
    "uid", "type", "trust", "source", "account_sid", "subject_sid", "sender", "recipient",
    "conversation", "status", "error_code", "error_class", "tag", "dedupe_key", "depth",
)  # fmt: skip


def event_values(event: Event) -> tuple[Any, ...]:
    """All of an event as plain values, to be sent to another process. A moment as a number takes a
    twentieth of the time."""
    given = event.fields  # mostly a read-only view, which has a quick copy of its own
    own = given.copy() if isinstance(given, MappingProxyType) else dict(given)
    return _number(event.at), _number(event.received_at), own, *_PLAIN(event)


def event_of(values: Sequence[Any]) -> Event:
    """The event of which `event_values` made these."""
    at, received_at, given, uid, type_, *plain = values
    moments = _moment(at), _moment(received_at)
    make: Callable[..., Event] = Event
    return make(uid, type_, *moments, *plain, MappingProxyType(given))


def _number(moment: datetime) -> float | datetime:
    """A moment in UTC as seconds since the epoch, where a number is exact to the microsecond."""
    seconds = moment.timestamp() if moment.tzinfo is UTC else _EXACT
    return seconds if -_EXACT < seconds < _EXACT else moment


_EXACT = 2.0**32


def _moment(value: float | datetime) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)


def conversation_of(ours: str, theirs: str) -> str:
    """The key of everything per-contact: our address and theirs, which carry the channel, each in
    the one spelling that `person` gives."""
    return f"{person(ours)}/{person(theirs)}" if ours or theirs else ""


def sides(conversation: str, *written: str) -> tuple[str, str]:
    """Our address and theirs in a conversation, in the spelling of those that were `written`."""
    ours, _, theirs = conversation.partition("/")
    if "+5" not in conversation and "+229" not in conversation:
        return ours, theirs
    as_written = {person(address): address for address in written if address}
    return as_written.get(ours, ours), as_written.get(theirs, theirs)


_TWO_SPELLINGS = (
    (r"\+52", "1", r"[2-9]\d{9}", False),  # Mexico, which gave it up in 2019
    (r"\+54", "9", r"[1-8]\d{9}", True),  # Argentina
    (r"\+55[1-9][1-9]", "9", r"[6-9]\d{7}", True),  # Brazil, behind the area
    (r"\+229", "01", r"\d{8}", True),  # Benin, which added it in 2024
)
_SPELT = tuple(
    (re.compile(rf"((?:whatsapp:)?{head})({mark})?({rest})").fullmatch, mark, marked)
    for head, mark, rest, marked in _TWO_SPELLINGS
)
_COUNTRIES = tuple(
    channel + code for code in ("+52", "+54", "+55", "+229") for channel in ("", "whatsapp:")
)


def spellings(address: str) -> tuple[str, ...]:
    """The ways in which a person's address may be written, that of their country first.

    Mobile numbers of some countries have digits that one network writes and another leaves away,
    WhatsApp above all: `+52 55 1234 5678` is also `+52 1 55 1234 5678`, `+54 9 11 2345 6789` also
    `+54 11 2345 6789`. Behind them is one telephone. https://faq.whatsapp.com/1294841057948784
    """
    if address.startswith(_COUNTRIES):
        for match, mark, marked in _SPELT:
            if found := match(address):
                head, _, rest = found.groups()
                both = (f"{head}{mark}{rest}", f"{head}{rest}")
                return both if marked else both[::-1]
    return (address,)


def person(address: str) -> str:
    """The one spelling under which everything about a person is kept; an address that has only one
    is its own. It is a key: what is sent goes to the address that was written."""
    return spellings(address)[0] if address.startswith(_COUNTRIES) else address


def telephone(address: str) -> str:
    """The number of whoever has this address, on whatever channel, in its one spelling; an address
    without a number is its own. What is known of a person, and their groups, go by it."""
    _, _, number = address.rpartition(":")
    return person(number) if number.startswith("+") else address


def matches_type(pattern: str, type_: str) -> bool:
    """Whether an event type fits what a rule wrote after `on`: the type itself, or `message.*`."""
    if pattern.endswith(".*"):
        return type_.startswith(pattern[:-1])
    return pattern == type_


def known_type(pattern: str) -> bool:
    """Whether a type, or a pattern like `message.*`, may name an event."""
    family, dot, word = pattern.partition(".")
    if pattern.startswith(CLOUD_EVENTS) or (family in (*FAMILIES, HOOK) and dot):
        return bool(word) and not pattern.endswith(".")
    return any(matches_type(pattern, type_) for type_ in EVENT_TYPES)
