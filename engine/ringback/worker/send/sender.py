"""Send: one attempt is committed before a byte leaves, and its verdict is committed after.

Twilio offers no idempotency key, so the journal is the key: an action that stands in `sending` is
never simply sent again. Messages of one conversation leave one after the other, in order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.action_kinds import is_message, kind_named, known_kind, sender_of
from ringback.actions import HttpRequest, Notify
from ringback.config import Settings
from ringback.errors import ConfigError, GatewayError, RingbackError, StorageError, UsageError
from ringback.gateway.client import Gateway
from ringback.gateway.limits import BACKOFF_CAP, Limits
from ringback.plugins.perform import describe
from ringback.runtime import Runtime, iso
from ringback.store.actions import StoredAction
from ringback.store.attempts import Verdict
from ringback.store.interface import Journal
from ringback.twilio import segments
from ringback.worker.outgoing import outline, whole
from ringback.worker.send import classify
from ringback.worker.send.decisions import LATE, Decisions, Gate
from ringback.worker.send.launch import PLACES, Launch
from ringback.worker.send.rounds import Rounds
from ringback.worker.send.server_clock import ServerClock
from ringback.worker.send.stoppages import HELD, REASONS, Stoppages
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

CONCURRENCY = 40  # fewer than the gateway has connections: looks need some as well
BESIDE = 16
"""So many notices and requests of rules go out beside those to the gateway, however long it takes
to answer: what tells of a dead gateway must not wait for it."""
SHARE = CONCURRENCY * 3 // 4
"""So many requests of one rule are under way at most: the others find a place beside it."""
READY_LIMIT = 10_000
PAGE = 1000
GUARD_SECONDS = 5.0
"""An attempt that waited longer than this between its commit and its first byte is not made."""
COLLISION_SECONDS = 2.0
LONG_SECONDS = 5.0
BEHIND = "waits until the text before it, of the same run to the same person, is taken"


class Sender:
    """Carries out actions: those it is offered, and those it finds in the journal."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        gateway: Gateway | None,
        gate: Gate,
        clock: ServerClock,
        limits: Limits,
        stoppages: Stoppages,
        boot: str,
        notice: Callable[[Notify | HttpRequest, str, str], Awaitable[str]],
        signals: Signals,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway = gateway
        self._gate = gate
        self._decisions = Decisions(journal, runtime, gate, signals)
        self._clock = clock
        self._limits = limits
        self._stoppages = stoppages
        self._boot = boot
        self._notice = notice
        self._signals = signals
        self._ready = Rounds(SHARE)
        self._notices = Rounds(SHARE)
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: set[str] = set()
        self._more = False
        self._launches = asyncio.Semaphore(PLACES)
        self.paused = False
        self.held = False
        self.stopping = False

    @property
    def busy(self) -> int:
        """How many actions are in memory, waiting or under way."""
        return len(self._known)

    def offer(self, actions: Sequence[StoredAction]) -> None:
        """Actions that may be sent now; what was tried before goes first. What does not fit into
        memory is found again later, and so is everything while sending is held: what stands in
        memory is not looked for at Twilio."""
        if self.held:
            return
        for action in actions:
            if action.uid in self._known:
                continue
            beside = _beside(action)
            if not action.tries and (self._more or len(self._known) >= READY_LIMIT * (1 + beside)):
                self._more = True
                continue
            self._known.add(action.uid)
            (self._notices if beside else self._ready).put(action)
        self._pump()

    async def refill(self) -> None:
        """Take from the journal whatever may be sent now."""
        if self.held:
            return
        now = self._runtime.now()
        far, limit = iso(now + timedelta(seconds=BACKOFF_CAP + 60)), min(PAGE, READY_LIMIT)
        found = await self._journal.actions.sendable(iso(now), limit, far=far)
        full = len(found) == limit
        if full and any(action.uid not in self._known for action in found):
            found = await self._journal.actions.sendable(iso(now), READY_LIMIT, far=far)
            full, self._more = len(found) == READY_LIMIT, False
        elif not full:
            self._more = False
        self.offer(found)
        self._more = self._more or (full and len(found) >= READY_LIMIT)

    async def begin(self) -> None:
        """Go on where the last worker stood: take what may be sent, and know what others wait
        for."""
        self._followed.update(await self._journal.actions.followed(READY_LIMIT))
        await self.refill()

    def at_will(self) -> bool:
        """Whether nothing is to leave at present, by a person's wish or after a restore."""
        return self.paused or self.held

    async def idle(self) -> None:
        """Wait until no request is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def passed(self, uid: str) -> None:
        """Twilio has taken an action, or it has come to its end: what waits behind it may go."""
        if uid in self._followed:
            self._signals.due(iso(self._runtime.now()))

    def _pump(self) -> None:
        for rounds, most in ((self._notices, CONCURRENCY + BESIDE), (self._ready, CONCURRENCY)):
            while len(self._tasks) < most and not self._held():
                action = rounds.take()
                if action is None:
                    break
                self._start(self._drive(action, rounds))
        if self._more and not self._known and not self._held():
            self._more = False
            self._start(self._take_more())

    async def _take_more(self) -> None:
        try:
            await self.refill()
        except RingbackError as error:
            log.error("what waits to be sent could not be read: %s", error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _held(self) -> bool:
        return self.paused or self.stopping

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._pump()

    async def _drive(self, action: StoredAction, rounds: Rounds) -> None:
        def entered() -> None:
            rounds.entered(action)
            self._pump()

        try:
            async with Launch(self._launches) as launch:
                await self._send(action, rounds, entered, launch)
        except StorageError as error:
            log.error("action %s: %s", action.uid, error)
        except Exception as error:  # a fault of our own must not end what waits behind it
            log.exception("action %s: this should not happen", action.uid)
            await self._give_up(action, error)
        finally:
            self._known.discard(action.uid)
            rounds.done(action)

    async def _give_up(self, action: StoredAction, error: Exception) -> None:
        """It cannot even be tried, now or later: it may be damaged, or of another program."""
        try:
            await self._decisions.one(action, "failed", f"the worker broke: {describe(error)}")
        except RingbackError as worse:
            log.error("action %s: %s", action.uid, worse)

    async def _send(
        self, action: StoredAction, rounds: Rounds, entered: Callable[[], None], launch: Launch
    ) -> None:
        if known_kind(action.kind) is None:
            entered()
            reason = f"nothing here knows the kind {action.kind!r}: its plugin is gone"
            await self._decisions.one(action, "failed", reason)
            return
        if self._decisions.expired(action):
            entered()
            late = ("failed", LATE, None)
            await self._decisions.lot(action, late, rounds, self._known.discard)
            return
        held = await self._admitted(action, launch)
        entered()
        if held:
            await self._decisions.one(action, "planned", held[0], held[1])
            return
        look = await self._decisions.look(action)
        if look[0] != "planned":
            self._unused(action)
            await self._decisions.lot(action, look, rounds, self._known.discard)
            return
        attempt_uid, tag = self._runtime.uid("att"), self._runtime.tag()
        now, opened = self._runtime.now(), self._runtime.monotonic()
        refused = await self._journal.attempts.open(
            action, attempt_uid=attempt_uid, tag=tag, departure=self._clock.departure(),
            boot=self._boot,
        )  # fmt: skip
        if refused:
            self._unused(action)
            self._gate.back(action, tried=False)
            if refused == "behind":
                if len(self._followed) > READY_LIMIT:  # found by the clock, then
                    self._followed.clear()
                self._followed.add(action.behind)
                await self._decisions.one(action, "deferred", BEHIND)
            elif refused == "collision":
                until = iso(now + timedelta(seconds=COLLISION_SECONDS))
                why = "the same text to the same person is under way"
                await self._decisions.one(action, "planned", why, until)
            return
        verdict = self._dated(action, await self._attempt(action, tag, opened, launch))
        if verdict.result not in ("accepted", "unknown"):
            self._gate.back(action, tried=True)
        state = await self._close(action, attempt_uid, verdict)
        if state in ("settled", "failed", "unknown"):
            self._signals.ended(action.uid, state)
        elif state == "accepted":
            self.passed(action.uid)
        if verdict.due_at or state == "unknown":
            self._signals.due(verdict.due_at or iso(self._runtime.now()))

    async def _close(self, action: StoredAction, attempt_uid: str, verdict: Verdict) -> str:
        now = self._runtime.now()
        try:
            return await self._journal.attempts.close(action, attempt_uid, verdict, iso(now))
        except RingbackError:
            raise
        except Exception as error:  # what was answered cannot be written down
            log.exception("action %s: this should not happen", action.uid)
            lost = classify.broken(action.kind, error, now, self._settings.settle_seconds)
            return await self._journal.attempts.close(action, attempt_uid, lost, iso(now))

    async def _admitted(self, action: StoredAction, launch: Launch) -> tuple[str, str] | None:
        """Wait for the rates; what would wait long is put back, with the reason and the time."""
        request = outline(action, self._settings)
        if request is None:
            return None
        if self._gateway is None:
            due = self._runtime.now() + timedelta(seconds=classify.CONFIG_RETRY_SECONDS)
            mend = REASONS["unconfigured"]
            return f"{HELD}{action.planned_at}: no gateway is configured; {mend}", iso(due)
        wanted = action.action
        sender, size = "", 1
        if is_message(wanted):
            sender = sender_of(wanted, self._settings.sender)
            size = segments.count(wanted.body)
        while True:
            await launch.begin()
            admission = self._limits.admit(request, sender=sender, segments=size)
            if admission.granted:
                return None
            if admission.wait > LONG_SECONDS or self._held():
                due = self._runtime.now() + timedelta(seconds=admission.wait)
                why = f"waits for {admission.why}"
                return self._stoppages.held(request.resource, why), iso(due)
            launch.left()
            await asyncio.sleep(admission.wait)

    def _unused(self, action: StoredAction) -> None:
        if (request := outline(action, self._settings)) is not None:
            self._limits.unused(request)

    def _dated(self, action: StoredAction, verdict: Verdict) -> Verdict:
        """A verdict that puts an action off, with the moment from which on nothing leaves."""
        if verdict.state != "planned":
            return verdict
        resource = kind_named(action.kind).resource
        return replace(verdict, reason=self._stoppages.held(resource, verdict.reason))

    async def _attempt(self, action: StoredAction, tag: str, at: float, launch: Launch) -> Verdict:
        wanted = action.action
        now = self._runtime.now()
        late = self._runtime.monotonic() - at > GUARD_SECONDS
        if late or self._held():
            self._unused(action)
            why = "the process stood still" if late else "sending was stopped before it left"
            return Verdict("not_sent", "planned", why, due_at=iso(now), spent=False)
        try:
            if isinstance(wanted, Notify | HttpRequest):
                outcome = await self._notice(wanted, action.event_uid, action.uid)
                return Verdict("accepted", "settled", outcome)
            return await self._perform(action, tag, launch)
        except GatewayError as error:
            return classify.bad(
                action.kind, action.policy, error, tries=action.tries + 1, now=now,
                settle_seconds=self._settings.settle_seconds, rng=self._runtime.rng,
            )  # fmt: skip
        except ConfigError as error:
            self._unused(action)
            due = iso(now + timedelta(seconds=classify.CONFIG_RETRY_SECONDS))
            return Verdict("refused", "planned", str(error), due_at=due, spent=False)
        except UsageError as error:
            self._unused(action)
            return Verdict("rejected", "failed", str(error), detail=str(error))
        except Exception as error:
            self._unused(action)
            log.exception("action %s: this should not happen", action.uid)
            return classify.broken(action.kind, error, now, self._settings.settle_seconds)

    async def _perform(self, action: StoredAction, tag: str, launch: Launch) -> Verdict:
        assert self._gateway is not None  # else it was not admitted
        request = whole(action, self._settings, tag, self._runtime.now())
        number = self._stoppages.begins(request.resource)
        try:
            reply = await self._gateway.perform(request, leaving=launch.left)
        except GatewayError as error:
            self._stoppages.ends(number, error)
            opened = self._limits.record(request, error)
            if opened:
                log.error("%s are held back: %s", request.resource, opened)
            raise
        except ConfigError as error:
            self._stoppages.ends(number, error)
            raise
        else:
            self._stoppages.ends(number, None)
        finally:
            self._stoppages.drop(number)
        self._limits.record(request, None)
        self._clock.hear(reply.date)
        return classify.good(action.kind, reply.data, reply.http_status, reply.request_id)


def _beside(action: StoredAction) -> bool:
    """Whether an action goes out by another way than the gateway."""
    known = known_kind(action.kind)
    return known is not None and not known.resource
