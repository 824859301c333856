"""Hooks of plugins: `on_event` after an event is recorded, `on_settled` at the end of an action.

A hook is an observer. It is called in batches, one plugin at a time, behind the same limits as a
rule, and it never holds up matching: what it asks for is planned under a run of its own. It is not
called again after a crash; what must not be missed belongs into a rule.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ringback.actions import Action
from ringback.config import Settings
from ringback.error_codes import error_class
from ringback.errors import RingbackError, UsageError
from ringback.events import DEEPEST, Event, cause_fields, sides
from ringback.plugins.context import SettledAction
from ringback.plugins.loader import PluginSet
from ringback.plugins.requests import HookCall, PluginCalls, Subject
from ringback.runtime import Runtime, iso
from ringback.store.actions import StoredAction
from ringback.store.interface import Journal
from ringback.store.matching import NewRun
from ringback.twilio.costs import Cost
from ringback.worker.recovery.action_reports import ActionReports
from ringback.worker.run.plan import Origin, Planned, plan
from ringback.worker.run.portions import PortionTurns, split
from ringback.worker.signals import Signals
from ringback.worker.strikes import Strikes

log = logging.getLogger(__name__)

BATCH = 500
ENDS = ("settled", "failed", "refused", "unknown")
"""What an action may come to that rules can listen to, as `action.<state>`."""
QUEUE = 10_000
"""An observer that is further behind than this misses events; the loss is counted and logged."""


class Watcher:
    """One plugin's hook with the subjects that wait for it."""

    def __init__(self, hook: str, plugin: str) -> None:
        self.hook = hook
        self.plugin = plugin
        self.queue: deque[Subject] = deque()
        self.missed = 0
        self.task: asyncio.Task[None] | None = None


