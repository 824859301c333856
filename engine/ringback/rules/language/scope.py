"""Scope of an evaluation: the event, the past, the clock, and what a run has received."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ringback.error_codes import AFFECTS, FAULTS, RETRIES
from ringback.events import Event, conversation_of, telephone
from ringback.rules.addresses import spelt
from ringback.rules.delivery_rates import DeliveryFacts
from ringback.rules.functions.choice_facts import ChoiceFacts
from ringback.rules.functions.no_deliveries import NoDeliveries
from ringback.rules.reactions import NONE, Reaction, parse, to_ours
from ringback.rules.timing.calendar import Hours

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = Event(uid="", type="", at=EPOCH, received_at=EPOCH, trust="", source="")


class Facts(DeliveryFacts, ChoiceFacts, Protocol):
    """What conditions and texts may ask about the past. The worker answers from its journal."""

    def message_count(self, conversation: str) -> int:
        """How many messages were received in this conversation, up to and with this event."""

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """When the other side last wrote before that moment."""

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """When we last wrote before that moment."""

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """How many events of a type there were in the last seconds; empty words mean any."""

    def remembered(self, conversation: str, name: str) -> str:
        """What a `remember` step kept, or their card says; empty when nothing."""

    def is_member(self, group: str, number: str) -> bool:
        """Whether whoever has this number is in a group."""

    def written(self, conversation: str) -> Sequence[tuple[str, bool]]:
        """Our last texts in this conversation, the newest first, and whether each had pictures."""

    def call_over(self, call_sid: str) -> bool:
        """Whether a call is known to have ended."""

    def of_shadow(self, rule: str) -> "Facts":
        """The past as this rule sees it, which is in shadow: with what it would have remembered."""


class NoFacts(NoDeliveries, ChoiceFacts):
    """The empty past: nobody wrote, nothing happened, nothing is remembered."""

    def message_count(self, conversation: str) -> int:
        """None."""
        return 0

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """Never."""
        return None

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """Never."""
        return None

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """None."""
        return 0

    def remembered(self, conversation: str, name: str) -> str:
        """Nothing."""
        return ""

    def is_member(self, group: str, number: str) -> bool:
        """No."""
        return False

    def written(self, conversation: str) -> Sequence[tuple[str, bool]]:
        """Nothing."""
        return ()

    def call_over(self, call_sid: str) -> bool:
        """No."""
        return False

    def of_shadow(self, rule: str) -> Facts:
        """The same."""
        return self


@dataclass(frozen=True, slots=True)
class Field:
    """One name that an expression may use: its CEL type, how to get it, what it means."""

    type: str
    get: Callable[[Any], Any]
    doc: str


def _channel(event: Event) -> str:
    prefix, colon, _ = event.theirs.partition(":")
    plain = "voice" if event.type.startswith("call.") else "sms"
    return prefix if colon else plain


def _quoted(word: str) -> str:
    return f"`{word}`"


_EVENT: dict[str, Field] = {
    "type": Field("string", lambda e: e.type, "what happened, such as `message.received`"),
    "at": Field("timestamp", lambda e: e.at, "when it happened, as far as Twilio says"),
    "received_at": Field("timestamp", lambda e: e.received_at, "when it was recorded here"),
    "from": Field("string", lambda e: e.sender, "the sender's address"),
    "to": Field("string", lambda e: e.recipient, "the recipient's address"),
    "body": Field(
        "string", lambda e: e.body,
        "the text of a message, the speech of a caller, what an incident says",
    ),
    "sid": Field("string", lambda e: e.subject_sid, "the SID of what this is about"),
    "call_sid": Field("string", lambda e: e.call_sid, "the SID of the call, empty without one"),
    "status": Field("string", lambda e: e.status, "the status, such as `delivered`"),
    "error_code": Field("int", lambda e: e.error_code, "Twilio's error code; 0 for none"),
    "error_class": Field("string", lambda e: e.error_class, "our class of that code"),
    "error.title": Field("string", lambda e: e.error.title, "what that code means"),
    "error.fault": Field(
        "string", lambda e: e.error.fault, "whose fault it is: " + ", ".join(map(_quoted, FAULTS))
    ),
    "error.affects": Field(
        "string", lambda e: e.error.affects,
        "what else fails of the same cause: " + ", ".join(map(_quoted, AFFECTS)),
    ),
    "error.retryable": Field(
        "string", lambda e: e.error.retryable,
        "whether the same again can help: " + ", ".join(map(_quoted, RETRIES)),
    ),
    "error.retry_after": Field(
        "int", lambda e: e.error.retry_after,
        "how many seconds to wait first; 0 when waiting alone does not help",
    ),
    "remedy": Field("string", lambda e: e.remedy, "what to do about the error, the first step"),
    "conversation": Field("string", lambda e: e.conversation, "our number and theirs"),
    "ours": Field("string", lambda e: e.ours, "our number in the conversation"),
    "theirs": Field("string", lambda e: e.theirs, "the other side's number"),
    "trust": Field("string", lambda e: e.trust, "`signed`, `confirmed`, `claimed`, `simulated`"),
    "source": Field("string", lambda e: e.source, "`webhook`, `repair`, `replay` or `internal`"),
    "digits": Field("string", lambda e: e.digits, "the keys that a caller pressed"),
    "account": Field("string", lambda e: e.account_sid, "the account's SID"),
    "channel": Field("string", _channel, "`sms`, `voice`, `whatsapp`, …"),
    "choice": Field(
        "string", lambda e: e.choice,
        "the id of the button or list entry that they pressed in WhatsApp or RCS; empty else",
    ),
    "media_count": Field("int", lambda e: e.media_count, "how many pictures or files came along"),
    "media": Field("list(string)", lambda e: list(e.media), "their URLs"),
    "uid": Field("string", lambda e: e.uid, "our id of the event"),
}  # fmt: skip

_EVENT |= {
    f"cause.{name}": Field("string", get, f"of an action's end: {doc}")
    for name, get, doc in (
        ("rule", lambda e: e.cause.rule, "the rule that asked for the action"),
        ("run", lambda e: e.cause.run, "its run"),
        ("action", lambda e: e.cause.action, "our id of the action"),
        ("uid", lambda e: e.cause.event, "our id of the event that the run began with"),
        ("type", lambda e: e.cause.type, "the type of that event"),
        ("from", lambda e: e.cause.sender, "who sent it: the person who caused it all"),
        ("to", lambda e: e.cause.recipient, "whom it was for"),
        ("ours", lambda e: e.cause.ours, "our number in its conversation"),
        ("theirs", lambda e: e.cause.theirs, "the other side's number in it"),
        ("body", lambda e: e.cause.body, "its text"),
    )
}

FIELDS: dict[str, Field] = {
    **{
        f"event.{name}": Field(field.type, lambda s, get=field.get: get(s.event), field.doc)  # type: ignore[misc]
        for name, field in _EVENT.items()
    },
    "event.reaction": Field(
        "string",
        lambda s: s.reaction(s.event).kind,
        "how a phone reacted to a text of ours: `like`, `love`, `dislike`, `laugh`, `emphasis`, "
        "`question`, `sticker`, an emoji, `removed`; empty for a text",
    ),
    "event.reaction_to": Field(
        "string", lambda s: s.reaction(s.event).text, "the text of ours that the phone reacted to"
    ),
    "contact.message_count": Field(
        "int", lambda s: s.message_count(), "how many texts they sent, this one included"
    ),
    "contact.last_inbound": Field(
        "timestamp", lambda s: s.last_inbound(), "when they wrote last before; 1970 when never"
    ),
    "contact.last_outbound": Field(
        "timestamp", lambda s: s.last_outbound(), "when we wrote last; 1970 when never"
    ),
    **{
        f"contact.{name}": Field("string", lambda s, name=name: s.remembered(name), doc)  # type: ignore[misc]
        for name, doc in (
            ("name", "their name, as it was remembered or imported; empty when it is not known"),
            ("zone", "their time zone, in the same way"),
            ("lang", "their language, in the same way"),
        )
    },
    "now": Field("timestamp", lambda s: s.now, "the moment of this evaluation"),
    "hook": Field("dyn", lambda s: s.event.hook, "the JSON of another system, or of a start"),
}
"""What a condition of a rule may name, by its full dotted name."""

RUN_FIELDS: dict[str, Field] = {
    **{
        f"reply.{name}": Field(
            field.type,
            lambda s, get=field.get: get(s.reply),  # type: ignore[misc]
            f"of the event that a step waited for: {field.doc}",
        )
        for name, field in _EVENT.items()
    },
    "reply.reaction": Field(
        "string",
        lambda s: s.reaction(s.reply).kind,
        "of the event that a step waited for: how a phone reacted to a text of ours",
    ),
    "reply.reaction_to": Field(
        "string",
        lambda s: s.reaction(s.reply).text,
        "of the event that a step waited for: the text of ours that the phone reacted to",
    ),
    "reply.hook": Field("dyn", lambda s: s.reply.hook, "the JSON of what a step waited for"),
    "vars": Field("map(string, string)", lambda s: s.vars, "what steps kept with `as`, by name"),
    "burst.texts": Field("list(string)", lambda s: list(s.burst), "the texts that were joined"),
    "burst.text": Field("string", lambda s: "\n".join(s.burst), "the same in one text, by lines"),
    "burst.count": Field("int", lambda s: len(s.burst) + s.unkept, "how many events were joined"),
}
"""What steps may name besides: all that a run has heard so far."""

_CURRENT: ContextVar["Scope"] = ContextVar("ringback_scope")


_WRITTEN = re.compile(r"\)(?:True|False)$")


class Scope:
    """One evaluation's view. Values are fetched on first use and kept while it lives.

    `kept` are values that steps of this run remembered (by conversation and name) and that the
    past does not know yet; an empty one was forgotten.
    """

    __slots__ = (
        "_values", "burst", "event", "facts", "kept", "named", "now", "place", "places", "reply",
        "turns", "unkept", "vars",
    )  # fmt: skip

    def __init__(
        self,
        event: Event,
        facts: Facts,
        *,
        now: datetime | None = None,
        places: Mapping[str, Hours] | None = None,
        reply: Event | None = None,
        names: Mapping[str, Any] | None = None,
        burst: Sequence[str] = (),
        kept: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.event = event
        self.facts = facts
        self.now = now or event.received_at
        self.places = places or {}
        self.reply = reply or NEVER
        self.named = dict(names or {})
        self.vars = {key: each for key, each in self.named.items() if isinstance(each, str)}
        self.burst = tuple(burst)
        self.unkept = 0
        """How many events were joined whose texts are not kept."""
        self.kept = kept or {}
        self.place, self.turns = "", dict[str, int]()
        """Where in a run this is: choices are made by it; and the turns of lists that it took."""
        self._values: dict[str, Any] = {}

    def enter(self) -> None:
        """Make this the scope that functions ask, in this thread or task."""
        _CURRENT.set(self)

    def once(self, key: str, get: Callable[["Scope"], Any]) -> Any:
        """A value, computed at its first use."""
        values = self._values
        if key in values:
            return values[key]
        value = get(self)
        # CEL would end a text at a NUL, and conditions would not see what is behind it.
        if isinstance(value, str) and "\0" in value:
            value = value.replace("\0", "\ufffd")
        values[key] = value
        return value

    def data(self, needs: Iterable[tuple[str, Callable[["Scope"], Any]]]) -> dict[str, Any]:
        """The same of several, each by its key."""
        values = self._values
        return {key: values[key] if key in values else self.once(key, get) for key, get in needs}

    def know(self, values: Mapping[str, Any]) -> None:
        """Take values, by their keys, that were computed elsewhere."""
        self._values.update(values)

    def seen(self) -> dict[str, Any]:
        """What was asked for so far: fields by their names, and calls by their text, without the
        word behind it that says how the call was written."""
        found = {key: value for key, value in self._values.items() if key[:1] != "#"}
        return {_WRITTEN.sub(")", key): value for key, value in found.items()}

    def hours(self, name: str) -> Hours:
        """The opening hours of this name. Raises ValueError when there are none."""
        try:
            return self.places[name]
        except KeyError:
            known = ", ".join(sorted(self.places)) or "none"
            raise ValueError(f"no hours are named {name!r} (known: {known})") from None

    def conversation_with(self, address: str) -> str:
        """The conversation of our number here and this address; the event's own for none."""
        if not address or address == self.event.theirs:
            return self.event.conversation
        return conversation_of(*spelt(self.event.ours, address))

    def remembered(self, name: str) -> str:
        """What is remembered about the contact, or was by a step whose run is not written yet."""
        place = (self.event.conversation, name)
        return self.kept[place] if place in self.kept else self.facts.remembered(*place)

    def is_member(self, group: str, address: str) -> bool:
        """Whether somebody is in a group, or was put into it by a step whose run is not written."""
        number = telephone(spelt(self.event.ours, address).recipient)
        place = (member_place(group), number)
        return bool(self.kept[place]) if place in self.kept else self.facts.is_member(group, number)

    def reaction(self, event: Event) -> Reaction:
        """The reaction to a text of ours that this event is, if it is one. What left through a
        messaging service is in a conversation of its own."""
        found = parse(event.body) if event.type == "message.received" else NONE
        if not found.kind:
            return NONE
        service = event.fields.get("MessagingServiceSid", "")
        places = [event.conversation, conversation_of(service, event.theirs) if service else ""]
        written = (text for place in places if place for text in self.facts.written(place))
        return to_ours(found, written)

    def message_count(self) -> int:
        """How many texts the contact sent."""
        count: int = self.once("#count", lambda s: s.facts.message_count(s.event.conversation))
        return count

    def last_inbound(self) -> datetime:
        """When the contact wrote last before this event."""
        last = self.once(
            "#in", lambda s: s.facts.last_inbound(s.event.conversation, s.event.received_at)
        )
        return last or EPOCH

    def last_outbound(self) -> datetime:
        """When we wrote to the contact last."""
        last = self.once("#out", lambda s: s.facts.last_outbound(s.event.conversation, s.now))
        return last or EPOCH


def member_place(group: str) -> str:
    """Under which word, among what a run keeps, its changes of a group stand."""
    return f"groups.{group}"


def current() -> Scope:
    """The scope of the evaluation that is running in this thread or task."""
    return _CURRENT.get()
