"""Engine of the worker: match, run, send, and the loop that drives them.

The three stages are joined by what is committed, not by what is in memory: after a restart each
one finds in the journal what the last commit left for it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from ringback.config import Settings
from ringback.errors import Problem, RingbackError
from ringback.events import Event
from ringback.gateway.client import Gateway
from ringback.ipc import Link, socket_path
from ringback.plugins.loader import PluginSet
from ringback.plugins.requests import PluginCalls
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import home
from ringback.rules.model import Rule
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.store.meta import ACCOUNT
from ringback.store.operations.doings import Doing
from ringback.worker.match.anew import Asking
from ringback.worker.match.look import Found
from ringback.worker.match.step import Ahead, Step, copy_of
from ringback.worker.operations.rule_overrides import Overrides
from ringback.worker.parts import Around, build
from ringback.worker.run.call_answers import Waiting
from ringback.worker.run.runner import Ready
from ringback.worker.send.notices import Notices
from ringback.worker.signals import Signals
from ringback.worker.traces import worker_spans as traces

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""How long the worker trusts that no news is no news, should a wake-up get lost."""
CROWDED_SECONDS = 0.01
RUNS_LIMIT = 2000
"""While so many runs wait or are under way, no more are admitted: the rest wait in the files."""
RELOAD_ROWS = 500


