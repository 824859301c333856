"""Backlog: runs that wait in the journal, because their rule has as many in memory as it may have.

A rule that is slow, or that fires very often, gets behind by itself; matching and the other rules
go on. What the rule of a held run might stop waits with it, and so do later runs of the same rule
in the same conversation: each rule sees a conversation in its order.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ringback.rules.engine.admission import ranks
from ringback.worker.run.keyed_queue import KeyedQueue
from ringback.worker.run.runner import Ready

RULE_RUNS = 500
"""So many runs of one rule are in memory at most,"""
CROWD = 1500
"""and a tenth of them while there are so many of all."""
HELD = 50_000
"""While so many runs are held, nothing is matched: they are known by name here."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Runs that start together, by their rules in a conversation, and how they are started."""

    places: Sequence[tuple[str, str]]
    start: Callable[[], Awaitable[None]]


class Backlog:
    """Says which runs have to wait, and starts them as their rule has room."""

    def __init__(self, queue: KeyedQueue) -> None:
        self._queue = queue
        self._groups: dict[str, deque[_Group]] = {}
        self._places: dict[tuple[str, str], tuple[str, int]] = {}
        self.held = 0
        queue.on_room = self._room

    @property
    def full(self) -> bool:
        """Whether no more can be held."""
        return self.held >= HELD

    def behind(self, rule: str, place: str = "") -> bool:
        """Whether a run of this rule has to wait, in the conversation `place`."""
        return rule in self._groups or not self._has_room(rule) or (rule, place) in self._places

    def divide(self, runs: Sequence[Ready], place: str) -> list[Ready]:
        """The runs of one event in this conversation that have to wait: those of rules that are
        behind, and whatever such a rule might stop."""
        held: list[Ready] = []
        for rank in ranks(run for run in runs if not run.queued and not run.rule.in_shadow):
            held += rank if held else [run for run in rank if self.behind(run.rule.name, place)]
        shadows = (run for run in runs if not run.queued and run.rule.in_shadow)
        return held + [run for run in shadows if self.behind(run.rule.name, place)]

    def hold(self, rules: Sequence[str], place: str, start: Callable[[], Awaitable[None]]) -> None:
        """Have runs of these rules wait, and `start` called when the rule that they wait for has
        room: one of them, or that of an earlier run of theirs in this conversation."""
        places = [(rule, place) for rule in rules]
        before = next((self._places[each][0] for each in places if each in self._places), "")
        first = before or next(filter(self.behind, rules), rules[0])
        self._groups.setdefault(first, deque()).append(_Group(places, start))
        for each in places:
            self._places[each] = (first, self._places.get(each, ("", 0))[1] + 1)
        self.held += len(rules)

    def _has_room(self, rule: str) -> bool:
        busy = self._queue.by_rule[rule]
        return busy < (RULE_RUNS // 10 if len(self._queue) >= CROWD else RULE_RUNS)

    async def _room(self, rule: str) -> None:
        """Runs of this rule have ended."""
        groups = self._groups.get(rule)
        while groups and self._has_room(rule):
            group = groups.popleft()
            if not groups:
                del self._groups[rule]
            for place in group.places:
                whom, held = self._places.pop(place)
                if held > 1:
                    self._places[place] = (whom, held - 1)
            self.held -= len(group.places)
            await group.start()
