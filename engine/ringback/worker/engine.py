"""The spine: match, run, send, and the loop that drives them.

The three stages are joined by what is committed, not by what is in memory: after a restart each
one finds in the journal what the last commit left for it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from ringback.actions import Pause
from ringback.config import Settings
from ringback.errors import Problem, RingbackError
from ringback.events import Event
from ringback.gateway.client import Gateway
from ringback.hands import Hands, Held
from ringback.plugins.loader import PluginSet
from ringback.rules.interpreter import Wait, Wake
from ringback.rules.model import Rule
from ringback.rules.ruleset import RuleSet
from ringback.seams import Seams, from_iso, iso
from ringback.store import recall, running, sending
from ringback.store.journal import Journal
from ringback.store.log import LogReader
from ringback.store.running import NewAction, StoredRun
from ringback.twilio import twiml
from ringback.twilio.webhooks import events_from
from ringback.worker.answers import Answers, Waiting
from ringback.worker.gate import Gatekeeper
from ringback.worker.handlers import Handlers
from ringback.worker.hooks import Hooks
from ringback.worker.jobs import Lanes, Ready, Runner
from ringback.worker.match import Found, Matcher, Step
from ringback.worker.notices import Notices
from ringback.worker.send import Sender
from ringback.worker.settle import Settler
from ringback.worker.waits import Waits

log = logging.getLogger(__name__)

HOLD = Pause(20)
"""What a queued caller hears when rules listen to the queue but have nothing to say."""

IDLE_SECONDS = 1.0
"""How long the worker trusts that no news is no news, should a wake-up get lost."""
CROWDED_SECONDS = 0.01
BEAT_SECONDS = 0.1
JOBS_LIMIT = 500
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
        log_reader: LogReader,
        journal: Journal,
        gateway: Gateway | None,
        seams: Seams,
        hands: Hands | None,
        on_poisoned: Callable[[str], None],
        notices: Notices,
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.boot = seams.uid("boot")
        self._log = log_reader
        self._seams = seams
        self._hands = hands
        self._loaded = loaded
        self.handlers = Handlers(hands, on_poisoned)
        self.lanes = Lanes()
        self.waits = Waits()
        self.answers = Answers(settings.answer_seconds)
        self.gate = Gatekeeper(journal, settings, seams)
        self.matcher = Matcher(log_reader, journal, loaded.ruleset, seams)
        self.runner = Runner(
            journal=journal, settings=settings, seams=seams, handlers=self.handlers,
            on_actions=self._planned, on_waiting=self._waiting, on_quarantine=self._quarantine,
        )  # fmt: skip
        self.sender = Sender(
            journal=journal, settings=settings, seams=seams, gateway=gateway, gate=self.gate,
            boot=self.boot, notice=notices.give, on_end=self._ended, on_due=self._due,
        )  # fmt: skip
        self.settler = Settler(
            journal=journal, settings=settings, seams=seams, gateway=gateway,
            on_end=self._ended, on_due=self._due, on_planned=self._found_sendable,
        )  # fmt: skip
        self.hooks = Hooks(self.handlers, journal, seams, settings, self._planned)
        self._news = asyncio.Event()
        self._clock = asyncio.Event()
        self._matching = asyncio.Lock()
        self.adopt(loaded)

    def adopt(self, loaded: Loaded) -> None:
        """Take rules and plugins into use, all at once: the next event meets the new ones."""
        self._loaded = loaded
        self.matcher.ruleset = loaded.ruleset
        self.runner.adopt(loaded.ruleset, loaded.plugins)
        self.hooks.adopt(loaded.plugins, loaded.ruleset.wants)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way."""
        await self.recover()
        await self.hooks.startup()
        loops = [
            asyncio.ensure_future(loop())
            for loop in (self._match_loop, self._due_loop, self._beat_loop)
        ]
        stopping = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self.sender.stopping = True
        for loop in loops[:2]:
            loop.cancel()
        await self.lanes.idle()
        await self.sender.idle()
        await self.hooks.shutdown()
        loops[2].cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        self.handlers.close()
        for task in done:
            if task is not stopping and not task.cancelled() and task.exception():
                raise task.exception() or RingbackError("the worker's loop ended")

    async def recover(self) -> None:
        """Go on where the last commit left off: nothing that may have been sent is sent again."""
        now = self._seams.now()
        settle_at = iso(now + timedelta(seconds=self.settings.settle_seconds))
        lost = await self.journal.write(
            partial(sending.recover, boot=self.boot, now=iso(now), settle_at=settle_at)
        )
        if lost:
            log.warning("%d requests were under way when the last worker ended; now unknown", lost)
        self.matcher.quarantined = running.quarantined(self.journal.reader)
        for run in running.open_runs(self.journal.reader, "waiting", -1):
            self.waits.restore(run)
        self._resume_pending()
        self.sender.refill()

    async def blame(self, held: Sequence[Held], ended: str) -> None:
        """Judge the runs that the last worker had on its hands.

        One that was past its limit blocked the worker: it has failed. When the worker ended by
        itself (`ended` says how), each is suspect and gets a strike, and its run is tried again.
        After a plain kill nobody is to blame.
        """
        now = self._seams.monotonic()
        for item in held:
            who = f"plugin {item.plugin}: " if item.plugin else ""
            if now - item.started > item.limit:
                reason = f"{who}blocked the worker for more than {item.limit:g} s; it was killed"
                await self.journal.write(
                    partial(
                        running.finish, run_uid=item.run_uid, state="failed", reason=reason,
                        now=iso(self._seams.now()),
                    )
                )  # fmt: skip
                await self.runner.strike(item.rule, item.plugin, reason)
            elif ended:
                reason = f"{who}the worker ended by itself ({ended}) while this ran"
                await self.runner.strike(item.rule, item.plugin, reason)

    def wake(self) -> None:
        """There is news in the log."""
        self._news.set()

    async def answer(self, log_id: int) -> str:
        """The TwiML for the call whose request is this row; empty when nobody answers it."""
        row = self._log.get(log_id)
        parsed = events_from(row, lambda: "") if row else []
        if not parsed:
            return ""
        event = parsed[0]
        known = recall.uid_of(self.journal.reader, event.dedupe_key)
        stored = running.stored_answer(self.journal.reader, known) if known else None
        if stored is not None:
            return stored
        waiting = self.answers.wait(log_id, event.call_sid)
        if known is None:
            async with self._matching:
                step = await self.matcher.only(log_id)
            self._handle(step)
        try:
            async with asyncio.timeout(self.settings.answer_seconds):
                return await asyncio.shield(waiting.future) or _unanswered(event)
        except (TimeoutError, asyncio.CancelledError):
            return _unanswered(event)

    def late(self, log_id: int) -> None:
        """The receiver could not wait for the answer to this row any longer."""
        self.answers.late(log_id)

    async def _match_loop(self) -> None:
        while True:
            self._news.clear()
            crowded = len(self.lanes) >= JOBS_LIMIT
            if not crowded and await self._match():
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(CROWDED_SECONDS if crowded else IDLE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _match(self) -> bool:
        """Match one batch; False when there was nothing to match."""
        async with self._matching:
            step = await self.matcher.step()
            if not step.rows:
                fresh = recall.unmatched(self.journal.reader, self._log, RELOAD_ROWS)
                step = await self.matcher.internal(fresh) if fresh else step
        self._handle(step)
        return bool(step.rows)

    def _handle(self, step: Step) -> None:
        """Start what a step of matching found: runs, wake-ups, hooks, ends of actions."""
        for found in step.found:
            event = found.event
            waiting = self._asked(found)
            self.gate.learn(event)
            woken = self.waits.woken_by(event)
            for run_uid in woken:
                self._wake(run_uid, event, waiting)
            if found.runs:
                runs = [Ready(run.uid, rule, run.priority) for rule, run in found.runs]
                self._job(event, runs, waiting)
            elif waiting is not None and not woken:
                waiting.give("")
        for moved in step.moved:
            if moved.state in ("settled", "failed"):
                self._ended(moved.uid, moved.state)
        self.hooks.on_events([found.event for found in step.found])

    def _asked(self, found: Found) -> Waiting | None:
        """The call that waits for what this event brings, unless it is too old to wait still."""
        if found.asked is None:
            return None
        age = (self._seams.now() - found.event.received_at).total_seconds()
        if age >= self.settings.answer_seconds:
            return None
        return self.answers.wait(found.asked, found.event.call_sid, age)

    def _job(self, event: Event, runs: Sequence[Ready], waiting: Waiting | None) -> None:
        async def work() -> None:
            await self.runner.job(event, runs, waiting)
            if waiting is not None:
                waiting.give("")

        key = event.call_sid if waiting is not None else event.conversation or event.subject_sid
        self.lanes.put(key or event.uid, work)

    def _wake(self, run_uid: str, event: Event | None, waiting: Waiting | None) -> None:
        stored = running.get_run(self.journal.reader, run_uid)
        if stored is None or stored.state != "waiting":
            return
        self.waits.drop(run_uid)
        self._resume(stored, Wake(event), waiting)

    def _resume(self, stored: StoredRun, wake: Wake, waiting: Waiting | None) -> None:
        event = recall.event(self.journal.reader, self._log, stored.event_uid)
        rule = self._loaded.ruleset.by_name.get(stored.rule)
        if event is None or rule is None or rule.name in self.matcher.quarantined:
            reason = "its event is gone" if event is None else "its rule is gone or quarantined"
            self.lanes.put(stored.uid, partial(self._end_run, stored.uid, reason))
            return
        self._job(event, [Ready.stored(stored, rule, wake)], waiting)

    async def _end_run(self, uid: str, reason: str) -> None:
        now = iso(self._seams.now())
        await self.journal.write(partial(running.cancel_runs, uids=[uid], reason=reason, now=now))

    def _resume_pending(self) -> None:
        by_event: dict[str, list[StoredRun]] = {}
        for run in running.open_runs(self.journal.reader, "pending", -1):
            by_event.setdefault(run.event_uid, []).append(run)
        for event_uid, runs in by_event.items():
            event = recall.event(self.journal.reader, self._log, event_uid)
            ready = []
            for run in runs:
                rule = self._loaded.ruleset.by_name.get(run.rule)
                if event is None or rule is None or rule.name in self.matcher.quarantined:
                    self._resume(run, Wake(), None)
                else:
                    ready.append(Ready.stored(run, rule, None))
            if event is not None and ready:
                self._job(event, ready, None)

    def _planned(self, actions: Sequence[NewAction]) -> None:
        self.sender.offer([action.stored() for action in actions])

    def _found_sendable(self) -> None:
        self.sender.refill()

    def _waiting(self, run_uid: str, event: Event, rule: Rule, wait: Wait) -> None:
        self.waits.add(run_uid, wait)
        if wait.due_at is not None:
            self._due(iso(wait.due_at))

    def _quarantine(self, rule: str, reason: str) -> None:
        log.error("rule %s is quarantined until a person releases it: %s", rule, reason)
        self.matcher.quarantined[rule] = reason

    def _ended(self, uid: str, state: str) -> None:
        """An action has come to its end, or to a point that a rule may care about."""
        self.hooks.on_end(uid, state, self.wake)

    def _due(self, moment: str) -> None:
        self._clock.set()

    async def _due_loop(self) -> None:
        """Look after everything that has a time: waits, deferred and unknown actions."""
        while True:
            self._clock.clear()
            now = iso(self._seams.now())
            for run in running.due_runs(self.journal.reader, now, RELOAD_ROWS):
                self._wake(run.uid, None, None)
            self.sender.refill()
            await self.settler.step()
            try:
                async with asyncio.timeout(self._pause()):
                    await self._clock.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        """Seconds until something is due. At most a minute, so that a clock that jumped is seen."""
        dues = [
            running.next_due_run(self.journal.reader),
            sending.next_due_action(self.journal.reader),
        ]
        now = self._seams.now()
        waits = [(from_iso(due) - now).total_seconds() for due in dues if due]
        return min(60.0, max(0.02, min(waits, default=60.0)))

    async def _beat_loop(self) -> None:
        while True:
            if self._hands is not None:
                self._hands.beat()
            if self.journal.broken is not None:
                raise self.journal.broken
            await asyncio.sleep(BEAT_SECONDS)

    def status(self) -> dict[str, Any]:
        """What the worker is doing, for the shell and the health page."""
        return {
            "cursor": self.matcher.cursor,
            "jobs": len(self.lanes),
            "sending": self.sender.busy,
            "paused": self.sender.paused,
            "rules": len(self._loaded.ruleset.rules),
            "quarantined": dict(self.matcher.quarantined),
        }


def _unanswered(event: Event) -> str:
    """What a call hears when no rule answers: nothing of ours for a new call, so that the
    receiver's fallback speaks; for a step of our own TwiML the shortest valid document."""
    if event.type == "call.received":
        return ""
    if event.type == "call.queued":
        return twiml.document((HOLD,))
    return twiml.EMPTY
