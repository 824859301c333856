"""Signals: what the worker's parts report to the engine, which passes it on."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringback.events import Event
from ringback.rules.model import Rule
from ringback.store.actions import NewAction
from ringback.worker.send.launch import Leaving


@dataclass(frozen=True, slots=True)
class Signals:
    """One call for each thing that a part may report; `leaving`, `early` and `again` wait.

    `leaving`: these actions are about to be written, together with their events (True) or behind
    them; what comes back is to be given to `left`, with what became of their attempts, or None when
    nothing was written. `planned`: these are written
    and may be sent. `ended`: an action (uid) has come to this
    state, its end or a point that a rule may care about. `due`: something is due at this moment
    (ISO). `news`: an event of our own making is recorded. `quarantined`: a rule is, for a reason.
    `hung_up`: nobody heard what this run (uid) said to this call (SID), which is over, nor was led
    on by this verb, if there was one.

    `early`: a run (uid) of a rule, which began with this event, waits from now on with this state,
    under this key; the answer says whether what it waits for, or what ends it, has come before.
    `again`: a run of a rule and key collects no more, or is about to be ended (True): what lies
    ready for it is judged anew. Both have their turn between two batches of matching.
    """

    leaving: Callable[[Sequence[NewAction], bool], Awaitable[Leaving]]
    left: Callable[[Leaving, Sequence[str] | None], None]
    planned: Callable[[Sequence[NewAction]], None]
    ended: Callable[[str, str], None]
    due: Callable[[str], None]
    news: Callable[[], None]
    quarantined: Callable[[str, str], None]
    hung_up: Callable[[str, str, str], None]
    early: Callable[[str, Rule, Event, Mapping[str, Any], str], Awaitable[bool]]
    again: Callable[[str, Rule, str, bool], Awaitable[None]]
