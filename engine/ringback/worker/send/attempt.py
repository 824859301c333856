"""Attempt: the one request of an action, from its commit to its verdict.

The attempt is on disk when this begins, and its verdict is when this ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from ringback.action_kinds import is_message, sender_of
from ringback.actions import HttpRequest, Notify
from ringback.config import Settings
from ringback.errors import BadRequest, ConfigError, GatewayError, RingbackError, UsageError
from ringback.gateway.client import Gateway
from ringback.gateway.limits import BACKOFF_CAP, Admission, Limits
from ringback.outcomes import Answered
from ringback.runtime import Runtime, iso
from ringback.store.actions import StoredAction
from ringback.store.attempts import Opening, Verdict
from ringback.store.interface import Journal
from ringback.twilio import segments
from ringback.twilio.rest import Request
from ringback.worker.outgoing import outline, whole
from ringback.worker.send import classify
from ringback.worker.send.launch import Launch
from ringback.worker.send.server_clock import ServerClock
from ringback.worker.send.stoppages import HELD, REASONS, Stoppages
from ringback.worker.traces import worker_spans as traces

log = logging.getLogger(__name__)

LONG_SECONDS = 5.0
"""What would wait for the rates for longer than this is put back."""
GUARD_SECONDS = 5.0
"""An attempt that waited longer than this between its commit and its first byte is not made. Nor is
one of a worker that will not be the owner for so long: the next owner may begin then."""


class Carrier:
    """Makes the requests of committed attempts. `held` says whether nothing is to leave now."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        gateway: Gateway | None,
        clock: ServerClock,
        limits: Limits,
        stoppages: Stoppages,
        notice: Callable[[Notify | HttpRequest, str, str], Awaitable[str | Answered]],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway = gateway
        self._clock = clock
        self._limits = limits
        self._stoppages = stoppages
        self._notice = notice
        self.held: Callable[[], bool] = lambda: False

    def asked(self, action: StoredAction, request: Request) -> Admission:
        """What the rates say to this request of an action."""
        sender, size = self._load(action)
        return self._limits.admit(request, sender=sender, segments=size)

    async def admitted(self, action: StoredAction, launch: Launch) -> tuple[str, str] | None:
        """Wait for the rates; what would wait long is put back, with the reason and the time."""
        request = outline(action, self._settings)
        if request is None:
            return None
        if self._gateway is None:
            due = self._runtime.now() + timedelta(seconds=classify.CONFIG_RETRY_SECONDS)
            mend = REASONS["unconfigured"]
            return f"{HELD}{action.planned_at}: no gateway is configured; {mend}", iso(due)
        while True:
            await launch.begin()
            admission = self.asked(action, request)
            if admission.granted:
                return None
            if admission.wait > LONG_SECONDS or self.held():
                # What is due later than that passes for put off by a clock that was wrong.
                due = self._runtime.now() + timedelta(seconds=min(admission.wait, BACKOFF_CAP))
                why = f"waits for {admission.why}"
                return self._stoppages.held(request, why), iso(due)
            launch.left()
            await asyncio.sleep(admission.wait)

    def admitted_now(self, action: StoredAction, launch: Launch) -> bool:
        """Take a place and a share of the rates, if neither has to be waited for."""
        if self._gateway is None or not launch.begin_now():
            return False
        try:
            request = outline(action, self._settings)
            if request is not None and self.asked(action, request).granted:
                return True
        except (ValueError, TypeError, LookupError):  # it is damaged: its task says so
            pass
        launch.left()
        return False

    def unused(self, action: StoredAction) -> None:
        """What the rates have granted does not leave after all."""
        if (request := outline(action, self._settings)) is not None:
            sender, size = self._load(action)
            self._limits.unused(request, sender=sender, segments=size)

    def _load(self, action: StoredAction) -> tuple[str, int]:
        """Whose rate a text is on, and how much of it; no more than is held back here."""
        wanted = action.action
        if not self._limits.paces or not is_message(wanted):
            return "", 1
        return sender_of(wanted, self._settings.sender), segments.count(wanted.body)

    async def carry_out(
        self, action: StoredAction, opening: Opening, at: float, launch: Launch
    ) -> Verdict:
        """Make the request. `at` is the moment of the monotonic clock before its commit."""
        making = self._attempt(action, opening.tag, at, launch)
        return self._dated(action, await traces.attempt(self._journal, action, opening, making))

    async def close(self, action: StoredAction, attempt_uid: str, verdict: Verdict) -> str:
        """Write what the request came to; the state of the action after it."""
        now = self._runtime.now()
        try:
            return await self._journal.attempts.close(action, attempt_uid, verdict, iso(now))
        except RingbackError:
            raise
        except Exception as error:  # what was answered cannot be written down
            log.exception("action %s: this should not happen", action.uid)
            lost = classify.broken(action.kind, error, now, self._settings.settle_seconds)
            return await self._journal.attempts.close(action, attempt_uid, lost, iso(now))

    def _dated(self, action: StoredAction, verdict: Verdict) -> Verdict:
        """A verdict that puts an action off, with the moment from which on nothing leaves."""
        if verdict.state != "planned":
            return verdict
        request = outline(action, self._settings)
        return replace(verdict, reason=self._stoppages.held(request, verdict.reason))

    async def _attempt(self, action: StoredAction, tag: str, at: float, launch: Launch) -> Verdict:
        wanted = action.action
        now = self._runtime.now()
        late = self._runtime.monotonic() - at > GUARD_SECONDS
        if late or self.held():
            self.unused(action)
            why = "the process stood still" if late else "sending was stopped before it left"
            return Verdict("not_sent", "planned", why, due_at=iso(now), spent=False)
        try:
            if isinstance(wanted, Notify | HttpRequest):
                outcome = await self._notice(wanted, action.event_uid, action.uid)
                if isinstance(outcome, str):
                    return Verdict("accepted", "settled", outcome)
                retries = wanted.retries if isinstance(wanted, HttpRequest) else 0
                return self._answered(outcome, action.tries + 1, retries, lost=False)
            return await self._perform(action, tag, launch)
        except GatewayError as error:
            if isinstance(wanted, HttpRequest) and wanted.answer:
                lost = Answered(why=str(error))
                most = 0 if isinstance(error, BadRequest) else wanted.retries
                return self._answered(lost, action.tries + 1, most, lost=True)
            return classify.bad(
                action.kind, action.policy, error, tries=action.tries + 1, now=now,
                settle_seconds=self._settings.settle_seconds, rng=self._runtime.rng,
            )  # fmt: skip
        except ConfigError as error:
            self.unused(action)
            due = iso(now + timedelta(seconds=classify.CONFIG_RETRY_SECONDS))
            return Verdict("refused", "planned", str(error), due_at=due, spent=False)
        except UsageError as error:
            self.unused(action)
            return Verdict("rejected", "failed", str(error), detail=str(error))
        except Exception as error:
            self.unused(action)
            log.exception("action %s: this should not happen", action.uid)
            return classify.broken(action.kind, error, now, self._settings.settle_seconds)

    def _answered(self, answer: Answered, tries: int, retries: int, *, lost: bool) -> Verdict:
        now, rng = self._runtime.now(), self._runtime.rng
        return classify.answered(answer, tries, now, rng, more=tries <= retries, lost=lost)

    async def _perform(self, action: StoredAction, tag: str, launch: Launch) -> Verdict:
        assert self._gateway is not None  # else it was not admitted
        request = whole(action, self._settings, tag, self._runtime.now())
        number = self._stoppages.begins(request)
        try:
            reply = await self._gateway.perform(request, leaving=launch.connected)
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
