"""Results of a leg's effects, and the interrupts that cut them short.

Times are in seconds.
"""

from dataclasses import dataclass

from ringback.simulator.voice.ports import Fields, Script


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The time is over, or what was played has ended."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key was pressed: one of 0-9 A-D * #."""

    key: str


@dataclass(frozen=True, slots=True)
class Speech:
    """Something was said, and then silence."""

    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recording has ended. `sid` empty = no sound came. `digits` is the key that ended it."""

    sid: str = ""
    url: str = ""
    seconds: int = 0
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Dialed:
    """A dial has ended. `queue` holds the queue's own fields."""

    status: str
    sid: str = ""
    seconds: int = 0
    bridged: bool = False
    recording_sid: str = ""
    recording_url: str = ""
    recording_seconds: int = 0
    queue: Fields = ()


@dataclass(frozen=True, slots=True)
class Queued:
    """In line, or not: `full`."""

    sid: str
    full: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A place in line, as the wait document's request tells it. Times in seconds."""

    sid: str
    position: int
    waited: int
    average: int
    size: int
    limit: int


@dataclass(frozen=True, slots=True)
class Bridged:
    """The talk with the dequeuer is over. `talked` False = it never came to pass."""

    talked: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """In the conference. `waiting` = it has not started. `sid` empty = no place, see `code`."""

    sid: str
    waiting: bool
    code: int = 0


@dataclass(frozen=True, slots=True)
class LeftConference:
    """The leg is out of the conference and goes on."""


@dataclass(frozen=True, slots=True)
class Texted:
    """A text message was accepted."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class Referred:
    """What became of a SIP transfer. `possible` False = this is not a SIP leg."""

    possible: bool


@dataclass(frozen=True, slots=True)
class HungUp:
    """The leg has ended. The program may still send what is due, then it ends."""


@dataclass(frozen=True, slots=True)
class Rescripted:
    """REST gave the call a new document: drop everything, run that."""

    script: Script


@dataclass(frozen=True, slots=True)
class Dequeued:
    """Another call took this one out of the queue, to talk."""

    sid: str
    waited: int
    by: str
    whisper: Script | None = None


@dataclass(frozen=True, slots=True)
class ConferenceChanged:
    """The conference that the leg waits in has started, or ended before it did."""

    running: bool


Interrupt = HungUp | Rescripted | Dequeued | ConferenceChanged


class Interrupted(Exception):
    """Raised inside a program at the effect that an interrupt cut short."""

    def __init__(self, event: Interrupt) -> None:
        super().__init__(type(event).__name__)
        self.event = event
