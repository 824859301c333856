"""Run: what a rule does with an event, one at a time per conversation, until it is written down.

The runs of one event start together when their priority is the same; the next lower priority waits
for them, because one of them may say stop. Each run ends in one transaction that holds its state
and the actions it asks for. Nothing is performed here.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from ringback.actions import Action
from ringback.config import Settings
from ringback.errors import PluginBlocked, RingbackError
from ringback.events import Event
from ringback.plugins.memo import Memo
from ringback.plugins.perform import describe
from ringback.plugins.rule_turns import handler_call, is_timed
from ringback.rules.engine.admission import ranks, stopped
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import home, turn_of
from ringback.rules.interpreter import machine as interpreter
from ringback.rules.interpreter.answers import asked
from ringback.rules.interpreter.machine import Progress, Wake
from ringback.rules.model import Rule
from ringback.rules.timing.calendar import Hours
from ringback.runtime import Runtime, iso
from ringback.store.attempts import WRITTEN
from ringback.store.interface import Journal
from ringback.store.matching import NewRun
from ringback.store.operations.run_locks import Claim
from ringback.store.runs import RunStep, StoredRun
from ringback.store.session import ReadSession
from ringback.twilio import twiml
from ringback.worker.questions import Questions
from ringback.worker.run import drafts
from ringback.worker.run.call_answers import Waiting, let_down
from ringback.worker.run.call_steps import Steps
from ringback.worker.run.keyed_queue import KeyedQueue
from ringback.worker.run.plan import Origin, Planned, plan
from ringback.worker.run.portions import PORTION, PortionTurns, bodies, read_body, read_head
from ringback.worker.signals import Signals
from ringback.worker.strikes import blame
from ringback.worker.traces import worker_spans as traces

log = logging.getLogger(__name__)

ANSWER_LIMIT = 1.5
"""How long user code may take while a call waits, unless its rule says otherwise; seconds."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A run that may start or go on. `state` is what an earlier step left, None at the start.

    `wake` is what ended its wait, `wake_id` the row in which that event lay ready. One that is
    `queued` starts later, behind another run, unless a stop keeps it from that. `after` is the last
    event on record when this step begins, if no event has brought it about.
    """

    uid: str
    rule: Rule
    key: str
    state: dict[str, Any] | None = None
    wake: Wake = field(default_factory=Wake)
    wake_id: int = 0
    queued: bool = False
    after: str = ""

    @classmethod
    def new(cls, run: NewRun, rule: Rule) -> "Ready":
        """A run that matching decided on."""
        return cls(run.uid, rule, run.key, queued=run.state == "waiting")

    @classmethod
    def stored(cls, run: StoredRun, rule: Rule, wake: Wake, wake_id: int = 0) -> "Ready":
        """A run as the journal holds it, to be started or to go on."""
        state = json.loads(run.memory) if run.memory else None
        return cls(run.uid, rule, run.key, state, wake, wake_id)


class Runner:
    """Starts runs, calls rules in isolation, writes down what they ask for."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        questions: Questions,
        signals: Signals,
        queue: KeyedQueue,
        on_waiting: Callable[[Ready, Event, Progress], Awaitable[None]],
        on_run_end: Callable[[Ready], Awaitable[None]],
    ) -> None:
        self.kept: set[str] = set()
        """Runs whose answers an earlier life of the worker has kept, and not planned to the end."""
        self._places: Mapping[str, Hours] = {}
        self._journal = journal
        self._settings, self._runtime, self._questions = settings, runtime, questions
        self._signals, self._queue = signals, queue
        self._on_waiting, self._on_run_end = on_waiting, on_run_end
        self._steps = Steps(settings, runtime)
        self.turns = PortionTurns()

    def reload(self, ruleset: RuleSet) -> None:
        """Run these rules from now on."""
        self._places = ruleset.places
        self._steps.wants = ruleset.steers

    async def job(self, event: Event, ready: Sequence[Ready], waiting: Waiting | None) -> None:
        """Do all the runs of one event. Those in shadow come when the others are done, and nothing
        waits for them."""
        begin = [run for run in ready if not run.queued]
        shadows = [run for run in begin if run.rule.in_shadow]
        for rank in ranks(run for run in begin if not run.rule.in_shadow):
            stop = await self._rank(event, rank, waiting)
            if stop is not None:
                await self._cancel(stopped(ready, rank), stop)
                shadows = [run for run in shadows if run not in stopped(ready, rank)]
                break
        if shadows:
            work = partial(self._shadows, event, shadows)
            self._queue.put(
                turn_of(shadows[0].rule, home(event)), work, [run.rule.name for run in shadows]
            )

    async def go_on(self, event: Event, run: Ready, waiting: Waiting | None) -> None:
        """Do the next step of one run that has waited."""
        await self._one(event, run, waiting)

    async def _shadows(self, event: Event, runs: Sequence[Ready]) -> None:
        for rank in ranks(runs):
            await self._rank(event, rank, None)

    async def _rank(
        self, event: Event, rank: Sequence[Ready], waiting: Waiting | None
    ) -> str | None:
        """Do the runs of one priority; the reason of a stop, if one of them asked for one."""
        if len(rank) == 1:  # the usual case, which needs no task of its own
            return await self._one(event, rank[0], waiting)
        stops = await asyncio.gather(*(self._one(event, run, waiting) for run in rank))
        return next((reason for reason in stops if reason), None)

    async def _cancel(self, rest: Sequence[Ready], reason: str) -> None:
        """End runs that have not begun. What has joined them begins anew."""
        for run in rest:
            if run.rule.collects:
                await self._signals.again(run.uid, run.rule, run.key, True)
        if rest:
            uids, now = [run.uid for run in rest], iso(self._runtime.now())
            await self._journal.runs.cancel(uids, reason, now)
        for run in rest:
            await self._on_run_end(run)

    @traces.as_run
    async def _one(self, event: Event, run: Ready, waiting: Waiting | None) -> str | None:
        """Do one run and write it down. Returns the reason of a stop, if it asked for one."""
        answering = waiting is not None and bool(waiting.still())
        try:
            if run.uid in self.kept:
                self.kept.discard(run.uid)
                return await self._in_portions(event, run, waiting)
            progress = await self._progress(event, run, answering)
            if progress.closed:
                if (closed := await self._closed(run, progress)) is None:
                    return None
                run = closed
                progress = await self._progress(event, run, answering)
            progress = _marked(run, event, progress)
            actions = self._steps.join(progress)
            if len(actions) > PORTION:
                return await self._keep(event, run, progress, actions, waiting)
            fresh = run.state is None
            origin = _origin(run, 0, {}) if fresh else await self._continued(event, run)
            planned = self._plan(progress, event, actions, origin, waiting)
            texts = [each.uid for each in planned.actions if drafts.asks(each.action, each.reason)]
            progress = drafts.held(progress, texts, self._runtime.now())
            step = _step(run, progress, planned)
            return await self._write(event, run, progress, step, planned, waiting)
        except PluginBlocked as error:
            await self._fail(run, blame(run.rule, error))
            await self._questions.strikes.strike(
                run.rule.name, error.plugin or run.rule.plugin, str(error)
            )
        except RingbackError as error:
            if self._journal.broken is not None:  # the next worker takes the run up
                raise
            await self._fail(run, blame(run.rule, error))
        except Exception as error:
            log.exception("run %s of rule %s: this should not happen", run.uid, run.rule.name)
            await self._fail(run, f"the worker broke: {describe(error)}")
        let_down(run.rule, waiting)
        return None

    async def _closed(self, run: Ready, progress: Progress) -> Ready | None:
        """A run has collected what it will: this is written down, and what came too late for it
        begins anew. None when somebody has ended the run."""
        step = _step(run, progress, Planned((), None, None))
        if not await self._journal.runs.finish(step, iso(self._runtime.now())):
            return None
        await self._signals.again(run.uid, run.rule, run.key, False)
        after = run.after or progress.state.get("last", "")
        return replace(run, state=progress.state, wake=Wake(), wake_id=0, after=after)

    async def _progress(self, event: Event, run: Ready, answering: bool) -> Progress:
        rule = run.rule
        limit = rule.limit or (ANSWER_LIMIT if answering else self._settings.handler_seconds)
        if rule.handler is None:
            return await self._interpreted(event, run, limit)
        timing = None
        if is_timed(rule, run.state):
            timing = await self._interpreted(event, run, limit)
            if timing.end != "call":
                return timing
        call = handler_call(rule, event, run.state, run.wake, timing, run.after)
        return await self._questions.calls.call(call, limit=limit)

    async def _interpreted(self, event: Event, run: Ready, limit: float) -> Progress:
        """The steps or the timing of a rule, with what plugins answer to them, and with the locks
        that it asks for: each is taken, in a commit of its own, before the turn is made again."""
        now, places, memo = self._runtime.now(), self._places, Memo()
        locks: dict[str, str] = {}

        def turn(session: ReadSession) -> Progress:
            facts = session.facts(self._runtime)
            if run.state is None:
                return interpreter.begin(run.rule, event, facts, now, places=places, locks=locks)
            return interpreter.resume(
                run.rule, event, facts, now, run.state, run.wake, places=places, locks=locks
            )

        while True:
            progress: Progress = await self._questions.settled(
                self._journal.read, turn, rule=run.rule.name, limit=limit, memo=memo
            )
            if (lock := progress.lock) is None:
                return progress
            until = iso(now + timedelta(seconds=lock.seconds))
            shadow = run.rule.name if run.rule.in_shadow else ""
            claim = Claim(run.uid, lock.key, until, shadow)
            locks[lock.key] = await self._journal.run_locks.take(claim, iso(now))

    async def _keep(
        self, event: Event, run: Ready, progress: Progress, actions: Sequence[Action],
        waiting: Waiting | None,
    ) -> str | None:  # fmt: skip
        """A long answer: it is kept, and then planned in portions."""
        call = waiting.still() if waiting else ""
        rest = replace(progress, actions=())
        kept = await bodies(run.rule.name, actions, rest, run.wake_id, call, self.turns)
        if not await self._journal.runs.keep(run.uid, kept):
            return None
        return await self._in_portions(event, run, waiting)

    async def _in_portions(self, event: Event, run: Ready, waiting: Waiting | None) -> str | None:
        """Plan what is left of a kept answer, each portion in a turn and a commit of its own."""
        runs, number = self._journal.runs, 0
        head = await runs.portion(run.uid, -1)
        if head is None:  # somebody has ended the run
            return None
        kept = read_head(head[1])
        while found := await runs.portion(run.uid, number):
            number, body, last = found
            async with self.turns.of(run.rule.name):
                origin = await self._continued(event, run)
                call = waiting if number == 1 else None
                planned = self._plan(kept.progress, event, read_body(body), origin, call)
                step = replace(_step(run, kept.progress, planned), portion=number)
                step = replace(step, wake_id=kept.wake_id)
                if number > 1:
                    step = replace(step, question=None)
                if not last:
                    step = replace(step, state="")
                planned = replace(planned, stop=kept.stop)
                stop = await self._write(event, run, kept.progress, step, planned, waiting)
            if last:
                return stop
        return None

    async def _write(
        self, event: Event, run: Ready, progress: Progress, step: RunStep, planned: Planned,
        waiting: Waiting | None,
    ) -> str | None:  # fmt: skip
        """Write one step, or a portion of one. The reason of a stop, when it asked for one."""
        if not await self._finished(step):
            return None
        if planned.followed:  # found by the clock, should nobody say that the caller got it
            self._signals.due(iso(self._runtime.now()))
        if step.state == "failed":
            log.warning("run %s of rule %s failed: %s", run.uid, run.rule.name, step.reason)
            let_down(run.rule, waiting)
        if planned.twiml is not None and waiting is not None:
            waiting.followed = planned.followed
            if not waiting.give(planned.twiml):
                await self._too_late(planned)
        if not step.state:
            return None
        if progress.wait is not None:
            await self._on_waiting(run, event, progress)
        else:
            await self._on_run_end(run)
        return planned.stop

    async def _finished(self, step: RunStep) -> bool:
        """Write a step. What nothing holds back of its actions leaves with the same commit."""
        traces.stepped(step)
        now = iso(self._runtime.now())
        fresh = [item for item in step.actions if item.state == "planned" and not item.due_at]
        if not fresh:
            return await self._journal.runs.finish(step, now)
        leaving, refused = await self._signals.leaving(fresh, False), None
        try:
            refused = await self._journal.runs.finish_and_open(step, leaving.openings, now)
        finally:
            self._signals.left(leaving, refused)
        return refused is not None

    async def _continued(self, event: Event, run: Ready) -> Origin:
        """Where a run goes on that has planned something before."""
        first = await self._journal.actions.next_ordinal(event.uid, run.rule.name)
        wanted = bool(first) and run.rule.ordered
        texts = await self._journal.actions.open_texts(run.uid) if wanted else {}
        return _origin(run, first, texts)

    def _plan(
        self, progress: Progress, event: Event, actions: Sequence[Action], origin: Origin,
        waiting: Waiting | None,
    ) -> Planned:  # fmt: skip
        planned = plan(
            origin, event, actions, runtime=self._runtime, settings=self._settings,
            waiting_call=waiting.still() if waiting else "",
        )  # fmt: skip
        if progress.outcome[0] == "failed" and planned.twiml is not None:
            fallback = self._settings.fallback_twiml
            planned = replace(planned, twiml=twiml.followed(planned.twiml, fallback))
        return planned

    async def _too_late(self, planned: Planned) -> None:
        """The answer was written down but the call stopped waiting in between: update the call."""
        late = [item for item in planned.actions if item.reason == WRITTEN]
        for item in late:
            await self._journal.attempts.unheard(item.uid)
        self._signals.planned(late)

    async def _fail(self, run: Ready, reason: str) -> None:
        """End a run whatever has become of it. The reason is made of what others said: it is put
        into letters that can be written."""
        reason = reason.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
        log.warning("run %s of rule %s failed: %s", run.uid, run.rule.name, reason)
        now = iso(self._runtime.now())
        traces.stepped(step := RunStep(run.uid, "failed", reason))
        await self._journal.runs.finish(step, now)
        await self._on_run_end(run)


