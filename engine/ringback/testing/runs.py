"""The runs that wait on a bench, and what wakes each."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.events import Event, matches_type
from ringback.rules.interpreter import Wait
from ringback.rules.model import Rule


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One rule that waits in the middle of its steps or of its conversation."""

    rule: Rule
    event: Event
    key: str
    wait: Wait
    state: dict[str, Any]

    def kept(self) -> dict[str, Any]:
        """The state as a journal gives it back: through JSON, with nothing else surviving."""
        state: dict[str, Any] = json.loads(json.dumps(self.state))
        return state


class Runs:
    """All waiting runs, in the order in which they began to wait."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def add(self, run: Run) -> None:
        """This run waits from now on."""
        self._runs.append(run)

    def drop(self, run: Run) -> None:
        """This run waits no longer."""
        self._runs.remove(run)

    def all(self, conversation: str | None = None) -> list[Run]:
        """All of them, or those of one conversation."""
        return [run for run in self._runs if conversation in (None, run.event.conversation)]

    def find(self, rule: Rule, key: str) -> Run | None:
        """The run of this rule for this key."""
        same = [run for run in self._runs if run.rule.name == rule.name and run.key == key]
        return same[0] if same else None

    def woken_by(self, event: Event) -> list[Run]:
        """Those that this event wakes: their key is its conversation, its call or its subject."""
        keys = {event.conversation, event.call_sid, event.subject_sid} - {""}
        return [
            run
            for run in self._runs
            if run.wait.key in keys
            and any(matches_type(each, event.type) for each in run.wait.event_types)
        ]

    def next_due(self, end: datetime) -> Run | None:
        """The one whose moment comes first, up to and with `end`."""
        due = [run for run in self._runs if run.wait.due_at is not None and run.wait.due_at <= end]
        return min(due, key=lambda run: run.wait.due_at or end, default=None)
