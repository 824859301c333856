"""Runs of a bench: those that have not ended, as the journal of a node would hold them."""

import heapq
import json
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ringback.events import Event
from ringback.rules.engine.admission import Start, Woken, was_idle
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Standing, Waits, home
from ringback.rules.interpreter.answers import heeds
from ringback.rules.interpreter.machine import Progress, Wait
from ringback.rules.language.scope import Facts
from ringback.rules.model import Rule
from ringback.worker.run import drafts

_Place = tuple[str, str]


@dataclass(slots=True, eq=False)
class Run:
    """One run of a rule. `state` is what its last step left, None before it begins; `wait` is what
    it waits for; `inbox` holds the events that it has yet to take; `acted`: it has made actions."""

    number: int
    rule: Rule
    event: Event
    key: str
    queued: bool
    wait: Wait | None = None
    state: dict[str, Any] | None = None
    inbox: deque[Event] = field(default_factory=deque)
    acted: bool = False
    over: bool = False

    @property
    def uid(self) -> str:
        """Its name on this bench."""
        return f"run_{self.number}"

    def kept(self) -> dict[str, Any]:
        """The state as a journal gives it back: through JSON, with nothing else surviving."""
        state: dict[str, Any] = json.loads(json.dumps(self.state))
        return state


class Runs:
    """All runs that have not ended, under each of the words by which they are found."""

    def __init__(self, ruleset: RuleSet, facts: Facts) -> None:
        self._facts = facts
        self._waits = Waits()
        self._waits.ruleset = ruleset
        self._number = 0
        self._open: dict[str, Run] = {}
        self._by_rule: defaultdict[_Place, dict[str, Run]] = defaultdict(dict)
        self._fired: dict[_Place, dict[str, datetime]] = {}
        self._due: list[tuple[datetime, int, Run]] = []
        self._locks: dict[_Place, tuple[str, datetime]] = {}

    def start(self, start: Start, event: Event) -> Run:
        """A run that was admitted."""
        self._number += 1
        place = (start.rule.name, start.key)
        run = Run(self._number, start.rule, event, start.key, start.queued)
        self._open[run.uid] = self._by_rule[place][run.uid] = run
        if start.rule.once_within:
            self._fired.setdefault(place, {})[run.uid] = event.received_at
        return run

    def wait(self, run: Run, wait: Wait, state: dict[str, Any]) -> None:
        """This run waits from now on."""
        run.wait, run.state, run.queued = wait, state, False
        self._waits.add(run.uid, run.rule.name, state, home(run.event), run.key)
        if wait.due_at is not None:
            heapq.heappush(self._due, (wait.due_at, run.number, run))

    def with_locks(self, run: Run, turn: Callable[..., Progress], now: datetime) -> Progress:
        """One turn of a run, made again with each lock that it asks for."""
        locks: dict[str, str] = {}
        while (lock := (progress := turn(locks=locks)).lock) is not None:
            place = (lock.key, run.rule.name if run.rule.in_shadow else "")
            until = now + timedelta(seconds=lock.seconds)
            holder, held = self._locks.get(place, ("", now))
            locks[lock.key] = ""
            if holder == run.uid:
                self._locks[place] = (run.uid, max(held, until))
            elif holder in self._open or held > now:
                locks[lock.key] = holder
            else:
                self._locks[place] = (run.uid, until)
        return progress

    def is_ended_by(self, run: Run, event: Event) -> bool:
        """Whether an event that came for a run before it waited ends it by the rule's `cancel_on`.
        What a draft asks nobody has been asked yet."""
        rule, ruleset, state = run.rule, self._waits.ruleset, run.state or {}
        if rule.cancel_on is None or drafts.is_held(state):
            return False
        if not ruleset.is_own(rule, rule.cancel_on, event, self._facts, run.key):
            return False
        given = (rule.cancel_on, rule, run.event, state, event, self._facts, ruleset.places)
        return heeds(*given)

    def end(self, run: Run, state: str, reason: str) -> None:
        """This run is over, in this state for this reason."""
        run.over = True
        self._waits.drop(run.uid)
        del self._open[run.uid]
        place = (run.rule.name, run.key)
        del self._by_rule[place][run.uid]
        if not self._by_rule[place]:
            del self._by_rule[place]
        if place in self._fired:
            self._forget(run, self._fired[place], was_idle(state, reason))

    def _forget(self, run: Run, fired: dict[str, datetime], idle: bool) -> None:
        """A run that did nothing has not fired; behind one that did, earlier ones count no more."""
        if idle and not run.acted:
            fired.pop(run.uid, None)
            return
        uids = list(fired)
        for uid in uids[: uids.index(run.uid)] if run.uid in fired else ():
            del fired[uid]

    def get(self, uid: str) -> Run | None:
        """The run of this name, unless it is over."""
        return self._open.get(uid)

    def waiting(self) -> list[Run]:
        """Those that wait, for an event, a moment, or their turn, oldest first."""
        return [run for run in self._open.values() if run.wait is not None or run.queued]

    def next_due(self) -> datetime | None:
        """When the next run that waits for a moment goes on."""
        while self._due and not _still(self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due(self, now: datetime) -> list[Run]:
        """Those whose moment has come, each once."""
        found = []
        while (moment := self.next_due()) is not None and moment <= now:
            found.append(heapq.heappop(self._due)[2])
        return found

    def next_queued(self, rule: str, key: str) -> Run | None:
        """The run whose turn it is, when nothing else of this rule and key is under way."""
        runs = self._by_rule.get((rule, key), {}).values()
        if any(not run.queued for run in runs):
            return None
        return next(iter(runs), None)

    # -- what admission asks

    def last_firing(self, rule: str, key: str, ending: Collection[str]) -> datetime | None:
        """When the event came that this rule last started a run of this key for, unless that was
        idle."""
        for uid, moment in reversed(self._fired.get((rule, key), {}).items()):
            if uid not in ending or self._open[uid].acted:
                return moment
        return None

    def runs(self, rule: str, key: str, call: Event | None) -> Sequence[str]:
        """The runs of a rule for a key that may keep others from starting, oldest first."""
        return self._waits.busy(list(self._by_rule.get((rule, key), ())), call)

    def collecting(self, rule: str, key: str) -> str:
        """The newest run that still collects events of this key; empty when there is none."""
        for run in reversed(self._by_rule.get((rule, key), {}).values()):
            if run.state is None or run.state.get("phase") == "collect":
                return run.uid
        return ""

    def cancelled_by(self, event: Event) -> Sequence[str]:
        """The waiting runs that this event ends, because their rule says `cancel_on`."""
        return self._waits.cancelled_by(event, self._facts, self._standing)

    def woken_by(self, event: Event) -> Sequence[Woken]:
        """The runs that wait for this event, in the order in which they began to wait."""
        return self._waits.woken_by(event, self._facts, self._standing)

    def _standing(self, uid: str) -> Standing:
        run = self._open[uid]
        return Standing(run.event, run.state or {}, bool(run.inbox))


def _still(entry: tuple[datetime, int, Run]) -> bool:
    """Whether a run still waits for the moment that was noted."""
    moment, _, run = entry
    return not run.over and run.wait is not None and run.wait.due_at == moment
