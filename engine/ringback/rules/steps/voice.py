"""Steps that a caller hears. Those between two waits become one answer, in their order."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ringback.actions import Action
from ringback.events import Event
from ringback.rules.steps.base import (
    Branches,
    MaybeWord,
    One,
    Seconds,
    StepModel,
    Steps,
    Text,
    Texts,
    Url,
    one_of,
)
from ringback.verbs import (
    Dial,
    Enqueue,
    Gather,
    Hangup,
    Pause,
    Play,
    Record,
    Redirect,
    Reject,
    Say,
    Verb,
    spelt,
    word_of,
)

Times = Annotated[int, Field(ge=0, le=100)]
MOST_NUMBERS = 10
"""Twilio rings so many at most: https://www.twilio.com/docs/voice/twiml/dial"""
_KEYS = re.compile(r"[0-9*#]+").fullmatch


class VoiceModel(StepModel):
    """A step that needs a call. Its parameters are those fields of its `verb` that it names."""

    needs: ClassVar[str] = "call"
    in_call: ClassVar[bool] = True
    verb: ClassVar[type[Any]]

    @classmethod
    def plan(cls, event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The verb, filled from the parameters that have the words of its fields."""
        return (spoken(cls.verb, given),)


def spoken(verb: type[Any], given: Mapping[str, Any], **more: Any) -> Any:
    """A verb filled from a step's parameters, and from `more` by its own names. A span is a whole
    number of seconds, at least one."""
    words = {item.name: word_of(item) for item, _ in spelt(verb)}
    values = {name: given[word] for name, word in words.items() if word in given} | more
    return verb(**{
        name: max(1, int(value)) if isinstance(value, float) else value
        for name, value in values.items()
    })  # fmt: skip


class SayStep(VoiceModel):
    """Speak a text."""

    step: ClassVar[str] = "say"
    verb: ClassVar[type[Any]] = Say
    plain: ClassVar[str] = "text"
    example: ClassVar[str] = "- say: Thanks for calling."

    text: Text = Field(min_length=1)
    voice: One = ""
    language: One = ""
    loop: Times = 1


class PlayStep(VoiceModel):
    """Play an audio file, or tones (`digits`)."""

    step: ClassVar[str] = "play"
    verb: ClassVar[type[Any]] = Play
    plain: ClassVar[str] = "url"
    example: ClassVar[str] = "- play: https://example.org/welcome.mp3"

    url: Url = ""
    loop: Times = 1
    digits: One = ""

    def wrong(self) -> tuple[str, str]:
        """Nothing to play."""
        message = one_of(self, "url", "digits")
        return ("url", message) if message else ("", "")


class PauseStep(VoiceModel):
    """Wait in silence, in seconds, while the call goes on: `wait` lets go of the call."""

    step: ClassVar[str] = "pause"
    verb: ClassVar[type[Any]] = Pause
    plain: ClassVar[str] = "length"
    example: ClassVar[str] = "- pause: 2s"

    length: Seconds = 1.0


class EnqueueStep(VoiceModel):
    """Put the caller into the queue of this name, which is made on first use."""

    step: ClassVar[str] = "enqueue"
    verb: ClassVar[type[Any]] = Enqueue
    plain: ClassVar[str] = "queue"
    example: ClassVar[str] = "- enqueue: support"

    queue: One = Field(min_length=1)
    wait_url: Url = ""


class RedirectStep(VoiceModel):
    """Go on with the TwiML at another address."""

    step: ClassVar[str] = "redirect"
    verb: ClassVar[type[Any]] = Redirect
    plain: ClassVar[str] = "url"
    example: ClassVar[str] = "- redirect: https://example.org/menu.xml"

    url: Url = Field(min_length=1)


class RejectStep(VoiceModel):
    """Do not answer the call: it costs nothing. `rejected` or `busy`."""

    step: ClassVar[str] = "reject"
    verb: ClassVar[type[Any]] = Reject
    in_call: ClassVar[bool] = False
    plain: ClassVar[str] = "reason"
    example: ClassVar[str] = "- reject: busy"

    reason: Literal["rejected", "busy"] = "rejected"


class HangupStep(VoiceModel):
    """End the call."""

    step: ClassVar[str] = "hangup"
    verb: ClassVar[type[Any]] = Hangup
    example: ClassVar[str] = "- hangup"


class GatherStep(VoiceModel):
    """Ask for keys or speech and wait for the answer, which is then `reply.digits` or `reply.body`.

    `choices` has the steps for each answer, `else` those for any other and for none. With `again`
    or `tries` the question is put once more before that, up to `tries` times in all.
    """

    step: ClassVar[str] = "gather"
    verb: ClassVar[type[Any]] = Gather
    in_call: ClassVar[bool] = False
    plain: ClassVar[str] = "say"
    example: ClassVar[str] = (
        "- gather: {say: 'Press 1 for sales.', digits: 1, choices: {'1': [{enqueue: sales}]}}"
    )

    say: Text = ""
    play: One = ""
    digits: Annotated[int, Field(ge=0, le=100)] = 0
    input: Literal["digits", "speech", "both"] = "digits"
    timeout: Seconds = 5.0
    finish_on: One = "#"
    language: One = ""
    hints: Text = ""
    again: Text = ""
    tries: Annotated[int, Field(ge=1, le=10)] = 0
    as_: MaybeWord = Field("", alias="as")
    choices: Branches = Field(default_factory=dict)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """A choice that no caller can make."""
        for choice in self.choices:
            if why := self._unheard(choice):
                return "choices", f"{choice!r} {why}"
        return "", ""

    def _unheard(self, choice: str) -> str:
        if choice == "else":
            return "is nothing that a caller chooses: write `else` beside `choices`"
        if self.input != "digits":
            return ""
        if not _KEYS(choice):
            return "has no keys of a telephone; with `input: both` it can be said"
        if self.digits and len(choice) > self.digits:
            return f"has more keys than `digits`, which is {self.digits}"
        if self.finish_on and self.finish_on in choice:
            return f"is never heard, as {self.finish_on} ends the keys; write `finish_on: ''`"
        return ""

    @classmethod
    def plan(cls, event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The question, and a way on for a caller who gives no answer."""
        prompts: tuple[Say | Play, ...] = ()
        if given["again"]:
            prompts += (Say(given["again"], language=given["language"]),)
        if given["say"]:
            prompts += (Say(given["say"], language=given["language"]),)
        if given["play"]:
            prompts += (Play(given["play"]),)
        heard = {"digits": "dtmf", "speech": "speech", "both": "dtmf speech"}[given["input"]]
        gather = spoken(Gather, given, input=heard, prompts=prompts)
        return (gather, Redirect(""))


class RecordStep(VoiceModel):
    """Record the caller and wait for the recording, `reply.field('RecordingUrl')` under `as`."""

    step: ClassVar[str] = "record"
    verb: ClassVar[type[Any]] = Record
    in_call: ClassVar[bool] = False
    example: ClassVar[str] = "- record: {max_length: 2m, as: voicemail}"

    max_length: Seconds = 3600.0
    timeout: Seconds = 5.0
    finish_on: One = "1234567890*#"
    beep: bool = True
    transcribe: bool = False
    as_: MaybeWord = Field("", alias="as")
    else_: Steps = Field(default_factory=list, alias="else")

    @classmethod
    def plan(cls, event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The recording, and a way on for a caller who says nothing."""
        return (spoken(Record, given), Redirect(""))


class DialStep(VoiceModel):
    """Connect the caller to a number, a SIP address, a queue, a conference or a client, or to the
    first of `numbers` who picks up: all ring at once, or `in_turn`.

    `whisper` is said to who picks up, `screen` asks them to press 1 to take the call. With
    `answered` or `else` the rule waits for how it went, and goes on with those steps.
    """

    step: ClassVar[str] = "dial"
    verb: ClassVar[type[Any]] = Dial
    plain: ClassVar[str] = "number"
    example: ClassVar[str] = (
        "- dial: {number: '+15557654321', timeout: 20s, else: [{say: Nobody is here.}]}"
    )

    number: One = ""
    numbers: Annotated[Texts, Field(max_length=MOST_NUMBERS)] = Field(default_factory=list)
    in_turn: bool = False
    whisper: Text = ""
    screen: Text = ""
    record: bool = False
    queue: One = ""
    conference: One = ""
    client: One = ""
    caller_id: One = ""
    timeout: Seconds = 30.0
    answered: Steps = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """Nobody to connect to, or more than one."""
        message = one_of(self, "number", "numbers", "queue", "conference", "client")
        if message:
            return "number", message
        for name in ("whisper", "screen"):
            if getattr(self, name) and (self.queue or self.conference):
                return name, f"{name!r} is for who picks up a phone; leave it away here"
        if self.in_turn and not self.numbers:
            return "in_turn", "is for several `numbers`"
        return "", ""

    @classmethod
    def plan(cls, event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The verb, with a way to us for who picks up when there is something to tell them."""
        asks = bool(given["whisper"] or given["screen"])
        room = bool(given["conference"] and given["record"])
        both = "record-from-answer-dual" if given["record"] and not room else ""
        words = {**given, "record": both, "record_all": "record-from-start" if room else ""}
        words |= {"numbers": tuple(given["numbers"]), "whisper": ""}
        return (spoken(Dial, words, asks=asks),)
