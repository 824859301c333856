"""Resumption of runs: after a wait, after a restart, when their turn in a queue has come.

What wakes a run lies in the journal before anything is done about it, so a crash between the event
and the next step loses nothing. Each step takes one event; the rest lie ready for the next.
"""

import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from ringback.events import Event
from ringback.rules.engine.interpreter import Progress, Wake
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Waits, home
from ringback.rules.model import Rule
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.store.runs import RunStep, StoredRun
from ringback.worker.run.absent import Absent
from ringback.worker.run.backlog import Backlog
from ringback.worker.run.call_answers import Waiting
from ringback.worker.run.keyed_queue import KeyedQueue
from ringback.worker.run.runner import Ready, Runner, turn_of
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

DUE_AT_ONCE = 500


class Resumer:
    """Takes up runs that the journal holds."""

    def __init__(
        self,
        *,
        journal: Journal,
        runtime: Runtime,
        runner: Runner,
        queue: KeyedQueue,
        backlog: Backlog,
        waits: Waits,
        signals: Signals,
    ) -> None:
        self.ruleset = RuleSet(())
        self.quarantined: dict[str, str] = {}
        self._journal = journal
        self._runtime = runtime
        self._runner = runner
        self._queue = queue
        self._backlog = backlog
        self._waits = waits
        self._signals = signals
        self._resuming: set[str] = set()
        self._left: deque[Callable[[], Awaitable[None]]] = deque()
        self._taken_up: RuleSet | None = None
        self._absent = Absent(journal, runtime)

    async def restore(self) -> None:
        """After a restart: take note of everything that waits, was about to start, or has events
        ready. It starts as `take_up` is asked for it."""
        journal = self._journal
        await self._absent.restore()
        self._runner.kept = set(await journal.runs.kept())
        for run in await journal.runs.in_state("waiting"):
            event = await journal.events.get(run.event_uid) if run.memory else None
            try:
                state = json.loads(run.memory) if run.memory else {}
                if state.get("wait"):
                    where = home(event) if event else run.key
                    self._waits.add(run.uid, run.rule, state, where, run.key)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                await self._spoiled(run, error)
        by_event: dict[str, list[StoredRun]] = {}
        for run in await journal.runs.in_state("pending"):
            by_event.setdefault(run.event_uid, []).append(run)
        for event_uid, grouped in by_event.items():
            self._left.append(partial(self._take_up, event_uid, grouped))
        for uid in await journal.runs.woken():
            self._left.append(partial(self.woken, uid, None))

    async def take_up(self, room: int) -> bool:
        """Start what a restart or a reload has left, while there is room for so many runs. False
        when nothing is left: new events come after it, so that the order in a conversation stays.
        """
        if not self._left:
            return False
        before = len(self._queue)
        while self._left and len(self._queue) - before < room and not self._backlog.full:
            await self._left.popleft()()
        return True

    async def woken(self, run_uid: str, waiting: Waiting | None) -> None:
        """An event lies ready for this run. `waiting` is the call that it may answer."""
        stored = await self._journal.runs.get(run_uid)
        event = stored and await self._journal.events.get(stored.event_uid)
        rule = self._rule(stored) if stored is not None else None
        if waiting is not None and (stored is None or (rule is not None and rule.in_shadow)):
            waiting.leave()
            waiting = None
        if stored is not None:
            key = turn_of(rule, home(event) if event else run_uid)
            if waiting is None and self._backlog.behind(stored.rule):
                self._backlog.hold((stored.rule,), key, partial(self.woken, run_uid, None))
            else:
                self._queue.put(key, partial(self._turn, run_uid, waiting), (stored.rule,))

    async def due(self) -> None:
        """Take up the waits whose time has come, and the queues after a start or a reload."""
        if self._taken_up is not self.ruleset:
            self._taken_up = self.ruleset
            await self._take_up_rules()
            await self._take_up_queues()
        await self._end_lost()
        now = iso(self._runtime.now())
        for run in await self._journal.runs.due(now, DUE_AT_ONCE):
            if run.uid not in self._resuming:
                self._resuming.add(run.uid)
                await self.woken(run.uid, None)

    async def _take_up_rules(self) -> None:
        """Some rules may be gone, and others that runs have waited for may be back."""
        back = await self._absent.back(self.ruleset.by_name)
        runs = await self._journal.runs.in_state("waiting")
        pending = await self._journal.runs.in_state("pending")
        for run in (*runs, *pending):
            if self._is_absent(run):
                await self._absent.hold(run)
            elif run.rule in back:
                await self._absent.release(run)
                if run.state == "pending":
                    await self.begin(run.event_uid, [run.uid], [run.rule])
                elif await self._journal.runs.next_wake(run.uid) is not None:
                    await self.woken(run.uid, None)

    async def _end_lost(self) -> None:
        """End the runs whose rules have not come back in their time."""
        lost = await self._absent.over()
        for state in ("waiting", "pending") if lost else ():
            for run in await self._journal.runs.in_state(state):
                if run.rule in lost and self._is_absent(run):
                    await self._cancel(run, lost[run.rule])

    async def _take_up_queues(self) -> None:
        """A crash may have come before a promotion, and a rule may queue no longer."""
        places: dict[tuple[str, str], None] = {}
        for run in await self._journal.runs.in_state("waiting"):
            if run.memory is not None or self._is_absent(run):
                continue
            rule = self._rule(run)
            if rule is not None and rule.mode == "queued":
                places[run.rule, run.key] = None
            else:
                self._left.append(partial(self._take_up, run.event_uid, [run]))
        self._left += [partial(self.promote, *place) for place in places]
        if self._left:
            self._signals.news()

    async def waits_now(self, run: Ready, event: Event, progress: Progress) -> None:
        """A run has begun to wait. What came for it already is taken at once."""
        assert progress.wait is not None
        self._waits.add(run.uid, run.rule.name, progress.state, home(event), run.key)
        if progress.wait.due_at is not None:
            self._signals.due(iso(progress.wait.due_at))
        if await self._journal.runs.next_wake(run.uid) is not None:
            await self.woken(run.uid, None)
        elif "after" in progress.state:
            after = progress.state["after"]
            early = await self._journal.events.early_message(event.conversation, after)
            if early is not None:
                key = turn_of(run.rule, home(event))
                self._queue.put(key, partial(self._deliver, run.uid, early))

    async def ended(self, run: Ready) -> None:
        """A run has ended: the next of its queue may start."""
        self._waits.drop(run.uid)
        if run.rule.mode == "queued":
            await self.promote(run.rule.name, run.key)

    async def cancelled(self, run_uid: str) -> None:
        """A run was cancelled in the journal."""
        self._waits.drop(run_uid)
        stored = await self._journal.runs.get(run_uid)
        if stored is not None:
            await self.promote(stored.rule, stored.key)

    async def promote(self, rule: str, key: str) -> None:
        """Start the oldest run that is queued behind others, when its turn has come."""
        uid = await self._journal.runs.next_queued(rule, key)
        stored = await self._journal.runs.get(uid) if uid else None
        if stored is not None:
            await self.begin(stored.event_uid, [stored.uid], [stored.rule])

    async def _take_up(self, event_uid: str, runs: Sequence[StoredRun]) -> None:
        """Start runs of one event that a restart has left, or have them wait for their rules."""
        event = await self._journal.events.get(event_uid)
        place = home(event) if event is not None else event_uid
        uids, rules = [run.uid for run in runs], [run.rule for run in runs]
        if any(self._backlog.behind(rule, place) for rule in rules):
            self._backlog.hold(rules, place, partial(self.begin, event_uid, uids, rules))
        else:
            await self.begin(event_uid, uids, rules)

    async def begin(self, event_uid: str, uids: Sequence[str], rules: Sequence[str]) -> None:
        """Start runs of one event, behind all else that is to be done in its conversation."""
        event = await self._journal.events.get(event_uid)
        key = home(event) if event is not None else event_uid
        self._queue.put(key, partial(self._start, event_uid, uids), rules)

    async def _start(self, event_uid: str, uids: Sequence[str]) -> None:
        event = await self._journal.events.get(event_uid)
        ready = []
        for uid in uids:
            run = await self._journal.runs.get(uid)
            if run is None or run.memory is not None or run.state not in ("pending", "waiting"):
                continue  # it has begun or ended meanwhile
            rule = self._rule(run)
            if event is not None and self._is_absent(run):
                await self._absent.hold(run)
            elif event is None or rule is None:
                await self._give_up(run, event)
            else:
                ready.append(Ready.stored(run, rule, Wake()))
        if event is not None and ready:
            await self._runner.job(event, ready, None)

    async def _turn(self, run_uid: str, waiting: Waiting | None) -> None:
        """The turn of a run that waits; the call that it may answer learns when it is over."""
        try:
            await self._go_on(run_uid, waiting)
        finally:
            if waiting is not None:
                waiting.leave()

    async def _go_on(self, run_uid: str, waiting: Waiting | None) -> None:
        """One step of one waiting run, with the oldest event that lies ready or its time."""
        self._resuming.discard(run_uid)
        stored = await self._journal.runs.get(run_uid)
        if stored is None or stored.state != "waiting" or stored.memory is None:
            return  # it has ended, or has not begun: what lies ready is taken when it waits
        found = await self._journal.runs.next_wake(run_uid)
        if found is None and (not stored.due_at or stored.due_at > iso(self._runtime.now())):
            return
        event = await self._journal.events.get(stored.event_uid)
        rule = self._rule(stored)
        if event is not None and self._is_absent(stored):
            await self._absent.hold(stored)
            return
        if event is None or rule is None:
            await self._give_up(stored, event)
            return
        wake = Wake(await self._journal.events.get(found[1]) if found else None)
        ready = Ready.stored(stored, rule, wake, found[0] if found else 0)
        await self._runner.go_on(event, ready, waiting)

    async def _deliver(self, run_uid: str, event_uid: str) -> None:
        await self._journal.runs.wake(run_uid, event_uid)
        await self._go_on(run_uid, None)

    def _rule(self, run: StoredRun) -> Rule | None:
        """The rule of a run; of a quarantined one only when its answer is kept already."""
        if run.rule in self.quarantined and run.uid not in self._runner.kept:
            return None
        return self.ruleset.by_name.get(run.rule)

    def _is_absent(self, run: StoredRun) -> bool:
        return run.rule not in self.quarantined and run.rule not in self.ruleset.by_name

    async def _spoiled(self, run: StoredRun, error: Exception) -> None:
        """What a run keeps for its wait is of another program, or damaged: it cannot go on."""
        reason = f"what it keeps for its wait cannot be read: {type(error).__name__}: {error}"
        log.error("run %s of rule %s failed: %s", run.uid, run.rule, reason)
        failed = RunStep(run.uid, "failed", reason)
        await self._journal.runs.finish(failed, iso(self._runtime.now()))

    async def _give_up(self, run: StoredRun, event: Event | None) -> None:
        await self._cancel(run, "its event is gone" if event is None else "its rule is quarantined")

    async def _cancel(self, run: StoredRun, reason: str) -> None:
        now = iso(self._runtime.now())
        await self._journal.runs.cancel([run.uid], reason, now)
        self._waits.drop(run.uid)
        await self.promote(run.rule, run.key)
