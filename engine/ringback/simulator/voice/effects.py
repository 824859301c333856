"""Effects that the program of a leg yields, for the switch to carry out.

A program (see `leg.py`) yields one effect at a time and is resumed with the result named beside it
(see `results.py`). One that takes time may be answered by an interrupt instead. Times in seconds.
"""

from dataclasses import dataclass
from typing import Literal

from ringback.simulator.voice.ports import (
    NOBODY,
    UNDETECTED,
    Callback,
    Detection,
    Fields,
    Level,
    RecordingSpec,
    Script,
)

# --- the web -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask for a document. `fields` are added to the base fields of the leg. → `ports.Answer`."""

    url: str
    method: str
    fields: Fields = ()
    purpose: str = "call"


@dataclass(frozen=True, slots=True)
class Send:
    """The same request when its reply cannot be run any more: the leg does not wait. → None."""

    fetch: Fetch


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a callback URL of a partial result or the like. → None."""

    url: str
    method: str
    fields: Fields
    kind: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A document begins: where it came from (empty = a text) and the names of its verbs. → None."""

    url: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Complain:
    """Something for the debugger. → None."""

    code: int
    level: Level
    message: str
    url: str = ""


# --- what this leg hears and says --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PickUp:
    """Answer the leg if it still rings. → None."""


@dataclass(frozen=True, slots=True)
class Hear:
    """Play something, or nothing. → `Elapsed`, or `Key` / `Speech` when asked for.

    `seconds` None = until interrupted. `speech_pause` is the silence that finishes what is said,
    `speech_limit` the longest utterance.
    """

    kind: str
    text: str = ""
    seconds: float | None = None
    keys: bool = False
    speech: bool = False
    speech_pause: float = 0.0
    speech_limit: float = 60.0


@dataclass(frozen=True, slots=True)
class Capture:
    """Record the caller. → `Recorded`.

    Ends after `silence` seconds without sound, at `limit`, or with one of the `finish` keys.
    """

    silence: float
    limit: float
    finish: str
    spec: RecordingSpec
    transcribe: bool = False
    transcribe_callback: str = ""


@dataclass(frozen=True, slots=True)
class StopCapture:
    """Close the recording that was interrupted. → `Recorded`."""


# --- other legs --------------------------------------------------------------------------------

Kind = Literal["number", "client", "sip", "sim", "whatsapp", "application"]


@dataclass(frozen=True, slots=True)
class Target:
    """One phone to ring. `whisper` is the document for its own leg before it is bridged."""

    kind: Kind
    address: str
    whisper: Script | None = None
    send_digits: str = ""
    status: Callback = NOBODY
    detection: Detection = UNDETECTED
    parameters: Fields = ()


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring phones and bridge the first that answers. → `Dialed` when that has ended or failed."""

    targets: tuple[Target, ...]
    timeout: float
    limit: float
    caller_id: str = ""
    answer_on_bridge: bool = False
    hangup_on_star: bool = False
    sequential: bool = False
    record: RecordingSpec | None = None
    record_ringing: bool = False


@dataclass(frozen=True, slots=True)
class TakeFromQueue:
    """Take the front caller of a queue and bridge; wait for one up to `timeout`. → `Dialed`."""

    name: str
    timeout: float
    limit: float
    whisper: Script | None = None
    hangup_on_star: bool = False
    record: RecordingSpec | None = None


@dataclass(frozen=True, slots=True)
class AbandonDial:
    """Let go of whatever a dial was about, after an interrupt. → `Dialed`."""


@dataclass(frozen=True, slots=True)
class JoinQueue:
    """Stand in line. `limit` 0 = the queue's own size. → `Queued`."""

    name: str
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """Ask for the place in the line. → `Standing`."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """Talk to the one who dequeued me. → `Bridged` when that is over."""


@dataclass(frozen=True, slots=True)
class LeaveQueue:
    """Step out of line, or forget that I was taken out. → None."""


@dataclass(frozen=True, slots=True)
class JoinConference:
    """Enter a conference. → `Joined`."""

    name: str
    muted: bool = False
    start_on_enter: bool = True
    end_on_exit: bool = False
    beep: str = "true"
    limit: int = 250
    coach: str = ""
    label: str = ""
    status: Callback = NOBODY
    record: RecordingSpec | None = None
    star_leaves: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """Talk in the conference. → `LeftConference` when it has ended or threw the leg out."""


@dataclass(frozen=True, slots=True)
class LeaveConference:
    """Go. → None."""


# --- the rest ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Now:
    """Ask for the time. → float, seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SendText:
    """Send a text message (`Sms`). → `Texted`."""

    to: str
    sender: str
    body: str
    callback: str


@dataclass(frozen=True, slots=True)
class Background:
    """Start or stop something beside the document. `settings` are its noun's attributes. → None."""

    what: Literal["start", "stop"]
    kind: str
    name: str = ""
    callback: Callback = NOBODY
    record: RecordingSpec | None = None
    settings: Fields = ()


@dataclass(frozen=True, slots=True)
class Refer:
    """Hand a SIP caller over. → `Referred`."""

    uri: str


Effect = (
    Fetch | Send | Notify | Opened | Complain | PickUp | Hear | Capture | StopCapture | Ring
    | TakeFromQueue | AbandonDial | JoinQueue | Look | Bridge | LeaveQueue | JoinConference | Stay
    | LeaveConference | Now | SendText | Background | Refer
)  # fmt: skip