class Loaded(Protocol):
    """What a project gives to its worker."""

    @property
    def ruleset(self) -> RuleSet:
        """The rules, ready to match."""

    @property
    def plugins(self) -> PluginSet:
        """The plugins behind them."""

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the files; empty when all is well."""


class Engine:
    """One worker's life: from the first batch after the last cursor to the last commit."""

    def __init__(
        self,
        *,
        settings: Settings,
        loaded: Loaded,
        journal: Journal,
        gateway: Gateway | None,
        runtime: Runtime,
        notices: Notices,
        receiver: Link | None = None,
        calls: PluginCalls,
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.boot = runtime.uid("boot")
        self._runtime = runtime
        self._loaded = loaded
        signals = Signals(
            leaving=lambda actions, ahead: self.sender.leaving(actions, ahead=ahead),
            left=lambda leaving, refused: self.sender.left(leaving, refused),
            planned=lambda actions: self.sender.offer([each.stored() for each in actions]),
            ended=self._ended,
            due=self._due, news=self.wake, quarantined=self._quarantine,
            hung_up=lambda run_uid, call_sid, verb: self.resumer.hung_up(run_uid, call_sid, verb),
            early=self._early, again=self._again,
        )  # fmt: skip
        self.receiver = receiver or Link(socket_path(settings.data, "receiver"))
        parts = build(
            Around(settings, journal, gateway, runtime, self.boot, calls, notices.give,
                   self.receiver, self._match_row, self._proof, signals),
            loaded.ruleset,
        )  # fmt: skip
        self.queue, self.waits, self.gate = parts.queue, parts.waits, parts.gate
        self.backlog, self.silence, self.escalator = parts.backlog, parts.silence, parts.escalator
        self.questions, self.strikes = parts.questions, parts.strikes
        self.matcher, self.confirmer = parts.matcher, parts.confirmer
        self.immediate = parts.immediate
        self.schedules, self.calls = parts.schedules, parts.calls
        self.runner, self.resumer, self.hooks = parts.runner, parts.resumer, parts.hooks
        self.sender, self.settler = parts.sender, parts.settler
        self.incidents, self.watch, self.hold = parts.incidents, parts.watch, parts.hold
        self.sending, self.prober, self.prices = parts.sending, parts.prober, parts.prices
        self._news, self._clock, self._doubt = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._matching, self._all_read = asyncio.Lock(), False
        self.overrides = Overrides(journal, runtime)
        self.reload(loaded)

    def reload(self, loaded: Loaded) -> None:
        """Take rules and plugins into use, all at once: the next event meets the new ones."""
        self._loaded = loaded
        self.questions.reload(loaded.plugins)
        self.hooks.reload(loaded.plugins, loaded.ruleset.wants)
        self.restate()

    def restate(self) -> None:
        """Take the rules into use in the states that people gave to them."""
        ruleset = self.overrides.over(self._loaded.ruleset)
        for part in (self.matcher, self.immediate, self.waits, self.resumer, self.schedules):
            part.ruleset = ruleset
        self.gate.reload(ruleset.rules)
        self.runner.reload(ruleset)
        self.hooks.wants = ruleset.wants
        self._clock.set()

    @property
    def loaded(self) -> Loaded:
        """The rules and plugins in use."""
        return self._loaded

    async def run(
        self, stop: asyncio.Event, *beside: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Work until `stop` is set, then finish what is under way. `beside` runs as long."""
        # A call that asks meanwhile waits: its run would be taken for one that a restart has left.
        async with self._matching:
            await self.recover()
        loops = [
            asyncio.ensure_future(loop())
            for loop in (
                self._match_loop, self._due_loop, self._settle_loop, self._probe_loop,
                self.hold.run, self.sending.run, self.prices.run, self.escalator.run, *beside,
                self._broken_loop,
            )
        ]  # fmt: skip
        stopping = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self.sender.stopping = True
        # Not in the middle of a batch: what is being written would not be handled, and a call that
        # is matched next would not find it on record yet.
        async with self._matching:
            for loop in loops[:-1]:
                loop.cancel()
        await self.queue.idle()
        await self.sender.idle()
        await self.hold.mark()
        await self.confirmer.close()
        await self.hooks.shutdown()
        await self.receiver.close()
        loops[-1].cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        for task in done:
            if task is not stopping and not task.cancelled() and task.exception():
                raise task.exception() or RingbackError("the worker's loop ended")

    async def recover(self) -> None:
        """Go on where the last commit left off: nothing that may have been sent is sent again."""
        await self.overrides.read()
        self.restate()
        await self.hooks.listen()
        if await self.journal.meta.get(ACCOUNT) != self.settings.account_sid:
            await self.journal.meta.set(ACCOUNT, self.settings.account_sid)
        await self.matcher.restore()
        await self.journal.read(lambda session: self.gate.begin(session.gate))
        await self.hold.begin()
        now = self._runtime.now()
        settle_at = iso(now + timedelta(seconds=self.settings.settle_seconds))
        lost = await self.journal.attempts.recover(self.boot, iso(now), settle_at)
        if lost:
            log.warning("%d requests were under way when the last worker ended; now unknown", lost)
        self.matcher.quarantined = await self.journal.runs.quarantined()
        self.resumer.quarantined = self.questions.quarantined = self.matcher.quarantined
        await self.resumer.restore()
        await self.confirmer.refill()
        await self.sender.begin()

    def wake(self) -> None:
        """There is news in the log."""
        self._news.set()

    async def _match_loop(self) -> None:
        while True:
            self._news.clear()
            crowded = len(self.queue) >= RUNS_LIMIT or self.backlog.full
            if not crowded and await self._match() and not self._all_read:
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(CROWDED_SECONDS if crowded else IDLE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _match(self) -> bool:
        """Match one batch, or take up what was left before; False when there was neither."""
        self._all_read = False
        if await self.resumer.take_up(RUNS_LIMIT - len(self.queue)):
            return True
        async with self._matching:
            step = await self.matcher.step()
            if not step.rows:
                fresh = await self.journal.events.unmatched(RELOAD_ROWS)
                step = await self.matcher.internal(fresh) if fresh else step
            self._all_read = step.last
            await self._handle(step)
        return bool(step.rows)

    async def replay(self, uid: str, rule: Rule | None, doing: Doing | None = None) -> Found:
        """Let a stored event happen again under the rules of today, or under this rule alone."""
        copy = copy_of(uid, self._runtime)
        step = await self._alone(self.matcher.made(copy, rule, doing), watched=rule is None)
        return step.found[0]

    async def start(self, event: Event, doing: Doing | None = None) -> Found:
        """Start the one rule that an event of ours names, now."""
        return (await self._alone(self.matcher.made(lambda _: event, None, doing))).found[0]

    async def _match_row(self, log_id: int) -> None:
        await self._alone(self.matcher.only(log_id))

    async def _alone(self, ahead: Ahead, *, watched: bool = True) -> Step:
        """Match one event by itself. The others go on while plugins are asked about it."""
        await ahead.ask()
        async with self._matching:
            step = await ahead.match()
            await self._handle(step, watched=watched)
        return step

    async def _again(self, run_uid: str, rule: Rule, key: str, over: bool) -> None:
        """What lies ready for a run that collects no more is judged anew, between two batches."""
        async with self._matching:
            step = await self.matcher.again(run_uid, rule, key, over=over)
            await self._handle(step, watched=False)

    async def _early(
        self, run_uid: str, rule: Rule, event: Event, state: Mapping[str, Any], key: str
    ) -> bool:
        """Whether what a run waits for from now on has come before. Between two batches: the next
        one knows that it waits."""
        asking = Asking(run_uid, rule, event, state, key)
        return bool((await self._alone(self.matcher.early(asking), watched=False)).rows)

    async def _handle(self, step: Step, *, watched: bool = True) -> None:
        """Start what a step of matching found: runs, wake-ups, hooks, ends of actions."""
        for found in step.found:
            event = found.event
            waiting = self.calls.waiting_for(found)
            self.gate.learn(event)
            self.escalator.saw(event)
            for run_uid in found.ended:
                await self.resumer.cancelled(run_uid)
            for run_uid in found.wakes:
                await self.resumer.woken(run_uid, waiting)
            if found.runs:
                runs = [Ready.new(run, rule) for rule, run in found.runs]
                self._job(event, runs, waiting)
            if event.trust == "claimed":
                self.confirmer.look(event)
        for uid, trust in step.twins:
            self.queue.put(uid, partial(self._proof, uid, trust, ""))
        for moved in step.moved:
            if moved.state in ("settled", "failed"):
                self._ended(moved.uid, moved.state)
            else:
                self.sender.passed(moved.uid)
        if watched:
            traces.matched(step.found)
            events = [found.event for found in step.found]
            self.hooks.on_events([each for each in events if not self.matcher.is_past(each)])

    async def _proof(self, uid: str, trust: str, why: str) -> None:
        """What a look at the gateway, or a signed twin, has shown of a claimed event."""
        if trust == "claimed":
            await self.journal.matching.doubt(uid, why)
        else:
            await self._alone(self.matcher.proven(uid, trust))
        row = await self.journal.events.log_row(uid)
        if row is not None:
            self.calls.looked_up(row.id)

    def _job(self, event: Event, runs: Sequence[Ready], waiting: Waiting | None) -> None:
        async def work() -> None:
            try:
                await self.runner.job(event, runs, waiting)
            finally:
                if waiting is not None:
                    waiting.leave()

        if waiting is not None:
            self.queue.put(event.call_sid, work, [run.rule.name for run in runs])
            return
        held = self.backlog.divide(runs, place := home(event))
        if held:
            # In its place in the journal each of them can be stopped; see `Ready`.
            runs = [replace(run, queued=True) if run in held else run for run in runs]
            uids, rules = [run.uid for run in held], [run.rule.name for run in held]
            start = partial(self.resumer.begin, event.uid, uids, rules)
            self.backlog.hold(rules, place, start)
        if names := [run.rule.name for run in runs if not run.queued]:
            self.queue.put(place, work, names)

    def _quarantine(self, rule: str, reason: str) -> None:
        log.error("rule %s is quarantined until a person releases it: %s", rule, reason)
        self.matcher.quarantined[rule] = reason

    def _ended(self, uid: str, state: str) -> None:
        """An action has come to its end, or to a point that a rule may care about."""
        self.sender.passed(uid)
        self.escalator.ended()
        self.hooks.on_end(uid, state, self.wake)

    def _due(self, moment: str) -> None:
        self._clock.set()
        self._doubt.set()
        self.escalator.soon()

    async def next_due(self) -> str | None:
        """When the next run, schedule, action or look at an unknown one is due (ISO)."""
        dues = (
            await self.journal.runs.next_due(),
            await self.journal.actions.next_due(iso(self._runtime.now())),
            await self.schedules.next_due(),
            self.overrides.next_end(),
            await self.journal.actions.next_unknown(),
            await self.journal.escalations.next_due(),
        )
        return min((due for due in dues if due), default=None)

    def look_again(self) -> None:
        """The clock was set: look for what is due now."""
        self._due("")
        self.wake()

    async def _due_loop(self) -> None:
        """Look after what waits for its time: runs, schedules, delayed actions."""
        while True:
            self._clock.clear()
            now = iso(self._runtime.now())
            if await self.overrides.end(self._loaded.ruleset):
                self.restate()
            await self.hooks.listen()
            taken = await self.resumer.due()
            await self.schedules.step()
            await self.hooks.report_pending(self.wake)
            await self.sender.refill()
            # What was due is in the sender's queue now; only what comes later is waited for.
            await self._until(
                self._clock, await self.journal.runs.next_due(taken),
                await self.journal.actions.next_due(now), await self.schedules.next_due(),
                self.overrides.next_end(),
            )  # fmt: skip

    async def _settle_loop(self) -> None:
        """Look after what may have happened. The gateway is asked, so this has its own loop: what
        does not answer for half a minute must not hold up what waits for its time."""
        while True:
            self._doubt.clear()
            await self.settler.step()
            await self._until(self._doubt, await self.journal.actions.next_unknown())

    async def _probe_loop(self) -> None:
        """Ask after what is down. Nothing else may stand before this: all of it waits for it."""
        while True:
            await self.prober.step()
            await asyncio.sleep(IDLE_SECONDS)

    async def _until(self, news: asyncio.Event, *dues: str | None) -> None:
        """Wait for news or until something is due. At most a minute, so that a clock that jumped
        is seen."""
        now = self._runtime.now()
        waits = [(from_iso(due) - now).total_seconds() for due in dues if due]
        try:
            async with asyncio.timeout(min(60.0, max(0.02, min(waits, default=60.0)))):
                await news.wait()
        except TimeoutError:
            return

    async def _broken_loop(self) -> None:
        while self.journal.broken is None:
            await self._until(self.journal.failing)
        raise self.journal.broken
