"""Waiting runs of a bench, and what wakes each."""

import heapq
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.events import Event, matches_type
from ringback.rules.engine.interpreter import Wait
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


_Bunch = dict[int, Run]


class Runs:
    """All waiting runs, under each of the words by which they are found."""

    def __init__(self) -> None:
        self._number = itertools.count()
        self._all: dict[Run, int] = {}
        self._by_wait: defaultdict[str, _Bunch] = defaultdict(dict)
        self._by_rule: defaultdict[tuple[str, str], _Bunch] = defaultdict(dict)
        self._by_conversation: defaultdict[str, _Bunch] = defaultdict(dict)
        self._due: list[tuple[datetime, int, Run]] = []

    def add(self, run: Run) -> None:
        """This run waits from now on."""
        number = self._all[run] = next(self._number)
        for bunch in self._bunches(run):
            bunch[number] = run
        if run.wait.due_at is not None:
            heapq.heappush(self._due, (run.wait.due_at, number, run))

    def drop(self, run: Run) -> None:
        """This run waits no longer."""
        number = self._all.pop(run)
        for bunch in self._bunches(run):
            del bunch[number]

    def all(self, conversation: str | None = None) -> list[Run]:
        """All of them, or those of one conversation, in the order in which they began to wait."""
        if conversation is None:
            return list(self._all)
        return list(self._by_conversation.get(conversation, {}).values())

    def find(self, rule: Rule, key: str) -> Run | None:
        """The run of this rule for this key."""
        return next(iter(self._by_rule.get((rule.name, key), {}).values()), None)

    def woken_by(self, event: Event) -> list[Run]:
        """Those that this event wakes: their key is its conversation, its call or its subject."""
        found: _Bunch = {}
        for key in {event.conversation, event.call_sid, event.subject_sid} - {""}:
            for number, run in self._by_wait.get(key, {}).items():
                if any(matches_type(each, event.type) for each in run.wait.event_types):
                    found[number] = run
        return [found[number] for number in sorted(found)]

    def next_due(self, end: datetime) -> Run | None:
        """The one whose moment comes first, up to and with `end`."""
        while self._due and self._due[0][0] <= end:
            if self._due[0][2] in self._all:
                return self._due[0][2]
            heapq.heappop(self._due)
        return None

    def _bunches(self, run: Run) -> Iterable[_Bunch]:
        yield self._by_wait[run.wait.key]
        yield self._by_rule[run.rule.name, run.key]
        yield self._by_conversation[run.event.conversation]