def _step(run: Ready, progress: Progress, planned: Planned) -> RunStep:
    """Where a run has got to with this progress."""
    state, reason = progress.outcome
    step = RunStep(
        run.uid, state, reason, planned.actions, twiml=planned.twiml, wake_id=run.wake_id,
        turns={} if run.rule.in_shadow else progress.state.get("turns", {}),
    )  # fmt: skip
    if run.wake.event is not None and progress.moved(run.state):
        step = replace(step, question=asked(run.state or {}))
    if progress.wait is None:
        return step
    due_at = iso(progress.wait.due_at) if progress.wait.due_at else None
    if drafts.is_held(progress.state):
        step = replace(step, reason=drafts.UNDECIDED)
    return replace(step, memory=json.dumps(progress.state), due_at=due_at)


def _marked(run: Ready, event: Event, progress: Progress) -> Progress:
    """A step that begins to wait notes behind which event the awaited one stands, or one that ends
    the run: it may be on record before the run waits. A conversation in Python notes it itself."""
    wait = progress.wait
    if wait is None or not (wait.event_types or run.rule.cancel_on):
        return progress
    marks = run.rule.handler is not None and "after" in progress.state
    if marks or not progress.moved(run.state):
        return progress
    came = run.wake.event or event
    state = {**progress.state, "after": run.after or came.uid}
    if run.after and run.state is None:  # from its queue: what came before met it there
        state["from"] = run.after
    return replace(progress, state=state)


def _origin(run: Ready, first: int, texts: Mapping[str, str]) -> Origin:
    rule = run.rule
    steps = rule.handler is None or rule.converses
    return Origin(run.uid, rule.name, rule.state, first, texts if rule.ordered else None, steps)
