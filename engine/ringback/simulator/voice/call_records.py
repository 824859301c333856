"""Records of calls, queues, conferences and recordings, changed by the exchange alone.

Times are seconds since the epoch in virtual time, None until they are known. REST pages of
https://www.twilio.com/docs/voice/api describe the fields under the same names.
"""

from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["inbound", "outbound-api", "outbound-dial"]
ENDED = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@dataclass(slots=True)
class Call:
    """One leg. `status` takes the values of the REST API, so never `initiated`.

    `answered_by_asked` = who answered stands in every request, since detection was waited for.
    """

    sid: str
    from_: str
    to: str
    direction: Direction
    created_at: float
    parent_call_sid: str = ""
    phone_number_sid: str = ""
    status: str = "queued"
    updated_at: float = 0.0
    started_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    answered_by: str = ""
    answered_by_asked: bool = False
    forwarded_from: str = ""
    caller_name: str = ""
    queue_seconds: float = 0.0
    sip_code: int = 0
    extra: tuple[tuple[str, str], ...] = ()
    sequence: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def duration(self) -> int:
        """Whole seconds between answer and end; 0 when it was not answered or still runs."""
        if self.answered_at is None or self.ended_at is None:
            return 0
        return round(self.ended_at - self.answered_at)


@dataclass(frozen=True, slots=True)
class Member:
    """A call that waits in a queue."""

    call_sid: str
    enqueued_at: float


@dataclass(slots=True)
class Queue:
    """A line of callers, front first."""

    sid: str
    friendly_name: str
    created_at: float
    updated_at: float
    max_size: int = 1000
    members: list[Member] = field(default_factory=list)

    def position(self, call_sid: str) -> int:
        """Place in line from 1; 0 when the call does not wait here."""
        return next((n for n, m in enumerate(self.members, 1) if m.call_sid == call_sid), 0)

    def average_wait(self, now: float) -> int:
        """Mean wait of those who wait now, in whole seconds."""
        if not self.members:
            return 0
        return round(sum(now - member.enqueued_at for member in self.members) / len(self.members))


@dataclass(slots=True)
class Participant:
    """A call inside a conference."""

    call_sid: str
    joined_at: float
    updated_at: float
    label: str = ""
    muted: bool = False
    hold: bool = False
    coaching: bool = False
    call_sid_to_coach: str = ""
    start_on_enter: bool = True
    end_on_exit: bool = False
    status: str = "connected"


@dataclass(slots=True)
class Conference:
    """A conference. `init` until two are in it and one of them may start it."""

    sid: str
    friendly_name: str
    created_at: float
    updated_at: float
    status: Literal["init", "in-progress", "completed"] = "init"
    region: str = "us1"
    participants: dict[str, Participant] = field(default_factory=dict)
    max_participants: int = 250
    reason_ended: str = ""
    call_sid_ending: str = ""
    sequence: int = 0


@dataclass(slots=True)
class Recording:
    """Sound of a call or a conference. `words` is what was said, the stuff of its transcription."""

    sid: str
    source: str
    started_at: float
    call_sid: str = ""
    conference_sid: str = ""
    status: str = "in-progress"
    channels: int = 1
    track: str = "both"
    trim: str = "do-not-trim"
    duration: int | None = None
    error_code: int = 0
    updated_at: float = 0.0
    words: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Transcription:
    """The words of a recording."""

    sid: str
    recording_sid: str
    status: str
    text: str
    created_at: float
    duration: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that was played to a leg. Kinds: say play tones beep pause music announcement."""

    at: float
    kind: str
    text: str
