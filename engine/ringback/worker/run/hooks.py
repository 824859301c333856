"""Hooks of plugins: `on_event` after an event is recorded, `on_settled` at the end of an action.

A hook is an observer. It is called in batches, one plugin at a time, behind the same limits as a
rule, and it never holds up matching: what it asks for is planned under a run of its own. It is not
called again after a crash; what must not be missed belongs into a rule.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ringback.actions import Action
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.events import Event
from ringback.plugins.context import SettledAction, context_for
from ringback.plugins.invoke import actions_of
from ringback.plugins.loader import Plugin, PluginSet, hook_callers
from ringback.runtime import Runtime, iso
from ringback.store.actions import StoredAction
from ringback.store.interface import Journal
from ringback.store.matching import NewRun
from ringback.twilio.error_codes import error_class
from ringback.worker.run.handlers import Handlers, describe
from ringback.worker.run.plan import Origin, plan
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

BATCH = 500
ENDS = ("settled", "failed", "refused", "unknown")
"""What an action may come to that rules can listen to, as `action.<state>`."""
QUEUE = 10_000
"""An observer that is further behind than this misses events; the loss is counted and logged."""

Subject = Event | SettledAction


class Watcher:
    """One plugin's hook with the subjects that wait for it."""

    def __init__(self, name: str, plugin: Plugin, function: Callable[..., Any]) -> None:
        self.name = name
        self.plugin = plugin
        self.function = function
        self.queue: deque[Subject] = deque()
        self.missed = 0
        self.task: asyncio.Task[None] | None = None