class Hooks:
    """The watchers of all plugins, and the internal events that rules may listen to."""

    def __init__(
        self,
        calls: PluginCalls,
        strikes: Strikes,
        journal: Journal,
        runtime: Runtime,
        settings: Settings,
        signals: Signals,
        turns: PortionTurns,
    ) -> None:
        self._turns = turns
        self.wants: Callable[[str], bool] = lambda _type: False
        self._calls = calls
        self._strikes = strikes
        self._journal = journal
        self._runtime = runtime
        self._settings = settings
        self._signals = signals
        self._watchers: dict[str, list[Watcher]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._listens: frozenset[str] | None = None
        self.reports = ActionReports(journal)

    def reload(self, plugins: PluginSet, wants: Callable[[str], bool]) -> None:
        """Watch for these plugins from now on; `wants` says which events rules listen to."""
        self.wants = wants
        self._watchers = {
            name: [Watcher(name, plugin.name) for plugin in plugins.hooked(name)]
            for name in ("on_event", "on_settled")
        }

    def missed(self) -> dict[str, int]:
        """How many events each hook that is too slow has missed since the plugins were loaded."""
        return {
            f"{watcher.plugin}.{watcher.hook}": watcher.missed
            for group in self._watchers.values() for watcher in group if watcher.missed
        }  # fmt: skip

    async def listen(self) -> None:
        """Let the journal note the ends that rules listen to, so that a crash forgets none."""
        wanted = frozenset(state for state in ENDS if self.wants(f"action.{state}"))
        if wanted != self._listens:
            await self._journal.ends.subscribe(sorted(wanted))
            self._listens = wanted

    async def report_pending(self, wake: Callable[[], None]) -> None:
        """Report to the rules every end that has no event yet: what an earlier life of the worker
        left, what a person decided."""
        for uid, state in await self._journal.ends.pending():
            self._report_later(uid, state, wake, watched=False)

    async def shutdown(self) -> None:
        """Tell of the last ends, and let the watchers finish what they hold."""
        await self.reports.close()
        tasks = [watch.task for group in self._watchers.values() for watch in group if watch.task]
        pending = [task for task in (*tasks, *self._ends) if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=self._settings.handler_seconds)

    def on_events(self, events: Sequence[Event]) -> None:
        """These events have been recorded."""
        for watcher in self._watchers.get("on_event", ()):
            self._feed(watcher, events)

    def on_end(self, uid: str, state: str, wake: Callable[[], None]) -> None:
        """An action was settled, failed, refused or became unknown: report it."""
        self.reports.note(uid, state)
        watchers = self._watchers.get("on_settled", ()) if state != "unknown" else ()
        if watchers or self.wants(f"action.{state}"):
            self._report_later(uid, state, wake, watched=state != "unknown")

    def _report_later(
        self, uid: str, state: str, wake: Callable[[], None], *, watched: bool
    ) -> None:
        task = asyncio.ensure_future(self._report(uid, state, wake, watched=watched))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _report(
        self, uid: str, state: str, wake: Callable[[], None], *, watched: bool
    ) -> None:
        """Report an end to the rules, and to the plugins' hooks when it is to be `watched`."""
        kind = f"action.{state}"
        try:
            stored = await self._journal.actions.get(uid)
            if stored is None:
                return
            code, attempts = await self._journal.actions.result(uid)
            ended = _settled(stored, code, attempts, await self._journal.costs.of(uid))
            if watched:
                for watcher in self._watchers.get("on_settled", ()):
                    self._feed(watcher, [ended])
            if self.wants(kind):
                behind = await self._journal.events.get(stored.event_uid)
                cause = cause_fields(stored.uid, stored.rule, stored.run_uid, behind)
                event = _internal(ended, kind, self._runtime, stored.depth, cause)
                if await self._journal.ends.record(event, uid, state):
                    wake()
        except RingbackError as error:
            log.error("the end of %s could not be recorded: %s", uid, error)

    def _feed(self, watcher: Watcher, subjects: Sequence[Subject]) -> None:
        free = QUEUE - len(watcher.queue)
        if len(subjects) > free:
            watcher.missed += len(subjects) - free
            log.error("plugin %s: %s misses events, it is too slow", watcher.plugin, watcher.hook)
        watcher.queue.extend(subjects[:free])
        if watcher.queue and (watcher.task is None or watcher.task.done()):
            watcher.task = asyncio.ensure_future(self._drain(watcher))

    async def _drain(self, watcher: Watcher) -> None:
        while watcher.queue:
            batch = [watcher.queue.popleft() for _ in range(min(BATCH, len(watcher.queue)))]
            try:
                await self._show(watcher, batch)
            except RingbackError as error:
                log.error("plugin %s: %s: %s", watcher.plugin, watcher.hook, error)

    async def _show(self, watcher: Watcher, batch: Sequence[Subject]) -> None:
        """Call a hook for each subject, and plan what it asks for. One that raises does not keep
        the others from it."""
        call = HookCall(watcher.plugin, watcher.hook, tuple(batch))
        try:
            reactions = await self._calls.call(call, limit=self._settings.handler_seconds)
        except RingbackError as error:
            log.error("plugin %s: %s: %s", watcher.plugin, watcher.hook, error)
            await self._strikes.fault(watcher.hook, watcher.plugin, str(error))
            return
        faults = [reaction for reaction in reactions if isinstance(reaction, str)]
        for fault in faults:
            log.error("plugin %s: %s: %s", watcher.plugin, watcher.hook, fault)
        if faults:
            await self._strikes.fault(watcher.hook, watcher.plugin, faults[-1], len(faults))
        for subject, reaction in zip(batch, reactions, strict=True):
            if reaction and not isinstance(reaction, str):
                await self._plan(watcher, subject, reaction)

    async def _plan(self, watcher: Watcher, subject: Subject, actions: tuple[Action, ...]) -> None:
        name = f"{watcher.plugin}.{watcher.hook}"
        if subject.depth > DEEPEST:  # else each refusal would be the cause of the next one
            log.warning("plugin %s: what its %s asks for is dropped: a loop", watcher.plugin, name)
            return
        event_uid = subject.uid if isinstance(subject, Event) else subject.event_uid
        now = self._runtime.now()
        run = NewRun(
            uid=self._runtime.uid("run"), event_uid=event_uid, rule=name, rule_rev="", key="",
            priority=0, started_at=iso(now),
        )  # fmt: skip
        event = subject
        if not isinstance(event, Event):
            event = _internal(event, "", self._runtime, event.depth, {})
        planned: list[Planned] = []
        for piece in split(actions):
            try:
                async with self._turns.of(name):
                    planned.append(self._planned(run, event, piece))
                    await asyncio.sleep(0)
            except UsageError as error:
                log.error("plugin %s: %s: %s", watcher.plugin, watcher.hook, error)
                await self._strikes.fault(watcher.hook, watcher.plugin, str(error))
                return
        for each in planned:
            await self._journal.runs.record_done(run, each.actions, iso(now))
            self._signals.planned([item for item in each.actions if item.state == "planned"])

    def _planned(self, run: NewRun, event: Event, actions: Sequence[Action]) -> Planned:
        return plan(
            Origin(run.uid, run.rule, "live"), event, actions, runtime=self._runtime,
            settings=self._settings, waiting_call="",
        )  # fmt: skip


def _settled(stored: StoredAction, code: int, attempts: int, cost: Cost) -> SettledAction:
    return SettledAction(
        uid=stored.uid, rule=stored.rule, wish=stored.action, state=stored.state,
        event_uid=stored.event_uid, conversation=stored.conversation, outcome=stored.outcome,
        reason=stored.reason, remote_sid=stored.remote_sid, error_code=code,
        error_class=error_class(code), attempts=attempts, account_sid=stored.account_sid,
        depth=stored.depth, segments=cost.segments, price=cost.price, price_unit=cost.unit,
    )  # fmt: skip


def _internal(
    ended: SettledAction, kind: str, runtime: Runtime, depth: int, cause: Mapping[str, str]
) -> Event:
    """The end of an action as an event that rules may listen to."""
    written = (str(getattr(ended.wish, name, "")) for name in ("sender", "to"))
    ours, theirs = sides(ended.conversation, *written)
    now = runtime.now()
    return Event(
        uid=runtime.uid("evt"), type=kind, at=now, received_at=now, trust="signed",
        source="internal", subject_sid=ended.remote_sid, sender=ours, recipient=theirs,
        account_sid=ended.account_sid,
        conversation=ended.conversation, status=ended.outcome, error_code=ended.error_code,
        error_class=ended.error_class, dedupe_key=f"end:{ended.uid}:{kind}", depth=depth,
        fields={
            **cause, "Kind": ended.kind, "State": ended.state, "Reason": ended.reason,
        },
    )  # fmt: skip
