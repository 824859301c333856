"""Voice verbs: the instructions for a call, as frozen data.

Each field says how it is written in TwiML and what rule files call it, so that one loop writes
every verb's TwiML, one fills it from the parameters of its step, and one names it in a test case.
A plugin adds a verb of its own with `register_verb`. https://www.twilio.com/docs/voice/twiml
"""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, get_args


@dataclass(frozen=True, slots=True)
class Twiml:
    """How a field of a verb is written in TwiML.

    `name` is Twilio's name for it, `place` where it stands: an `attribute` of the element, its
    `text`, a `noun` inside it of which exactly one is given (of a list one for each entry),
    `on_noun` an attribute of those, the `verbs` inside it, or `nowhere`. What equals the field's
    default is left out. `least` and `most` are the letters that a text may have,
    `choices` the only values that there are. An address (`url`) may be one of ours: when it is
    empty, it leads to the rule's next step, `always`, or when some rule wants the event `leads_to`;
    or to where recordings or conferences are reported, when the field that `reports` names is set.
    With `when` it does so only when that field is set. `beside` is an attribute, with its value,
    that goes along with it.
    """

    name: str = ""
    place: str = "attribute"
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()
    url: bool = False
    leads_to: str = ""
    reports: str = ""
    when: str = ""
    beside: tuple[str, str] = ("", "")


def twiml(name: str = "", place: str = "attribute", **facts: Any) -> dict[str, Any]:
    """The metadata of a verb's field. `word` is what rule files call it, if not by its name."""
    word = facts.pop("word", "")
    return {"twiml": Twiml(name, place, **facts), "word": word}


class VoiceVerb:
    """An instruction for a call: a frozen dataclass, called as Twilio's element.

    `verb` is its word in rule files and in the journal. A `prompt` may stand in a `Gather`; of the
    fields in `either` at least one is needed.
    """

    __slots__ = ()
    verb: ClassVar[str] = ""
    prompt: ClassVar[bool] = False
    either: ClassVar[tuple[str, ...]] = ()

    @property
    def leads(self) -> bool:
        """Whether it leads the caller on: to what stands behind it in a run when it has ended."""
        own: tuple[Field[Any], ...] = fields(self)  # type: ignore[arg-type]
        return any(how.metadata["twiml"].leads_to for how in own)


@dataclass(frozen=True, slots=True)
class Say(VoiceVerb):
    """Speak a text to the caller.

    https://www.twilio.com/docs/voice/twiml/say
    """

    verb: ClassVar[str] = "say"
    prompt: ClassVar[bool] = True
    text: str = field(metadata=twiml(place="text", most=4096))
    voice: str = field(default="", metadata=twiml("voice"))
    language: str = field(default="", metadata=twiml("language"))
    loop: int = field(default=1, metadata=twiml("loop"))


@dataclass(frozen=True, slots=True)
class Play(VoiceVerb):
    """Play an audio file, or tones when only `digits` is given."""

    verb: ClassVar[str] = "play"
    prompt: ClassVar[bool] = True
    either: ClassVar[tuple[str, ...]] = ("url", "digits")
    url: str = field(default="", metadata=twiml(place="text", url=True))
    loop: int = field(default=1, metadata=twiml("loop"))
    digits: str = field(default="", metadata=twiml("digits"))


@dataclass(frozen=True, slots=True)
class Pause(VoiceVerb):
    """Wait in silence for `length` seconds."""

    verb: ClassVar[str] = "pause"
    prompt: ClassVar[bool] = True
    length: int = field(default=1, metadata=twiml("length"))


@dataclass(frozen=True, slots=True)
class Enqueue(VoiceVerb):
    """Put the caller into the queue of this name, which is made on first use."""

    verb: ClassVar[str] = "enqueue"
    queue: str = field(metadata=twiml(place="text", least=1, most=64))
    wait_url: str = field(default="", metadata=twiml("waitUrl", url=True, leads_to="call.queued"))
    action: str = field(default="", metadata=twiml("action", url=True, leads_to="call.dequeued"))


@dataclass(frozen=True, slots=True)
class Gather(VoiceVerb):
    """Ask for keys or speech. `prompts` are Say, Play and Pause; `action` gets the answer.

    An empty `finish_on_key` means that no key ends it. Without an `action` Twilio would ask for the
    same document again, for ever.
    """

    verb: ClassVar[str] = "gather"
    action: str = field(default="", metadata=twiml("action", url=True, leads_to="always"))
    input: str = field(default="dtmf", metadata=twiml("input"))
    num_digits: int = field(default=0, metadata=twiml("numDigits", word="digits"))
    timeout: int = field(default=5, metadata=twiml("timeout"))
    finish_on_key: str = field(default="#", metadata=twiml("finishOnKey", word="finish_on"))
    language: str = field(default="", metadata=twiml("language"))
    hints: str = field(default="", metadata=twiml("hints"))
    prompts: tuple["Say | Play | Pause", ...] = field(default=(), metadata=twiml(place="verbs"))


@dataclass(frozen=True, slots=True)
class Record(VoiceVerb):
    """Record the caller. `max_length` and `timeout` (of silence) are in seconds."""

    verb: ClassVar[str] = "record"
    action: str = field(default="", metadata=twiml("action", url=True, leads_to="always"))
    max_length: int = field(default=3600, metadata=twiml("maxLength"))
    timeout: int = field(default=5, metadata=twiml("timeout"))
    finish_on_key: str = field(
        default="1234567890*#", metadata=twiml("finishOnKey", word="finish_on")
    )
    play_beep: bool = field(default=True, metadata=twiml("playBeep", word="beep"))
    transcribe: bool = field(default=False, metadata=twiml("transcribe"))
    transcribe_callback: str = field(
        default="", metadata=twiml("transcribeCallback", url=True, reports="transcribe")
    )


