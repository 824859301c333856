"""Send: one attempt is committed before a byte leaves, and its verdict is committed after.

Twilio offers no idempotency key, so the journal is the key: an action that stands in `sending` is
never simply sent again. Messages of one conversation leave one after the other, in order.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any

from ringback.action_kinds import known_kind
from ringback.actions import AnswerCall, HttpRequest, Notify
from ringback.config import Settings
from ringback.errors import RingbackError, StorageError
from ringback.gateway.client import Gateway
from ringback.gateway.limits import BACKOFF_CAP, Limits
from ringback.outcomes import Answered
from ringback.plugins.perform import describe
from ringback.runtime import Runtime, iso
from ringback.store.actions import NewAction, StoredAction
from ringback.store.attempts import Opening
from ringback.store.interface import Journal
from ringback.twilio.error_codes import NOT_IN_PROGRESS
from ringback.twilio.rest import Request
from ringback.worker.outgoing import outline
from ringback.worker.send.attempt import GUARD_SECONDS, Carrier
from ringback.worker.send.decisions import LATE, Decisions, Gate
from ringback.worker.send.launch import Boarded, Launch, Leaving, Places
from ringback.worker.send.rounds import Rounds, place_of
from ringback.worker.send.server_clock import ServerClock
from ringback.worker.send.stoppages import Stoppages
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
COLLISION_SECONDS = 2.0
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
        notice: Callable[[Notify | HttpRequest, str, str], Awaitable[str | Answered]],
        signals: Signals,
        refused: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway = gateway
        self._gate = gate
        self._decisions = Decisions(journal, runtime, gate, signals, refused)
        self._clock = clock
        self._limits = limits
        self._stoppages = stoppages
        self._carrier = Carrier(
            journal=journal, settings=settings, runtime=runtime, gateway=gateway, clock=clock,
            limits=limits, stoppages=stoppages, notice=notice,
        )  # fmt: skip
        self._carrier.held = self._held
        self._boot = boot
        self._signals = signals
        self._ready = Rounds(SHARE)
        self._notices = Rounds(SHARE)
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: set[str] = set()
        self._coming: Counter[str] = Counter()
        self._boarded = 0
        self._more = False
        self._launches = Places(CONCURRENCY, runtime.monotonic)
        self.paused = False
        self.held = False
        self.stopping = False
        self.committed: Callable[[str], object] = lambda uid: None
        """Called with each attempt that was committed, before its request leaves."""
        self.lease_left: Callable[[], float] = lambda: inf
        """For how many seconds this worker is the one that may send, among several."""

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

    async def leaving(self, actions: Sequence[NewAction], *, ahead: bool = False) -> Leaving:
        """Find out which of new actions nothing holds back: their attempts are written with them,
        in one commit. Until `left` no others of their conversations go. `ahead`: their events are
        written with them too."""
        leaving = Leaving()
        try:
            for action in [each.stored() for each in actions]:
                boarded = await self._board(action, ahead)
                if boarded is not None:
                    leaving.boarded.append(boarded)
                else:
                    leaving.rest.append(action)
                self._coming[place_of(action)] += 1
        except BaseException:
            self.left(leaving, None)
            raise
        return leaving

    def left(self, leaving: Leaving, refused: Sequence[str] | None) -> None:
        """They are written, each attempt or why there is none; None when nothing is."""
        for action in (*leaving.rest, *(each.action for each in leaving.boarded)):
            self._coming[place_of(action)] -= 1
            if not self._coming[place_of(action)]:
                del self._coming[place_of(action)]
        self._boarded -= len(leaving.boarded)
        if refused is None:
            for each in leaving.boarded:
                self._give_back(each.action, each.launch)
            self._pump()
            return
        for each, why in zip(leaving.boarded, refused, strict=True):
            going = partial(self._opened, each.action, each.opening, each.at, each.launch, why)
            self._start(self._drive(each.action, self._ready, each.launch, going))
        self.offer(leaving.rest)

    async def _board(self, action: StoredAction, ahead: bool) -> Boarded | None:
        """The attempt of a new action that may leave before it is written; None when anything holds
        it back, and then nothing is taken or counted."""
        request = self._at_once(action)
        if request is None or self._coming[place_of(action)]:
            return None
        launch = Launch(self._launches)
        await launch.begin()
        if not self._carrier.asked(action, request).granted:
            launch.left()
            return None
        self._ready.claim(action)
        self._known.add(action.uid)
        allowed = False
        try:
            allowed = (await self._decisions.look(action, ahead=ahead))[0] == "planned"
        except (ValueError, TypeError, LookupError):  # damaged, or too early
            return None
        finally:
            if not allowed:
                self._carrier.unused(action)
                self._forget(action, launch)
        if not allowed:
            return None
        self._boarded += 1
        return Boarded(action, self._opening(), launch, self._runtime.monotonic())

    def _at_once(self, action: StoredAction) -> Request | None:
        """The request of an action that has to wait for nothing in memory, else None."""
        kind = known_kind(action.kind)
        busy = len(self._tasks) + self._boarded >= CONCURRENCY or self._launches.full
        if busy or self.held or self._more or self._held() or self._gateway is None:
            return None
        if kind is None or not self._ready.idle(action) or self._decisions.expired(action):
            return None
        return outline(action, self._settings)

    def _give_back(self, action: StoredAction, launch: Launch) -> None:
        self._carrier.unused(action)
        self._gate.back(action, tried=False)
        self._forget(action, launch)

    def _forget(self, action: StoredAction, launch: Launch) -> None:
        launch.left()
        self._known.discard(action.uid)
        self._ready.done(action)

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
            while len(self._tasks) + self._boarded < most and not self._held():
                action = rounds.take()
                if action is None:
                    break
                launch = Launch(self._launches)
                if admitted := self._admitted_at_once(action, launch):
                    rounds.entered(action)
                work = partial(self._send, action, rounds, launch, admitted=admitted)
                self._start(self._drive(action, rounds, launch, work))
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
        return self.paused or self.stopping or self.lease_left() <= GUARD_SECONDS

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._pump()

    async def _drive(
        self,
        action: StoredAction,
        rounds: Rounds,
        launch: Launch,
        work: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            async with launch:
                await work()
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

    def _admitted_at_once(self, action: StoredAction, launch: Launch) -> bool:
        """Whether an action waits for nothing: then the next of its rule need not wait until its
        task has begun."""
        if known_kind(action.kind) is None or self._decisions.expired(action):
            return False
        return self._carrier.admitted_now(action, launch)

    async def _send(
        self, action: StoredAction, rounds: Rounds, launch: Launch, *, admitted: bool
    ) -> None:
        if not admitted and not await self._enter(action, rounds, launch):
            return
        look = await self._decisions.look(action)
        if look[0] != "planned":
            self._carrier.unused(action)
            await self._decisions.lot(action, look, rounds, self._known.discard)
            return
        opening, at = self._opening(), self._runtime.monotonic()
        refused = await self._journal.attempts.open(action, opening)
        await self._opened(action, opening, at, launch, refused)

    async def _enter(self, action: StoredAction, rounds: Rounds, launch: Launch) -> bool:
        """Wait for what an action has to wait for, until the next of its rule may follow; whether
        it goes out."""

        def entered() -> None:
            rounds.entered(action)
            self._pump()

        if known_kind(action.kind) is None:
            entered()
            reason = f"nothing here knows the kind {action.kind!r}: its plugin is gone"
            await self._decisions.one(action, "failed", reason)
            return False
        if self._decisions.expired(action):
            entered()
            late = ("failed", LATE, None)
            await self._decisions.lot(action, late, rounds, self._known.discard)
            return False
        held = await self._carrier.admitted(action, launch)
        entered()
        if held:
            await self._decisions.one(action, "planned", held[0], held[1])
            return False
        return True

    def _opening(self) -> Opening:
        runtime = self._runtime
        return Opening(runtime.uid("att"), runtime.tag(), self._clock.departure(), self._boot)

    async def _opened(
        self, action: StoredAction, opening: Opening, at: float, launch: Launch, refused: str
    ) -> None:
        """Make the request of an attempt that is committed, or see why it is not."""
        if refused:
            self._carrier.unused(action)
            self._gate.back(action, tried=False)
            if refused == "behind":
                if len(self._followed) > READY_LIMIT:  # found by the clock, then
                    self._followed.clear()
                self._followed.add(action.behind)
                await self._decisions.one(action, "deferred", BEHIND)
            elif refused == "collision":
                until = iso(self._runtime.now() + timedelta(seconds=COLLISION_SECONDS))
                why = "the same text to the same person is under way"
                await self._decisions.one(action, "planned", why, until)
            return
        self.committed(opening.uid)
        verdict = await self._carrier.carry_out(action, opening, at, launch)
        if verdict.result not in ("accepted", "unknown"):
            self._gate.back(action, tried=True)
        state = await self._carrier.close(action, opening.uid, verdict)
        if state in ("settled", "failed", "unknown"):
            self._signals.ended(action.uid, state)
            wanted = action.action
            if isinstance(wanted, HttpRequest) and wanted.answer:
                self._signals.news()
            if verdict.twilio_code == NOT_IN_PROGRESS and isinstance(wanted, AnswerCall):
                self._signals.hung_up(action.run_uid, wanted.call_sid, wanted.leads)
        elif state == "accepted":
            self.passed(action.uid)
        if verdict.due_at or state == "unknown":
            self._signals.due(verdict.due_at or iso(self._runtime.now()))


def _beside(action: StoredAction) -> bool:
    """Whether an action goes out by another way than the gateway."""
    known = known_kind(action.kind)
    return known is not None and not known.resource
