"""Actions: the effects in the world that rules and plugins ask for, as frozen data.

A rule or a plugin returns actions and performs nothing. The worker plans them, the gate looks at
them, the gateway carries them out. What is known about each kind stands in `action_kinds`; a field
that rule files call otherwise has their `word` in its metadata.
`to_params`, and `from_params` there, are the form in which the journal keeps an action.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ringback.events import Event
from ringback.verbs import Enqueue, Say, Verb, verb_params

POLICIES = ("checked", "at_most_once", "fast", "natural")
"""What may be done about a send whose answer got lost.

`checked` repeats only after evidence that the first did not happen, `at_most_once` never repeats,
`fast` looks for evidence after a shorter time, `natural` may simply be repeated."""

SEVERITIES = ("info", "warning", "error", "critical")
"""How grave a notice is, in rising order."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a text (SMS, MMS, WhatsApp) to one recipient.

    `sender` is our number; empty means the conversation's own or the configured default.
    `send_by` is how many seconds it stays good; 0 means the configured default. `in_reply_to`
    is the SID of the message that this one answers. `not_before` is the moment (UTC, ISO 8601) at
    which it leaves at the earliest, and `retries` says how many tries of the same text there have
    been: see `next_try`. `extra` holds further parameters of Twilio's
    create request by Twilio's names. https://www.twilio.com/docs/messaging/api/message-resource
    """

    kind: ClassVar[str] = "send_message"
    to: str
    body: str = ""
    sender: str = field(default="", metadata={"word": "from"})
    messaging_service_sid: str = field(default="", metadata={"word": "service"})
    media: tuple[str, ...] = ()
    in_reply_to: str = ""
    send_by: int = 0
    policy: str = "checked"
    extra: Mapping[str, str] = field(default_factory=dict)
    not_before: str = ""
    retries: int = 0


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Call somebody. What the callee hears is `verbs`, the TwiML at `url`, or what the run says
    that waits under `step`, a nonce, for whoever answers.

    `timeout` is how long to ring, in seconds. `detects` a `machine` asks Twilio who answers, with
    `message` also when the greeting of a machine is over. https://www.twilio.com/docs/voice/api/call-resource
    """

    kind: ClassVar[str] = "place_call"
    to: str
    verbs: tuple[Verb, ...] = ()
    url: str = ""
    sender: str = field(default="", metadata={"word": "from"})
    timeout: int = 60
    send_by: int = 0
    policy: str = "at_most_once"
    extra: Mapping[str, str] = field(default_factory=dict)
    step: str = ""
    detects: str = ""


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up a live call. A call that has ended already counts as done."""

    kind: ClassVar[str] = "end_call"
    call_sid: str = field(metadata={"word": "call"})
    policy: str = "natural"


@dataclass(frozen=True, slots=True)
class AnswerCall:
    """Tell a live call what to do: the answer that it waits for, or an update if it does not."""

    call_sid: str
    verbs: tuple[Verb, ...]
    policy: str = "at_most_once"
    KINDS: ClassVar[tuple[str, str]] = ("answer_call", "enqueue_call")

    @property
    def kind(self) -> str:
        """`enqueue_call` when the caller ends in a queue, `answer_call` otherwise."""
        return self.KINDS[any(isinstance(verb, Enqueue) for verb in self.verbs)]

    @property
    def leads(self) -> str:
        """The verb that leads the caller on: what stands behind it in a run means nothing once
        the call is over. Empty when nothing does."""
        return next((verb.verb for verb in self.verbs if verb.leads), "")


@dataclass(frozen=True, slots=True)
class DequeueCall:
    """Take a caller out of a queue: `call_sid` or `Front`, to go on with the TwiML at `url`."""

    kind: ClassVar[str] = "dequeue_call"
    queue_sid: str = field(metadata={"word": "queue"})
    url: str
    call_sid: str = field(default="Front", metadata={"word": "call"})
    policy: str = "at_most_once"


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a person or a machine. `via` is `log` or `webhook` (with `url`) or a configured channel.

    `key` groups notices about the same matter, so that a storm becomes one notice. `resolved` says
    that the matter is over: PagerDuty closes the incident of that key.
    """

    kind: ClassVar[str] = "notify"
    text: str
    via: str = "log"
    url: str = field(default="", metadata={"word": "webhook"})
    key: str = ""
    severity: str = "warning"
    resolved: bool = False
    policy: str = "natural"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Call a web service. Private addresses are refused, redirects are not followed.

    `answer` is where a run waits for what it answers (empty: nowhere), for `timeout` seconds in
    all; `retries` is how often it is asked again then, when nothing or a passing fault came back.
    `auth` names the credentials that the request gets when it leaves.
    """

    kind: ClassVar[str] = "http"
    url: str
    method: str = "POST"
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    policy: str = "natural"
    answer: str = ""
    timeout: float = 0.0
    retries: int = 0
    auth: str = ""


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a value about a contact; None as value forgets it."""

    kind: ClassVar[str] = "remember"
    conversation: str
    name: str
    value: str | None
    policy: str = "natural"


