"""Steps that a caller hears. Those between two waits become one answer, in their order."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ringback.actions import Action
from ringback.events import Event
from ringback.rules.steps.base import Branches, MaybeWord, Seconds, StepModel, Steps, Text, one_of
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
)

Times = Annotated[int, Field(ge=0, le=100)]


class VoiceModel(StepModel):
    """A step that needs a call."""

    needs: ClassVar[str] = "call"


class SayStep(VoiceModel):
    """Speak a text."""

    step: ClassVar[str] = "say"
    plain: ClassVar[str] = "text"
    example: ClassVar[str] = "- say: Thanks for calling."

    text: Text = Field(min_length=1)
    voice: Text = ""
    language: Text = ""
    loop: Times = 1

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One sentence."""
        return (Say(given["text"], given["voice"], given["language"], given["loop"]),)


class PlayStep(VoiceModel):
    """Play an audio file, or tones (`digits`)."""

    step: ClassVar[str] = "play"
    plain: ClassVar[str] = "url"
    example: ClassVar[str] = "- play: https://example.org/welcome.mp3"

    url: Text = ""
    loop: Times = 1
    digits: Text = ""

    def wrong(self) -> tuple[str, str]:
        """Nothing to play."""
        message = one_of(self, "url", "digits")
        return ("url", message) if message else ("", "")

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One file."""
        return (Play(given["url"], given["loop"], given["digits"]),)


class PauseStep(VoiceModel):
    """Wait in silence, in seconds, while the call goes on. (`wait` lets go of the call.)"""

    step: ClassVar[str] = "pause"
    plain: ClassVar[str] = "length"
    example: ClassVar[str] = "- pause: 2s"

    length: Seconds = 1.0

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One silence."""
        return (Pause(max(1, int(given["length"]))),)


class EnqueueStep(VoiceModel):
    """Put the caller into the queue of this name, which is made on first use."""

    step: ClassVar[str] = "enqueue"
    plain: ClassVar[str] = "queue"
    example: ClassVar[str] = "- enqueue: support"

    queue: Text = Field(min_length=1)
    wait_url: Text = ""

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One caller in a queue."""
        return (Enqueue(given["queue"], given["wait_url"]),)


class RedirectStep(VoiceModel):
    """Go on with the TwiML at another address."""

    step: ClassVar[str] = "redirect"
    plain: ClassVar[str] = "url"
    example: ClassVar[str] = "- redirect: https://example.org/menu.xml"

    url: Text = Field(min_length=1)

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One redirection."""
        return (Redirect(given["url"]),)


class RejectStep(VoiceModel):
    """Do not answer the call: it costs nothing. `rejected` or `busy`."""

    step: ClassVar[str] = "reject"
    plain: ClassVar[str] = "reason"
    example: ClassVar[str] = "- reject: busy"

    reason: Literal["rejected", "busy"] = "rejected"

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One refusal."""
        return (Reject(given["reason"]),)


class HangupStep(VoiceModel):
    """End the call."""

    step: ClassVar[str] = "hangup"
    example: ClassVar[str] = "- hangup"

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The end."""
        return (Hangup(),)


class GatherStep(VoiceModel):
    """Ask for keys or speech and wait for the answer, which is then `reply.digits` or `reply.body`.

    `choices` has the steps for each answer, `else` those for any other and for none.
    """

    step: ClassVar[str] = "gather"
    plain: ClassVar[str] = "say"
    example: ClassVar[str] = (
        "- gather: {say: 'Press 1 for sales.', digits: 1, choices: {'1': [{enqueue: sales}]}}"
    )

    say: Text = ""
    play: Text = ""
    digits: Annotated[int, Field(ge=0, le=100)] = 0
    input: Literal["digits", "speech", "both"] = "digits"
    timeout: Seconds = 5.0
    finish_on: Text = "#"
    language: Text = ""
    hints: Text = ""
    as_: MaybeWord = Field("", alias="as")
    choices: Branches = Field(default_factory=dict)
    else_: Steps = Field(default_factory=list, alias="else")

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The question, and a way on for a caller who gives no answer."""
        prompts: tuple[Say | Play, ...] = ()
        if given["say"]:
            prompts += (Say(given["say"], language=given["language"]),)
        if given["play"]:
            prompts += (Play(given["play"]),)
        heard = {"digits": "dtmf", "speech": "speech", "both": "dtmf speech"}[given["input"]]
        gather = Gather(
            input=heard,
            num_digits=given["digits"],
            timeout=max(1, int(given["timeout"])),
            finish_on_key=given["finish_on"],
            language=given["language"],
            hints=given["hints"],
            prompts=prompts,
        )
        return (gather, Redirect(""))


class RecordStep(VoiceModel):
    """Record the caller and wait for the recording, `reply.field('RecordingUrl')` under `as`."""

    step: ClassVar[str] = "record"
    example: ClassVar[str] = "- record: {max_length: 2m, as: voicemail}"

    max_length: Seconds = 3600.0
    timeout: Seconds = 5.0
    finish_on: Text = "1234567890*#"
    beep: bool = True
    transcribe: bool = False
    as_: MaybeWord = Field("", alias="as")
    else_: Steps = Field(default_factory=list, alias="else")

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """The recording, and a way on for a caller who says nothing."""
        record = Record(
            max_length=int(given["max_length"]),
            timeout=max(1, int(given["timeout"])),
            finish_on_key=given["finish_on"],
            play_beep=given["beep"],
            transcribe=given["transcribe"],
        )
        return (record, Redirect(""))


class DialStep(VoiceModel):
    """Connect the caller to a number, a queue, a conference or a client.

    With `answered` or `else` the rule waits for how it went, and goes on with those steps.
    """

    step: ClassVar[str] = "dial"
    plain: ClassVar[str] = "number"
    example: ClassVar[str] = (
        "- dial: {number: '+15557654321', timeout: 20s, else: [{say: Nobody is here.}]}"
    )

    number: Text = ""
    queue: Text = ""
    conference: Text = ""
    client: Text = ""
    caller_id: Text = ""
    timeout: Seconds = 30.0
    answered: Steps = Field(default_factory=list)
    else_: Steps = Field(default_factory=list, alias="else")

    def wrong(self) -> tuple[str, str]:
        """Nobody to connect to, or more than one."""
        message = one_of(self, "number", "queue", "conference", "client")
        return ("number", message) if message else ("", "")

    @staticmethod
    def plan(event: Event, given: Mapping[str, Any]) -> tuple[Action | Verb, ...]:
        """One connection."""
        return (
            Dial(
                number=given["number"],
                queue=given["queue"],
                conference=given["conference"],
                client=given["client"],
                caller_id=given["caller_id"],
                timeout=int(given["timeout"]),
            ),
        )
