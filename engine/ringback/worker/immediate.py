"""Immediate runs: those of plain rules, done and written in the commit of their event.

A rule whose steps ask nothing of the past, wait for nothing and call no plugin needs no event on
record: its run begins and ends before the batch is written, and one transaction holds event, run,
actions and the attempts that nothing holds back. Whatever is not as plain is left to the runner.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.events import Event
from ringback.plugins.memo import Memo
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import home
from ringback.rules.interpreter import machine as interpreter
from ringback.rules.language.scope import Facts
from ringback.rules.model import Rule
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.store.matching import NewRun, Recorded
from ringback.store.runs import RunStep
from ringback.tracing import spans as tracing
from ringback.twilio.consent import changes
from ringback.worker.gate.gate import Gatekeeper
from ringback.worker.match.look import Judged, Looked
from ringback.worker.run.backlog import Backlog
from ringback.worker.run.keyed_queue import KeyedQueue
from ringback.worker.run.plan import Origin, plan
from ringback.worker.run.portions import PORTION
from ringback.worker.signals import Signals
from ringback.worker.traces import worker_spans as traces

TURN = 20
"""After so many runs the loop has a turn."""
MOST_SERVICES = 1000
"""So many numbers of ours are known to be in a messaging service; with more it begins anew."""


class _Past:
    """In place of the past: notes that it was asked."""

    def __init__(self) -> None:
        self.asked = False

    def __getattr__(self, name: str) -> Any:
        self.asked = True
        raise LookupError(f"{name}: the event is not on record yet")


@dataclass(frozen=True, slots=True)
class _Done:
    """A run that is over: where it has its turn, its step, its event and rule, and when it began (0
    while nobody traces it)."""

    place: str
    step: RunStep
    event: Event
    rule: Rule
    begun: int


class Immediate:
    """Writes what was matched, with the runs that can be done at once."""

    def __init__(
        self, *, journal: Journal, settings: Settings, runtime: Runtime, queue: KeyedQueue,
        backlog: Backlog, gate: Gatekeeper, signals: Signals,
    ) -> None:  # fmt: skip
        self.ruleset: RuleSet
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._queue = queue
        self._backlog = backlog
        self._gate = gate
        self._signals = signals
        self._services: set[tuple[str, str]] = set()

    async def record(self, looked: Looked, cursor: int) -> Recorded:
        """`Matching.record` for what rows of the log have brought. The runs that are done with it
        are named in what comes back."""
        told = [item for item in looked.judged if item.row is not None]
        done = await self._done(told, looked.later)
        batch = [item.matched for item in told]
        if not done:
            return await self._journal.matching.record(batch, cursor, looked.later)
        try:
            return await self._written(batch, cursor, looked.later, list(done.values()))
        finally:
            for each in done.values():
                self._queue.release(each.place)

    async def _written(
        self, batch: Sequence[Any], cursor: int, later: Sequence[Event], done: Sequence[_Done]
    ) -> Recorded:
        now, steps = iso(self._runtime.now()), [each.step for each in done]
        fresh = [item for step in steps for item in step.actions if item.state == "planned"]
        leaving, refused = await self._signals.leaving(fresh, True), None
        try:
            recorded, refused = await self._journal.runs.record_done_with(
                batch, cursor, later, steps, leaving.openings, now
            )
        finally:
            self._signals.left(leaving, refused)
        for each in done:
            traces.ran(each.event, each.rule, [each.step], each.begun, uid=each.step.run_uid)
        return replace(recorded, done=frozenset(step.run_uid for step in steps))

    async def _done(self, told: Sequence[Judged], later: Sequence[Event]) -> dict[str, _Done]:
        """The runs that are over at once, by their events, each of which holds its conversation.
        None in a batch that tells of consent: the gate is to know that first."""
        plain = [item for item in told if self._is_plain(item)]
        if not plain or self._news(item.matched.event for item in told) or any(map(changes, later)):
            return {}
        ended = {uid for item in told for uid, _ in item.matched.cancels}
        done: dict[str, _Done] = {}
        for number, item in enumerate(plain, 1):
            (rule, run), event = item.judgement.starts[0], item.matched.event
            place = home(event)
            begun = tracing.clock()
            held = self._queue.busy(place) or self._backlog.behind(rule.name, place)
            if held or run.uid in ended or (step := self._step(rule, run, event)) is None:
                continue
            self._queue.hold(place)
            done[event.uid] = _Done(place, step, event, rule, begun)
            if not number % TURN:
                await asyncio.sleep(0)
        return done

    def _news(self, events: Iterable[Event]) -> bool:
        """Whether any of these events says something new that the gate has to read from the
        journal. What it knows by itself it learns here."""
        found = False
        for event in events:
            self._gate.learn(event)
            service = event.fields.get("MessagingServiceSid", "")
            pair = (event.recipient, service)  # of a status the recipient is no number of ours
            if service and event.type == "message.received" and pair not in self._services:
                if len(self._services) >= MOST_SERVICES:
                    self._services.clear()
                self._services.add(pair)
                found = True
            found = found or bool(changes(event))
        return found

    def _is_plain(self, item: Judged) -> bool:
        """Whether an event starts one run and nothing else, and nobody waits for what it brings."""
        starts, matched = item.judgement.starts, item.matched
        if len(starts) != 1 or matched.cancels or matched.wakes or matched.displaces:
            return False
        rule, run = starts[0]
        if rule.handler is not None or rule.state != "live" or rule.mode == "queued":
            return False
        if rule.collects or rule.unless is not None or run.state != "pending":
            return False
        return matched.event.trust != "claimed" and item.found().asked is None

    def _step(self, rule: Rule, run: NewRun, event: Event) -> RunStep | None:
        """The one step of a run; None for one that has to be done in the usual way."""
        past, memo, places = _Past(), Memo(), self.ruleset.places
        begin = partial(interpreter.begin, places=places)
        try:
            progress = memo.within(begin)(rule, event, cast(Facts, past), self._runtime.now())
            state, reason = progress.outcome
            if past.asked or memo.missing or state != "done" or len(progress.actions) > PORTION:
                return None
            if any(getattr(action, "verbs", ()) for action in progress.actions):
                return None
            origin = Origin(run.uid, rule.name, rule.state, 0, {} if rule.ordered else None)
            planned = plan(
                origin, event, progress.actions, runtime=self._runtime, settings=self._settings,
                waiting_call="",
            )  # fmt: skip
        except (RingbackError, ValueError, TypeError, LookupError):  # the runner says what is wrong
            return None
        return RunStep(run.uid, state, reason, planned.actions)