@dataclass(frozen=True, slots=True)
class SetMember:
    """Put somebody into a group, or take them out of it."""

    kind: ClassVar[str] = "set_member"
    group: str
    who: str
    member: bool = True
    policy: str = "natural"


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Text all of a group, each once: `rate` of them in a second, at most.

    `to` is `groups.NAME`; `sender` is our number, empty for the configured default. `key` is the
    id of the broadcast (`blk_…`); empty for one that follows from the action.
    """

    kind: ClassVar[str] = "broadcast"
    to: str
    body: str = ""
    rate: float = 10.0
    sender: str = field(default="", metadata={"word": "from"})
    media: tuple[str, ...] = ()
    key: str = ""
    policy: str = "natural"


@dataclass(frozen=True, slots=True)
class Stop:
    """End this event's evaluation: rules of lower priority do not run."""

    kind: ClassVar[str] = "stop"
    reason: str = ""
    policy: str = "natural"


Action = (
    SendMessage
    | PlaceCall
    | EndCall
    | AnswerCall
    | DequeueCall
    | Notify
    | HttpRequest
    | Remember
    | SetMember
    | Broadcast
    | Stop
)


def to_params(action: Action) -> dict[str, Any]:
    """An action as plain JSON data, without kind and policy, which have columns of their own."""
    cls = type(action)
    names = _PARAMS.get(cls)
    if names is None:
        names = tuple(item.name for item in fields(cls) if item.name != "policy")
        _PARAMS[cls] = names
    params: dict[str, Any] = {}
    for name in names:
        value = getattr(action, name)
        kind = type(value)
        if not value and name in _SELDOM:
            continue
        if kind is not str and kind is not int:  # these two are the most, and stay as they are
            if name == "verbs":
                value = [verb_params(verb) for verb in value]
            elif isinstance(value, tuple):
                value = list(value)
            elif kind is dict or isinstance(value, Mapping):
                value = dict(value)
        params[name] = value
    return params


_PARAMS: dict[type, tuple[str, ...]] = {}
_SELDOM = ("not_before", "retries", "answer", "timeout", "auth", "step", "detects")
"""What is written where it says something."""


def reply(event: Event, body: str, *, media: tuple[str, ...] = ()) -> SendMessage:
    """Answer the other side of this event's conversation, from the number that it used."""
    _expect(event, "theirs", "reply(event, text)", "to text a number, return send(number, text)")
    return SendMessage(
        to=event.theirs,
        sender=event.ours,
        body=body,
        media=media,
        in_reply_to=event.answered_sid,
    )


def send(to: str, body: str, *, sender: str = "", media: tuple[str, ...] = ()) -> SendMessage:
    """Text somebody, from `sender` or the configured default."""
    return SendMessage(to=to, body=body, sender=sender, media=media)


def call(
    to: str, *, say: str = "", url: str = "", sender: str = "", timeout: int = 60
) -> PlaceCall:
    """Call somebody and speak `say`, or run the TwiML at `url`. Raises ValueError with neither."""
    if not say and not url:
        raise ValueError("call needs say= (what to speak) or url= (TwiML to run)")
    verbs = (Say(say),) if say else ()
    return PlaceCall(to=to, verbs=verbs, url=url, sender=sender, timeout=timeout)


def end_call(call: Event | str) -> EndCall:
    """Hang up the call of this event, or of this SID."""
    return EndCall(call if isinstance(call, str) else _call_of(call, "end_call(event)"))


def answer(event: Event, *verbs: Verb) -> AnswerCall:
    """Answer the call of this event with these verbs, in order."""
    return AnswerCall(_call_of(event, "answer(event, *verbs)"), verbs)


def say(event: Event, text: str) -> AnswerCall:
    """Speak a text to the caller of this event."""
    return AnswerCall(_call_of(event, "say(event, text)"), (Say(text),))


def enqueue(event: Event, queue: str) -> AnswerCall:
    """Put the caller of this event into a queue."""
    return AnswerCall(_call_of(event, "enqueue(event, queue)"), (Enqueue(queue),))


def notify(
    text: str,
    *,
    via: str = "log",
    url: str = "",
    key: str = "",
    severity: str = "warning",
    resolved: bool = False,
) -> Notify:
    """Tell a person: in the log, by a webhook at `url`, or through a configured channel.

    `severity` is info, warning, error or critical; `resolved`: the matter of `key` is over.
    """
    return Notify(text=text, via=via, url=url, key=key, severity=severity, resolved=resolved)


def _expect(event: object, attribute: str, usage: str, instead: str) -> None:
    """Raise TypeError, with the mend, for a first argument that is no event."""
    if not hasattr(event, attribute):
        name = usage.partition("(")[0]
        raise TypeError(f"{usage}: {name} was given {event!r:.60} in place of the event; {instead}")


def _call_of(event: Event, usage: str) -> str:
    """The SID of the call that an event is about. Raises TypeError, or ValueError when it is about
    none."""
    _expect(event, "call_sid", usage, "to call a number, return call(number, say=text)")
    if not event.call_sid:
        raise ValueError(f"{usage}: {event.type} is about no call; listen to call.received")
    return event.call_sid
