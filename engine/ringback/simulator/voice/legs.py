"""State of a leg in the switch, beyond what REST shows of its call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ringback.simulator.voice.call_records import Call, Heard, Recording
from ringback.simulator.voice.documents import Program
from ringback.simulator.voice.effects import Capture, Effect, JoinConference, Opened
from ringback.simulator.voice.ports import (
    NOBODY,
    Answer,
    Ask,
    Callback,
    CallOptions,
    Handset,
    Script,
    Timer,
)
from ringback.simulator.voice.results import Dialed


def nothing(value: object = None) -> None:
    """For a leg that nobody waits for."""


class Attempt(Protocol):
    """A Dial at work for a leg."""

    def abandon(self) -> Dialed:
        """Let go of everyone it is about; what it came to."""


@dataclass(slots=True, eq=False)
class Leg:
    """One end of the telephone network and the program that runs on it.

    `effect` is what the program waits for; `turn` counts its steps, so that a wake-up which comes
    too late is known for one. A leg without a program is somebody's dialled party.
    `waits` says what may take it out of its wait documents. `far` is the other end of a call from
    one of our numbers to another, `hops` how many such calls led here.
    """

    call: Call
    script: Script = field(default_factory=Script)
    options: CallOptions = field(default_factory=CallOptions)
    handset: Handset = field(default_factory=Handset)
    status: Callback = NOBODY
    program: Program[Any] | None = None
    done: Callable[[Any], None] = nothing
    effect: Effect | None = None
    turn: int = 0
    timer: Timer | None = None
    timers: dict[str, Timer] = field(default_factory=dict)
    ended: bool = False
    keys: str = ""
    say: str = ""
    heard: list[Heard] = field(default_factory=list)
    documents: list[Opened] = field(default_factory=list)
    last: tuple[Ask, Answer] | None = None
    answered: Callable[[], None] = nothing
    over: Callable[[str], None] = nothing
    far: "Leg | None" = None
    hops: int = 0
    link: "Link | None" = None
    dialling: Attempt | None = None
    dialed: Dialed | None = None
    capture: "Capturing | None" = None
    waits: Literal["", "queue", "conference"] = ""
    queue_sid: str = ""
    taker: "Leg | None" = None
    conference_sid: str = ""
    conference: JoinConference | None = None
    recordings: list[Recording] = field(default_factory=list)
    services: list["Service"] = field(default_factory=list)

    @property
    def sid(self) -> str:
        return self.call.sid

    def stop(self, name: str) -> None:
        """Cancel a timer of this leg, if it runs."""
        timer = self.timers.pop(name, None)
        if timer is not None:
            timer.cancel()


@dataclass(slots=True, eq=False)
class Link:
    """Two legs that talk. `near` is the one whose document dialled; `star` lets it end by a key."""

    near: Leg
    far: Leg
    started_at: float
    star: bool
    ended: Callable[["Link"], None]
    timer: Timer | None = None
    recording: Recording | None = None

    def other(self, leg: Leg) -> Leg:
        return self.far if leg is self.near else self.near


@dataclass(slots=True, eq=False)
class Service:
    """Something that runs beside a leg: a stream, SIPREC, a live transcription.

    `settings` are the attributes of its noun. `sequence` counts its callbacks.
    """

    sid: str
    kind: str
    name: str
    callback: Callback
    settings: dict[str, str]
    status: Literal["in-progress", "stopped"] = "in-progress"
    updated_at: float = 0.0
    sequence: int = 0


@dataclass(slots=True, eq=False)
class Capturing:
    """A Record verb at work. Moments of sound are kept to trim the silence around it."""

    effect: Capture
    recording: Recording
    started_at: float
    first_sound: float | None = None
    last_sound: float | None = None
    speaking: str = ""
