"""Interfaces of the exchange to its surroundings, and the data that cross them.

The exchange has no clock, no chance and no sockets: a `Kernel` lends them. Every call into the
exchange and every callback out of it happens in one thread, at one moment of virtual time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Fields = tuple[tuple[str, str], ...]
Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request whose reply is TwiML. `fields` go into the body, or with GET into the query.

    `url` is absolute and may carry connection overrides as a fragment. `purpose` says which verb or
    setting caused it: call redirect gather record dial whisper wait enqueue fallback conference
    announce refer connect sms pay update (a document that REST gave to a live call).
    """

    url: str
    method: str
    fields: Fields
    purpose: str
    sid: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for an `Ask`.

    `url` is the last address after redirects: the base of relative URLs. `error` is Twilio's code
    when there is no usable HTTP answer at all (11200, 11205, 11215 …), and then `status` is 0.
    """

    status: int
    content_type: str | None
    body: bytes
    url: str
    error: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification: its reply has no influence.

    `kind`: call-status recording-status conference transcription amd partial-speech stream siprec
    live-transcription pay.
    """

    url: str
    method: str
    fields: Fields
    kind: str
    sid: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something for the debugger: a code of Twilio's catalogue, about one call."""

    code: int
    level: Level
    message: str
    sid: str
    url: str = ""
    ask: Ask | None = None
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """Where a leg gets its first document: a URL, or the document itself as text."""

    url: str = ""
    method: str = "POST"
    twiml: str = ""
    fallback_url: str = ""
    fallback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class NumberSetup:
    """The voice settings of one of our numbers, applications already looked up."""

    sid: str
    script: Script
    status_callback: str = ""
    status_callback_method: str = "POST"
    caller_name: str = ""


Outcome = Literal["answer", "busy", "no-answer", "failed", "manual", "machine", "fax"]


@dataclass(frozen=True, slots=True)
class Handset:
    """How a phone behaves when it is rung.

    `manual` rings until somebody answers or declines. `talk_seconds` after answering it hangs up;
    None stays on. `keys` and `say` come when the leg first listens; `w` in keys is half a second.
    """

    outcome: Outcome = "answer"
    ring_seconds: float = 3.0
    talk_seconds: float | None = None
    keys: str = ""
    say: str = ""


@dataclass(frozen=True, slots=True)
class Detection:
    """Answering machine detection, as asked for. `mode` empty = off. Times in seconds."""

    mode: Literal["", "Enable", "DetectMessageEnd"] = ""
    timeout: float = 30.0
    waits: bool = True
    callback: str = ""
    callback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Callback:
    """Where to report something, and which events of it."""

    url: str = ""
    method: str = "POST"
    events: frozenset[str] = frozenset({"completed"})


NOBODY = Callback(events=frozenset())
UNDETECTED = Detection()


@dataclass(frozen=True, slots=True)
class RecordingSpec:
    """How to record: the fields of a Recording that are known before it starts."""

    source: str = "StartCallRecordingAPI"
    channels: int = 1
    track: str = "both"
    trim: str = "do-not-trim"
    callback: Callback = NOBODY


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The optional parameters of a call placed over REST. Times in seconds."""

    status: Callback = NOBODY
    timeout: float = 60.0
    time_limit: float = 14400.0
    send_digits: str = ""
    record: RecordingSpec | None = None
    detection: Detection = UNDETECTED
    caller_name: str = ""


class Timer(Protocol):
    """Something that will happen, unless it is cancelled first."""

    def cancel(self) -> object: ...


class Kernel(Protocol):
    """Time, names, the web and the phones, as the exchange sees them."""

    def now(self) -> float:
        """Virtual time, in seconds since the epoch."""

    def date(self, moment: float) -> datetime:
        """The date, in UTC, that people read for a moment of virtual time."""

    def after(self, seconds: float, do: Callable[[], None]) -> Timer:
        """Do something once, so many virtual seconds from now (0 = next, never inside the call)."""

    def mint(self, prefix: str) -> str:
        """A new SID: two letters and 32 hex digits."""

    def ask(self, request: Ask, then: Callable[[Answer], None]) -> Timer:
        """Make an instruction request; `then` gets its answer later, or never when cancelled."""

    def notify(self, request: Notice) -> None:
        """Make a notification request, soon, as faults and connections allow."""

    def trouble(self, trouble: Trouble) -> None:
        """Log a problem: a Notification record and the debugger webhook."""

    def number(self, address: str) -> NumberSetup | None:
        """The settings of one of our numbers; None when the address is not ours."""

    def verified(self, address: str) -> bool:
        """Whether this number, which is not ours, may be shown as the caller."""

    def handset(self, address: str) -> Handset:
        """How this phone behaves when it is rung."""

    def sms(self, sender: str, to: str, body: str, callback: str) -> tuple[str, str]:
        """Send a text for a voice document. Returns the message's SID and its first status."""

    def address(self, path: str) -> str:
        """The absolute URL of one of our REST resources: its path begins with `/2010-04-01/`."""

    def changed(self, kind: str, sid: str) -> None:
        """A record of a `kind` such as call, queue or recording was created, updated or deleted."""


def pairs(*groups: Iterable[tuple[str, str]]) -> Fields:
    """Join field groups; a later group overrides a name that an earlier one gave."""
    joined: dict[str, str] = {}
    for group in groups:
        joined.update(group)
    return tuple(joined.items())