class Hooks:
    """The watchers of all plugins, and the internal events that rules may listen to."""

    def __init__(
        self,
        handlers: Handlers,
        journal: Journal,
        runtime: Runtime,
        settings: Settings,
        signals: Signals,
    ) -> None:
        self.wants: Callable[[str], bool] = lambda _type: False
        self._handlers = handlers
        self._journal = journal
        self._runtime = runtime
        self._settings = settings
        self._signals = signals
        self._facts = journal.facts(runtime)
        self._plugins = PluginSet()
        self._watchers: dict[str, list[Watcher]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._listens: frozenset[str] | None = None

    def reload(self, plugins: PluginSet, wants: Callable[[str], bool]) -> None:
        """Watch for these plugins from now on; `wants` says which events rules listen to."""
        self.wants = wants
        self._plugins = plugins
        self._watchers = {
            name: [Watcher(name, plugin, call) for plugin, call in hook_callers(plugins, name)]
            for name in ("on_event", "on_settled")
        }

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

    async def startup(self) -> None:
        """Tell every plugin that the worker begins."""
        await self._each("startup")

    async def shutdown(self) -> None:
        """Let the watchers finish what they hold, then tell every plugin that the worker ends."""
        tasks = [watch.task for group in self._watchers.values() for watch in group if watch.task]
        pending = [task for task in (*tasks, *self._ends) if not task.done()]
        if pending:
            await asyncio.wait(pending, timeout=self._settings.handler_seconds)
        await self._each("shutdown")

    def on_events(self, events: Sequence[Event]) -> None:
        """These events have been recorded."""
        for watcher in self._watchers.get("on_event", ()):
            self._feed(watcher, events)

    def on_end(self, uid: str, state: str, wake: Callable[[], None]) -> None:
        """An action was settled, failed, refused or became unknown: report it."""
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
            ended = _settled(stored, *await self._journal.actions.result(uid))
            if watched:
                for watcher in self._watchers.get("on_settled", ()):
                    self._feed(watcher, [ended])
            if self.wants(kind):
                event = _internal(ended, kind, self._runtime, stored.depth)
                if await self._journal.ends.record(event, uid, state):
                    wake()
        except RingbackError as error:
            log.error("the end of %s could not be recorded: %s", uid, error)

    def _feed(self, watcher: Watcher, subjects: Sequence[Subject]) -> None:
        free = QUEUE - len(watcher.queue)
        if len(subjects) > free:
            watcher.missed += len(subjects) - free
            log.error("plugin %s: %s misses events, it is too slow", watcher.plugin.name,
                      watcher.name)  # fmt: skip
        watcher.queue.extend(subjects[:free])
        if watcher.queue and (watcher.task is None or watcher.task.done()):
            watcher.task = asyncio.ensure_future(self._drain(watcher))

    async def _drain(self, watcher: Watcher) -> None:
        while watcher.queue:
            batch = [watcher.queue.popleft() for _ in range(min(BATCH, len(watcher.queue)))]
            name = f"{watcher.plugin.name}.{watcher.name}"
            try:
                results, faults = await self._handlers.call(
                    partial(self._watch, watcher, batch),
                    limit=self._settings.handler_seconds, run_uid="", rule=name,
                    plugin=watcher.plugin.name,
                )  # fmt: skip
            except RingbackError as error:
                log.error("%s: %s", name, error)
                await self._fault(watcher.plugin, watcher.name, str(error))
                continue
            if faults:
                await self._fault(watcher.plugin, watcher.name, faults[-1], len(faults))
            try:
                for subject, actions in results:
                    await self._plan(name, subject, actions)
            except RingbackError as error:
                log.error("%s: %s", name, error)

    def _watch(
        self, watcher: Watcher, batch: Sequence[Subject]
    ) -> tuple[list[tuple[Subject, tuple[Action, ...]]], list[str]]:
        """In the handlers' thread: call the hook for each subject; what it asks for, and what it
        raised. One that raises does not keep the others from it."""
        found, faults = [], []
        context = self._context(watcher.plugin)
        argument = "event" if watcher.name == "on_event" else "action"
        for subject in batch:
            try:
                result = watcher.function(**{argument: subject, "ctx": context})
                if asyncio.iscoroutine(result):
                    result = asyncio.run(result)
                actions = actions_of(result, plugin=watcher.plugin.name)
            except Exception as error:
                faults.append(describe(error))
                log.error("plugin %s: %s: %s", watcher.plugin.name, watcher.name, faults[-1])
                continue
            if actions:
                found.append((subject, actions))
        return found, faults

    async def _plan(self, name: str, subject: Subject, actions: tuple[Action, ...]) -> None:
        event_uid = subject.uid if isinstance(subject, Event) else subject.event_uid
        now = self._runtime.now()
        run = NewRun(
            uid=self._runtime.uid("run"), event_uid=event_uid, rule=name, rule_rev="", key="",
            priority=0, started_at=iso(now),
        )  # fmt: skip
        event = subject if isinstance(subject, Event) else _internal(subject, "", self._runtime, 1)
        planned = plan(
            Origin(run.uid, name, "live"), event, actions, runtime=self._runtime,
            account_sid=self._settings.account_sid, default_sender=self._settings.sender,
            waiting_call="",
        )  # fmt: skip
        await self._journal.runs.record_done(run, planned.actions, iso(now))
        self._signals.planned([item for item in planned.actions if item.state == "planned"])

    async def _fault(self, plugin: Plugin, hook: str, reason: str, count: int = 1) -> None:
        """Name a hook that failed where `ringback plugins list` finds it."""
        try:
            now = iso(self._runtime.now())
            await self._journal.runs.note_fault(
                f"{plugin.name}.{hook}", plugin.name, reason, now, count
            )
        except RingbackError as error:
            log.error("plugin %s: the failure of %s was not noted: %s", plugin.name, hook, error)

    async def _each(self, hook: str) -> None:
        for plugin, function in hook_callers(self._plugins, hook):
            try:
                await self._handlers.call(
                    partial(function, ctx=self._context(plugin)),
                    limit=self._settings.handler_seconds, run_uid="",
                    rule=f"{plugin.name}.{hook}", plugin=plugin.name,
                )  # fmt: skip
            except RingbackError as error:
                log.error("plugin %s: %s: %s", plugin.name, hook, error)
                await self._fault(plugin, hook, str(error))

    def _context(self, plugin: Plugin) -> Any:
        return context_for(plugin.name, plugin.config, clock=self._runtime, store=self._facts)


def _settled(stored: StoredAction, code: int, attempts: int) -> SettledAction:
    return SettledAction(
        uid=stored.uid, rule=stored.rule, wish=stored.action, state=stored.state,
        event_uid=stored.event_uid, conversation=stored.conversation, outcome=stored.outcome,
        reason=stored.reason, remote_sid=stored.remote_sid, error_code=code,
        error_class=error_class(code), attempts=attempts,
    )  # fmt: skip


def _internal(ended: SettledAction, kind: str, runtime: Runtime, depth: int) -> Event:
    """The end of an action as an event that rules may listen to."""
    ours, _, theirs = ended.conversation.partition("/")
    now = runtime.now()
    return Event(
        uid=runtime.uid("evt"), type=kind, at=now, received_at=now, trust="signed",
        source="internal", subject_sid=ended.remote_sid, sender=ours, recipient=theirs,
        conversation=ended.conversation, status=ended.outcome, error_code=ended.error_code,
        error_class=ended.error_class, dedupe_key=f"end:{ended.uid}:{kind}", depth=depth,
        fields={
            "ActionUid": ended.uid, "Kind": ended.kind, "Rule": ended.rule,
            "State": ended.state, "Reason": ended.reason,
        },
    )  # fmt: skip
