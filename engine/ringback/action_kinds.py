"""Action kinds: one row of facts for each kind of action, and what is read from it.

Whatever depends on the kind of an action alone stands in its `ActionKind`: the planner, the gate,
the rates, the request's callback, the verdicts and the trace read it here. Our own kinds are in
`OURS`; a plugin adds one of its own with `register_kind`, and the function that builds its request
with `ringback.twilio.rest.build.register`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeGuard

from ringback.actions import (
    Action,
    AnswerCall,
    Broadcast,
    DequeueCall,
    EndCall,
    HttpRequest,
    Notify,
    PlaceCall,
    Remember,
    SendMessage,
    SetMember,
    Stop,
)
from ringback.errors import UsageError
from ringback.outcomes import EFFECTS
from ringback.verbs import verb_from_params

HOUR = 3600
LIVE = 30
"""For how many seconds an update of a live call is worth anything."""


class Outgoing(Protocol):
    """What every action with an effect says: to whom, from whom, and for how long it is good.

    `sender` is empty for the configured one, `send_by` 0 for the lifetime of its kind.
    """

    @property
    def kind(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def send_by(self) -> int: ...


class OutgoingMessage(Outgoing, Protocol):
    """What every action with the effect `message` says besides; see `SendMessage`."""

    @property
    def body(self) -> str: ...
    @property
    def media(self) -> tuple[str, ...]: ...
    @property
    def messaging_service_sid(self) -> str: ...
    @property
    def in_reply_to(self) -> str: ...
    @property
    def extra(self) -> Mapping[str, str]: ...


_NEEDED = {
    "": ("policy",),
    "call": ("policy", "to", "sender", "send_by"),
    "message": (
        *("policy", "to", "sender", "send_by", "body", "media", "messaging_service_sid"),
        *("in_reply_to", "extra"),
    ),
}


@dataclass(frozen=True, slots=True)
class ActionKind:
    """The facts about one kind of action.

    `name` is what the journal calls it, `cls` the frozen dataclass of such actions.

    `effect` is `message` or `call` when its request makes such a record at Twilio (see
    `ringback.outcomes`); status callbacks then lead to its outcome. `resource` is the collection
    that its request goes to, as limits and breakers name it (`messages`); empty when it is not
    carried out by Twilio. `lifetime` says for how many seconds it stays good.

    `whom` is the field that says whom it is for; without one the event may have nobody on the other
    side. `identity` are the fields and `extra` parameters that tell one from others, besides
    sender and recipient; what a record does not show, as a template, makes it incomparable.

    `done` is the reason that a settled one without an effect has. `at_once`, when it is not empty,
    says the same of one that is settled as soon as it is planned. `already_done` says it of one
    for a call that has ended, for which Twilio's refusal (21220) counts as done. `step` is the
    word of rule files that makes one, `trace` its line in `ringback trace`: names of fields in
    braces.
    """

    name: str
    cls: type[Any]
    effect: str = ""
    resource: str = ""
    lifetime: int = 24 * HOUR
    whom: str = ""
    identity: tuple[str, ...] = ()
    done: str = "done"
    at_once: str = ""
    already_done: str = ""
    step: str = ""
    trace: str = ""

    @property
    def sid_prefixes(self) -> tuple[str, ...]:
        """How the SID of the record begins that its request makes; empty when it makes none."""
        return EFFECTS[self.effect].sid_prefixes if self.effect else ()


OURS = (
    ActionKind(
        "send_message", SendMessage, "message", "messages", 4 * HOUR, whom="to",
        identity=("body", "media", "ContentSid", "ContentVariables"),
        step="send", trace="to {to}: {body}",
    ),
    ActionKind(
        "place_call", PlaceCall, "call", "calls", HOUR, whom="to", step="call",
        trace="to {to}: {verbs}{url}",
    ),
    ActionKind(
        "end_call", EndCall, "", "calls", LIVE, done="the call is ended",
        already_done="the call had ended already", step="end_call", trace="{call_sid}",
    ),
    ActionKind(
        "answer_call", AnswerCall, "", "calls", LIVE, done="the call got its instructions",
        trace="{verbs}",
    ),
    ActionKind(
        "enqueue_call", AnswerCall, "", "calls", LIVE, done="the call was sent to the queue",
        trace="{verbs}",
    ),
    ActionKind(
        "dequeue_call", DequeueCall, "", "queues", done="the caller was taken out of the queue",
        step="dequeue", trace="{queue_sid}",
    ),
    ActionKind("notify", Notify, step="notify", trace="{via}: {text}"),
    ActionKind("http", HttpRequest, step="http", trace="{method} {url}"),
    ActionKind(
        "remember", Remember, whom="conversation", at_once="noted", step="remember",
        trace="{name} = “{value}”",
    ),
    ActionKind(
        "set_member", SetMember, whom="who", at_once="noted", step="join",
        trace="{group}: {who} is a member: {member}",
    ),
    ActionKind(
        "broadcast", Broadcast, at_once="begun", step="broadcast", trace="to {to}: {body}",
    ),
    ActionKind("stop", Stop, step="stop", trace="{reason}"),
)  # fmt: skip

_KINDS = {kind.name: kind for kind in OURS}
_CLASSES: tuple[type[Any], ...] = tuple({kind.cls for kind in OURS})


def register_kind(kind: ActionKind) -> None:
    """Add a kind of action from outside. Raises ValueError for one that cannot work.

    A plugin calls it in its module, which is read again at each reload: a kind of the same name
    replaces the one before, except one of `OURS`.
    """
    global _CLASSES
    if any(kind.name == ours.name for ours in OURS):
        raise ValueError(f"the action kind {kind.name!r} is Ringback's own; choose another name")
    if kind.effect and kind.effect not in EFFECTS:
        known = " or ".join(EFFECTS)
        raise ValueError(f"{kind.name}: unknown effect {kind.effect!r}; it is {known}, or empty")
    if kind.effect and not kind.resource:
        raise ValueError(f"{kind.name}: an effect needs the resource that its request goes to")
    has = {field.name for field in fields(kind.cls)}
    lacks = [name for name in _NEEDED[kind.effect] if name not in has]
    if lacks:
        raise ValueError(f"{kind.name}: {kind.cls.__name__} lacks the field {', '.join(lacks)}")
    if getattr(kind.cls, "kind", "") != kind.name:
        raise ValueError(f"{kind.name}: {kind.cls.__name__} needs `kind = {kind.name!r}`")
    _KINDS[kind.name] = kind
    _CLASSES = tuple({each.cls for each in _KINDS.values()})


def kinds() -> tuple[ActionKind, ...]:
    """Every kind that is known: ours, then those from outside."""
    return tuple(_KINDS.values())


def kind_named(name: str) -> ActionKind:
    """The kind of this name. Raises UsageError for one that is not known."""
    kind = _KINDS.get(name)
    if kind is None:
        raise UsageError(f"unknown action kind {name!r}: is the plugin there that brings it?")
    return kind


def known_kind(name: str) -> ActionKind | None:
    """The kind of this name; None when the plugin that brings it is not loaded here."""
    return _KINDS.get(name)


def kind_of(action: Action | Outgoing) -> ActionKind:
    """The kind of an action. Raises UsageError when it was not registered."""
    return kind_named(action.kind)


def is_action(value: object) -> TypeGuard[Action]:
    """Whether a value is an action, of a kind of ours or of one from outside."""
    return isinstance(value, _CLASSES)


def is_outgoing(action: object) -> TypeGuard[Outgoing]:
    """Whether an action makes a message or a call."""
    kind = _KINDS.get(getattr(action, "kind", ""))
    return kind is not None and bool(kind.effect)


def is_message(action: object) -> TypeGuard[OutgoingMessage]:
    """Whether an action makes a message."""
    kind = _KINDS.get(getattr(action, "kind", ""))
    return kind is not None and kind.effect == "message"


def is_elsewhere(action: object) -> bool:
    """Whether an action asks something of others than Twilio: a notice, a request to a machine."""
    kind = _KINDS.get(getattr(action, "kind", ""))
    return kind is not None and not kind.resource and not kind.at_once and kind.cls is not Stop


def sender_of(action: Outgoing, default: str) -> str:
    """Which number, or which messaging service, an action goes out from."""
    service: str = getattr(action, "messaging_service_sid", "")
    return service or action.sender or default


def lifetime(action: Action) -> int:
    """For how many seconds an action stays good: as its author said, else as its kind does."""
    if isinstance(action, HttpRequest) and action.answer:
        return math.ceil(action.timeout)
    said = action.send_by if is_outgoing(action) else 0
    return said or kind_of(action).lifetime


def has_other_side(action: Action) -> bool:
    """Whether an action for somebody says for whom; an event such as a timer's has nobody."""
    whom = kind_of(action).whom
    return not whom or bool(getattr(action, whom))


DRAFTED = "drafted"
"""Among the parameters of a text: what it said before a person changed it and said yes."""


def from_params(kind: str, params: Mapping[str, Any], policy: str = "") -> Action:
    """The action that `to_params` wrote. Raises UsageError for an unknown kind or field."""
    cls = kind_named(kind).cls
    given = {name: tuple(v) if type(v) is list else v for name, v in params.items()}
    given.pop(DRAFTED, None)
    if "verbs" in given:
        given["verbs"] = tuple(map(verb_from_params, given["verbs"]))
    if policy:
        given["policy"] = policy
    try:
        action: Action = cls(**given)
    except TypeError as error:
        raise UsageError(f"{kind}: {error}") from None
    return action
