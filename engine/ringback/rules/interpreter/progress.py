"""Progress of a run: what it did, and what it waits for. Immutable values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ringback.actions import Action
from ringback.events import Event
from ringback.rules.language.scope import Facts, Scope
from ringback.rules.model import Rule, Step
from ringback.rules.timing.calendar import Hours
from ringback.runtime import iso
from ringback.verbs import Verb

CLOSED = "closed"
"""The phase of a run whose window is over: it goes on at once with what it has collected."""
CAME_IN_TIME = "came in time"
"""How the reason ends of a run whose `unless` was met,"""
TOO_FEW = "stopped: too few events within the span"
"""and the reason of one that collected in vain. Neither came to its steps."""


def join_keys(keys: Iterable[str]) -> str:
    """The key of a wait in several conversations."""
    return "\n".join(keys)


def keys_of(key: str) -> tuple[str, ...]:
    """The conversations that the key of a wait names, or the call, or the subject."""
    return tuple(key.split("\n"))


@dataclass(frozen=True, slots=True)
class Wait:
    """What a run waits for: a moment, an event of these types, or whichever comes first.

    An event counts when its conversation, its call or its subject is `key`, or one of several.
    """

    due_at: datetime | None
    event_types: tuple[str, ...] = ()
    key: str = ""

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "Wait":
        """The wait of which `saved` is what the state keeps."""
        due = datetime.fromisoformat(saved["due"]) if saved["due"] else None
        return cls(due, tuple(saved["types"]), saved["key"])

    def saved(self) -> dict[str, Any]:
        """The same as plain data."""
        due = self.due_at.isoformat() if self.due_at else ""
        return {"due": due, "types": list(self.event_types), "key": self.key}

    def describe(self) -> str:
        """What it waits for, in words."""
        until = f"until {iso(self.due_at)}" if self.due_at else ""
        return f"waits for {' or '.join(self.event_types) or 'time'} {until}".strip()


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that a run asks for: its key, and how long it is held at least (seconds)."""

    key: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Wake:
    """What ended a wait: this event, or none when the moment came."""

    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run came: its new actions, what it waits for now, and the state to keep.

    Without a wait it is over; `end` is empty when it went to its end, else `stopped: why`,
    `failed: why`, or `call` for a rule in Python: its time has come, call its function now.

    With a `lock` nothing of it counts: who walks the steps takes that lock, or finds who holds it,
    and makes the same turn again with the answer.
    """

    actions: tuple[Action, ...]
    wait: Wait | None
    state: dict[str, Any] = field(default_factory=dict)
    end: str = ""
    lock: Lock | None = None

    @property
    def closed(self) -> bool:
        """Whether the run has collected what it will, and goes on at once."""
        return self.wait is not None and self.state.get("phase") == CLOSED

    def moved(self, before: Mapping[str, Any] | None) -> bool:
        """Whether the run has gone on from the state `before`, and so has taken what woke it. A
        note that a condition failed on it is no such thing."""
        if self.wait is None or before is None:
            return True
        return without_notes(self.state) != without_notes(before)

    @property
    def outcome(self) -> tuple[str, str]:
        """The state of the run now, with the reason in words: also what went wrong on the way."""
        if self.wait is not None:
            state, reason = "waiting", self.wait.describe()
        elif self.end.startswith("failed"):
            state, reason = "failed", self.end.removeprefix("failed: ")
        else:
            state, reason = "done", self.end
        return state, "; ".join(filter(None, (reason, *self.state.get("notes", ()))))


def without_notes(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a run goes on from, without the notes for a person."""
    return {name: value for name, value in state.items() if name != "notes"}


class Run(Protocol):
    """A run under way, as the functions of its steps see it: `machine.Machine` is one.

    The event that it began with, its state, and what it has planned so far.

    `locks` are those that were asked for in this turn, `woken` the event that ended its last wait.
    """

    rule: Rule
    event: Event
    facts: Facts
    now: datetime
    places: Mapping[str, Hours]
    state: dict[str, Any]
    locks: Mapping[str, str]
    actions: list[Action]
    verbs: list[Verb]
    woken: Event | None

    @property
    def call_sid(self) -> str:
        """The call that it speaks to."""

    @property
    def question(self) -> str:
        """What it has asked last."""

    def scope(self, reply: Event | None = None) -> Scope:
        """What texts and conditions can see."""

    def run(self) -> Progress:
        """Do the next steps, to the next wait or the end."""

    def perform(self, step: Step, given: dict[str, Any]) -> Progress | None:
        """Plan what a step means; None when the run goes on."""

    def speak(self, verbs: tuple[Any, ...]) -> None:
        """Say these verbs to the call."""

    def over(self) -> bool:
        """Whether nobody hears any more what is said."""

    def next(self) -> None:
        """Go on behind this step."""

    def enter(self, branch: str) -> None:
        """Go into a branch of this step."""

    def grant(self) -> None:
        """A few steps more, for one more entry of a list."""

    def pause(self, due: datetime | None, types: tuple[str, ...], key: str = "") -> Progress:
        """Wait for an event of these types, or for a moment."""

    def again(self) -> Progress:
        """The same wait once more."""

    def waits_at(self) -> Step | None:
        """The step that the run waits at."""

    def note(self, step: Step, what: str) -> None:
        """Keep what a person should know of a run that goes on."""

    def fail(self, step: Step, why: str) -> Progress:
        """End with a mistake."""

    def finish(self, end: str) -> Progress:
        """End; empty for well."""

    def flushed(self) -> tuple[Action, ...]:
        """What is planned, with what is said as one answer."""