@dataclass(frozen=True, slots=True)
class Dial(VoiceVerb):
    """Connect the caller to a number (or `sip:…`, `client:…`), to the first of several `numbers`
    who picks up, or to the front of a queue or a conference.

    `in_turn` rings at one number after the other. When it `asks`, who picks up hears first what the
    run says at `whisper`. `record` records both sides, and reports to `recorded`; `record_all`
    records a conference, and reports to `recorded_all`. What happens in a conference is told to
    `told`. https://www.twilio.com/docs/voice/twiml/conference
    """

    verb: ClassVar[str] = "dial"
    number: str = field(default="", metadata=twiml("Number", "noun"))
    numbers: tuple[str, ...] = field(default=(), metadata=twiml("Number", "noun"))
    queue: str = field(default="", metadata=twiml("Queue", "noun"))
    conference: str = field(default="", metadata=twiml("Conference", "noun"))
    client: str = field(default="", metadata=twiml("Client", "noun"))
    caller_id: str = field(default="", metadata=twiml("callerId"))
    timeout: int = field(default=30, metadata=twiml("timeout"))
    action: str = field(default="", metadata=twiml("action", url=True, leads_to="call.dialed"))
    in_turn: bool = field(default=False, metadata=twiml("sequential"))
    record: str = field(
        default="",
        metadata=twiml("record", choices=("record-from-answer", "record-from-answer-dual")),
    )
    recorded: str = field(
        default="", metadata=twiml("recordingStatusCallback", url=True, reports="record")
    )
    record_all: str = field(
        default="", metadata=twiml("record", "on_noun", choices=("record-from-start",))
    )
    recorded_all: str = field(
        default="",
        metadata=twiml("recordingStatusCallback", "on_noun", url=True, reports="record_all"),
    )
    told: str = field(
        default="",
        metadata=twiml(
            "statusCallback", "on_noun", url=True, reports="conference",
            beside=("statusCallbackEvent", "start end join leave"),
        ),
    )  # fmt: skip
    asks: bool = field(default=False, metadata=twiml(place="nowhere"))
    whisper: str = field(
        default="", metadata=twiml("url", "on_noun", url=True, leads_to="always", when="asks")
    )


@dataclass(frozen=True, slots=True)
class Redirect(VoiceVerb):
    """Go on with the TwiML at another URL."""

    verb: ClassVar[str] = "redirect"
    url: str = field(metadata=twiml(place="text", least=1, url=True, leads_to="always"))


@dataclass(frozen=True, slots=True)
class Reject(VoiceVerb):
    """Do not answer the call. `reason` is `rejected` or `busy`. Only good as the first verb."""

    verb: ClassVar[str] = "reject"
    reason: str = field(default="rejected", metadata=twiml("reason", choices=("rejected", "busy")))


@dataclass(frozen=True, slots=True)
class Hangup(VoiceVerb):
    """End the call."""

    verb: ClassVar[str] = "hangup"


Verb = Say | Play | Pause | Enqueue | Gather | Record | Dial | Redirect | Reject | Hangup

OUR_VERBS: tuple[type[Any], ...] = get_args(Verb)
VERBS: dict[str, type[Any]] = {cls.verb: cls for cls in OUR_VERBS}
_SPELT: dict[type[Any], tuple[tuple["Field[Any]", Twiml], ...]] = {}


def register_verb(cls: type[VoiceVerb]) -> None:
    """Add a verb from outside, under its word. Raises ValueError for a word that we use ourselves.

    A plugin calls it in its module; at a reload the new class takes the place of the old one.
    """
    if not cls.verb or any(cls.verb == ours.verb for ours in OUR_VERBS):
        raise ValueError(f"{cls.__name__}: the word {cls.verb!r} is none, or Ringback's own")
    VERBS[cls.verb] = cls


def spelt(cls: type[Any]) -> tuple[tuple["Field[Any]", Twiml], ...]:
    """The fields of a verb's class, each with how it is written: as an attribute of the same name
    when its metadata does not say."""
    found = _SPELT.get(cls)
    if found is None:
        found = tuple(
            (item, item.metadata.get("twiml") or Twiml(item.name)) for item in fields(cls)
        )
        _SPELT[cls] = found
    return found


def word_of(item: "Field[Any]") -> str:
    """What rule files call a field of a verb or of an action."""
    word: str = item.metadata.get("word") or item.name
    return word


def verb_params(verb: Verb) -> dict[str, Any]:
    """A verb as plain data: its name under `verb`, and each field that differs from the default."""
    params: dict[str, Any] = {"verb": verb.verb}
    for item, how in spelt(type(verb)):
        value = getattr(verb, item.name)
        if how.place == "verbs":
            value = [verb_params(inner) for inner in value]
        elif isinstance(value, tuple):
            value = list(value)
        if value != item.default and value != []:
            params[item.name] = value
    return params


def verb_from_params(params: Mapping[str, Any]) -> Verb:
    """The verb that `verb_params` wrote. Raises ValueError for an unknown verb."""
    given = dict(params)
    name = given.pop("verb", None)
    cls = VERBS.get(str(name))
    if cls is None:
        raise ValueError(f"unknown voice verb {name!r}")
    for item, how in spelt(cls):
        if how.place == "verbs":
            given[item.name] = tuple(map(verb_from_params, given.get(item.name, ())))
        elif isinstance(given.get(item.name), list):
            given[item.name] = tuple(given[item.name])
    verb: Verb = cls(**given)
    return verb
