"""Resumption of runs: after a wait, after a restart, when their turn in a queue has come.

What wakes a run lies in the journal before anything is done about it, so a crash between the event
and the next step loses nothing. Each step takes one event; the rest lie ready for the next.
"""

import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from ringback.events import CALL_OVER, Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Waits, home, turn_of
from ringback.rules.interpreter.machine import Progress, Wake
from ringback.rules.interpreter.progress import CLOSED
from ringback.rules.model import Rule
from ringback.runtime import Runtime, iso
from ringback.store.actions import StoredAction
from ringback.store.interface import Journal
from ringback.store.operations.list_turns import DRAW_KEY
from ringback.store.runs import RunStep, StoredRun
from ringback.worker.run import drafts
from ringback.worker.run.absent import Absent
from ringback.worker.run.backlog import Backlog
from ringback.worker.run.call_answers import Waiting
from ringback.worker.run.keyed_queue import KeyedQueue
from ringback.worker.run.runner import Ready, Runner
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
        unmatched: Callable[[], tuple[int, Sequence[Event]]],
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
        self._unmatched = unmatched
        self._resuming: set[str] = set()
        self._restored = True
        self._left: deque[Callable[[], Awaitable[None]]] = deque()
        self._taken_up: RuleSet | None = None
        self._absent = Absent(journal, runtime)

    async def restore(self) -> None:
        """After a restart: take note of everything that waits, was about to start, or has events
        ready. It starts as `take_up` is asked for it, in the order in which the events came; what
        was under way, or had come before a run waited for it, is first."""
        journal = self._journal
        await self._absent.restore()
        if not await journal.meta.get(DRAW_KEY):
            await journal.meta.set(DRAW_KEY, self._runtime.tag())
        self._runner.kept = set(await journal.runs.kept())
        self._left += [partial(self._look_back, uid) for uid in await journal.open_runs.asking()]
        async for run, place in journal.open_runs.in_state("waiting"):
            try:
                state = json.loads(run.memory) if run.memory else {}
                if state.get("wait"):
                    self._waits.add(run.uid, run.rule, state, place or run.key, run.key)
                if state.get("phase") == CLOSED:
                    self._left.append(partial(self.woken, run.uid, None))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                await self._spoiled(run, error)
        by_event: dict[str, list[StoredRun]] = {}
        async for run, _ in journal.open_runs.in_state("pending"):
            by_event.setdefault(run.event_uid, []).append(run)
        for event_uid, woken in await journal.events.left():
            self._left += [partial(self.woken, uid, None) for uid in woken]
            if runs := by_event.pop(event_uid, None):
                self._left.append(partial(self._take_up, event_uid, runs))
        for event_uid, runs in by_event.items():  # their event is gone
            self._left.append(partial(self._take_up, event_uid, runs))
        self._restored = not self._left

    async def take_up(self, room: int) -> bool:
        """Start what a restart or a reload has left, while there is room for so many runs. False
        when nothing is left: new events come after it, so that the order in a conversation stays.
        """
        if not self._left:
            return False
        before = len(self._queue)
        while self._left and len(self._queue) - before < room and not self._backlog.full:
            await self._left.popleft()()
        if not self._left and not self._restored:
            self._restored = True
            self._signals.due("")
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

    async def due(self) -> str:
        """Take up the waits whose time has come, and the queues after a start or a reload. The
        moment up to which all have been taken up: some may stand in line yet, and are not to be
        looked for again. Empty when there may be more."""
        if self._taken_up is not self.ruleset:
            self._taken_up = self.ruleset
            await self._take_up_rules()
            await self._take_up_queues()
        await self._end_lost()
        if not self._restored:  # what came before a moment goes before what is due at it
            return ""
        until, held = await self._matched_until()
        due = await self._journal.runs.due(until, DUE_AT_ONCE)
        fresh = [run for run in due if run.uid not in self._resuming | held]
        for run in fresh:
            self._resuming.add(run.uid)
            await self.woken(run.uid, None)
        more = (fresh and len(due) >= DUE_AT_ONCE) or any(run.uid in held for run in due)
        return "" if more else until

    async def _matched_until(self) -> tuple[str, set[str]]:
        """The moment up to which everything is known that has come: now, or when the oldest row
        came that is not matched yet. It may be what a run waits for, and have come in time. And the
        runs of which an event that stands aside for a plugin's answer may be just that."""
        now = iso(self._runtime.now())
        row, aside = self._unmatched()
        left = await self._journal.log.after(row, 1)
        return min([now, *(row.received_at for row in left)]), self._waits.concerned(aside)

    async def _take_up_rules(self) -> None:
        """Some rules may be gone, and others that runs have waited for may be back."""
        back = await self._absent.back(self.ruleset.by_name)
        rules = await self._journal.open_runs.rules_at_work()
        changed = [rule for rule in rules if rule in back or self._is_absent(rule)]
        absent: dict[str, list[str]] = {}
        for state in ("waiting", "pending") if changed else ():
            async for run, _ in self._journal.open_runs.in_state(state, changed):
                if self._is_absent(run.rule):
                    absent.setdefault(run.rule, []).append(run.uid)
                    continue
                await self._absent.release(run)
                if run.state == "pending":
                    await self.begin(run.event_uid, [run.uid], [run.rule])
                elif await self._journal.runs.next_wake(run.uid) is not None:
                    await self.woken(run.uid, None)
        for rule, uids in absent.items():
            await self._absent.hold(rule, uids)

    async def _end_lost(self) -> None:
        """End the runs whose rules have not come back in their time."""
        lost = await self._absent.over()
        for state in ("waiting", "pending") if lost else ():
            async for run, _ in self._journal.open_runs.in_state(state, lost):
                if self._is_absent(run.rule):
                    await self._cancel(run, lost[run.rule])

    async def _take_up_queues(self) -> None:
        """A crash may have come before a promotion, and a rule may queue no longer."""
        places: dict[tuple[str, str], None] = {}
        async for run, _ in self._journal.open_runs.in_state("waiting", queued=True):
            if self._is_absent(run.rule):
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
        ready = await self._journal.runs.next_wake(run.uid) is not None
        asks = "after" in progress.state and not drafts.is_held(progress.state)
        came = asks and await self._signals.early(run.uid, run.rule, event, progress.state, run.key)
        if ready:
            await self.woken(run.uid, None)
        elif came:
            self._put_first(run, event)

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

    async def approved(self, action: StoredAction) -> None:
        """A person says yes to a draft: should it be a question, its run waits for the answer from
        now on. This comes first: a crash behind it leaves the draft to be approved again."""
        run, now = await self._journal.runs.get(action.run_uid), self._runtime.now()
        event = await self._journal.events.get(run.event_uid) if run else None
        if run is None or event is None or not drafts.holds(run, action.uid):
            return
        state, wait = drafts.begun(run.memory or "", now)
        state["after"] = await self._now()
        due = iso(wait.due_at) if wait.due_at else None
        step = RunStep(run.uid, "waiting", wait.describe(), memory=json.dumps(state), due_at=due)
        if await self._journal.runs.finish(step, iso(now)):
            self._waits.add(run.uid, run.rule, state, home(event), run.key)
            self._signals.due(due or iso(now))

    async def declined(self, action: StoredAction) -> None:
        """A person says no to a draft: a run that asks by it is over."""
        run = await self._journal.runs.get(action.run_uid)
        if run is not None and drafts.holds(run, action.uid):
            await self._cancel(run, "a person declined what it asks")

    def hung_up(self, run_uid: str, call_sid: str, verb: str) -> None:
        """Nobody heard what a run said to a call: should it wait for an answer from there, none
        will come; and nothing is left to be done when this verb was to lead the caller on."""
        self._queue.put(call_sid, partial(self._end_led, run_uid, call_sid, verb))

    async def _end_led(self, run_uid: str, call_sid: str, verb: str) -> None:
        stored = await self._journal.runs.get(run_uid)
        if stored is None or stored.state != "waiting" or not stored.memory:
            return
        state = json.loads(stored.memory)
        wait = state.get("wait") or {}
        if any(call_sid in each for each in state.get("called", ())):
            return  # how a call of our own ended is told by its callback, which leads to `else`
        asked = wait.get("key") == call_sid and set(CALL_OVER).issubset(wait.get("types", ()))
        if not asked and not verb:
            return
        before = "the caller was asked" if asked else f"`{verb}`"
        step = RunStep(run_uid, "done", f"stopped: the call had ended before {before}")
        if await self._journal.runs.finish(step, iso(self._runtime.now())):
            self._waits.drop(run_uid)
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
            if event is not None and self._is_absent(run.rule):
                await self._absent.hold(run.rule, [run.uid])
            elif event is None or rule is None:
                await self._give_up(run, event)
            else:
                begun = Ready.stored(run, rule, Wake())
                queued = run.state == "waiting"
                ready.append(replace(begun, after=await self._now() if queued else ""))
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
        closed = json.loads(stored.memory).get("phase") == CLOSED
        due = stored.due_at and stored.due_at <= iso(self._runtime.now())
        if found is None and not due and not closed:
            return
        event = await self._journal.events.get(stored.event_uid)
        rule = self._rule(stored)
        if event is not None and self._is_absent(stored.rule):
            await self._absent.hold(stored.rule, [run_uid])
            return
        if event is None or rule is None:
            await self._give_up(stored, event)
            return
        if closed:
            ready = Ready.stored(stored, rule, Wake())
            ready = replace(ready, after=(ready.state or {}).get("last", ""))
            await self._signals.again(run_uid, rule, stored.key, False)
        else:
            wake = Wake(await self._journal.events.get(found[1]) if found else None)
            ready = Ready.stored(stored, rule, wake, found[0] if found else 0)
            ready = ready if found else replace(ready, after=await self._now())
        await self._runner.go_on(event, ready, waiting)

    async def _now(self) -> str:
        """The last event on record."""
        return await self._journal.events.last_uid()

    async def _look_back(self, run_uid: str) -> None:
        """A run that has asked before the last worker ended: its answer may have come before."""
        run = await self._journal.runs.get(run_uid)
        if run is None or not run.memory or (rule := self._rule(run)) is None:
            return
        event, state = await self._journal.events.get(run.event_uid), json.loads(run.memory)
        if event is not None and await self._signals.early(run_uid, rule, event, state, run.key):
            await self.woken(run_uid, None)

    def _put_first(self, run: Ready, event: Event) -> None:
        turn = partial(self._turn, run.uid, None)
        self._queue.put(turn_of(run.rule, home(event)), turn, (run.rule.name,), first=True)

    def _rule(self, run: StoredRun) -> Rule | None:
        """The rule of a run; of a quarantined one only when its answer is kept already."""
        if run.rule in self.quarantined and run.uid not in self._runner.kept:
            return None
        return self.ruleset.by_name.get(run.rule)

    def _is_absent(self, rule: str) -> bool:
        return rule not in self.quarantined and rule not in self.ruleset.by_name

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
