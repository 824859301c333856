"""Watchdogs: what should have happened and did not. The costliest faults give no error."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ringback.actions import SendMessage
from ringback.config import Settings
from ringback.disk_space import nearly_full
from ringback.errors import BadRequest, NotFound, RingbackError, Unreadable
from ringback.events import Event, cause_fields, conversation_of, sides
from ringback.gateway.webhook_setup import drifted
from ringback.outcomes import EFFECTS, normal_status, rank
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import StoredAction
from ringback.store.interface import Journal
from ringback.twilio.rest import Request, path
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.recovery.repair import EVERY_SECONDS, Repairer
from ringback.worker.send.gateway_reader import GatewayReader
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

STUCK_AFTER = timedelta(minutes=10)
LOOK_AGAIN = timedelta(hours=6)
LONGEST_CALL = timedelta(hours=24)
"""Twilio ends a call by then: https://www.twilio.com/docs/voice/api/call-resource#timelimit"""
STUCK_AT_ONCE = 50
STUCK_SECONDS = 60.0
KEEP_FIRST_SECONDS = 300.0
ROOM_SECONDS = 60.0
DRIFT_SECONDS = 3600.0
KEEP_SECONDS = 86_400.0
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class Watch:
    """Runs the watchdogs and the repair on their own clocks, each behind its own error handling.

    `beside` are further looks, each with how many seconds lie between two of it.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        reader: GatewayReader,
        repairer: Repairer,
        incidents: Incidents,
        signals: Signals,
        beside: Sequence[tuple[float, Callable[[], Awaitable[object]]]] = (),
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway_reader = reader
        self._repairer = repairer
        self._incidents = incidents
        self._signals = signals
        self._beside = beside
        self._crowded: bool | None = None
        self.failing: dict[str, tuple[str, str]] = {}
        """What could not be done the last time: its name to when that began, and why."""

    async def run(self) -> None:
        """Watch until cancelled. Without a gateway only what is on record can be seen."""
        watches = [
            self._every(KEEP_SECONDS, self.retire, KEEP_FIRST_SECONDS),
            self._every(ROOM_SECONDS, self.room, 0.0),
            *(self._every(seconds, look, seconds) for seconds, look in self._beside),
        ]
        if self._gateway_reader.gateway is not None:
            watches += [
                self._every(EVERY_SECONDS, self._repairer.step, 0.0),
                self._once(self._settings.settle_seconds, self._repairer.step),
                self._every(STUCK_SECONDS, self.stuck, STUCK_SECONDS),
                self._every(DRIFT_SECONDS, self.drift, STUCK_SECONDS),
            ]
        await asyncio.gather(*watches)

    async def _every(
        self, seconds: float, work: Callable[[], Awaitable[object]], first: float
    ) -> None:
        await asyncio.sleep(first)
        while True:
            await self._guarded(work)
            await asyncio.sleep(seconds)

    async def _once(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        await asyncio.sleep(seconds)
        await self._guarded(work)

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        name: str = getattr(work, "__name__", "")
        name = "repair" if work == self._repairer.step else name
        try:
            if await work():
                self._signals.news()
        except RingbackError as error:
            log.warning("%s", error)
            since, _ = self.failing.get(name, (iso(self._runtime.now()), ""))
            self.failing[name] = (since, str(error).split("\n")[0])
        else:
            self.failing.pop(name, None)

    async def room(self) -> None:
        """An incident `disk` while little space is left, in time to make some. It is written once:
        a disk that is full by then takes no more."""
        said = nearly_full(self._settings.data)
        if bool(said) is not self._crowded:
            await self._incidents.settle("disk", {"disk": said} if said else {})
            self._crowded = bool(said)

    async def stuck(self) -> int:
        """Look at sends that were accepted and never heard of again; how many there were.

        What Twilio knows by now is recorded as if it had been called back. What has no final status
        there either is `watch.stuck`, once.
        """
        now = self._runtime.now()
        before = iso(now - STUCK_AFTER)
        found = await self._journal.actions.stuck(before, iso(now), STUCK_AT_ONCE)
        for action in found:
            until = _scheduled(action) + STUCK_AFTER
            if until > now:
                await self._journal.actions.look_again(action.uid, iso(until))
                continue
            gone = False
            try:
                record = await self._record(action)
            except (BadRequest, NotFound, Unreadable) as error:  # of this record alone: others wait
                log.warning("%s of action %s is not known: %s", action.kind, action.uid, error)
                record, gone = {}, not isinstance(error, Unreadable)
            status = normal_status(str(record.get("status") or ""))
            if rank(action.effect, status) > rank(action.effect, action.outcome):
                await self._repairer.append(*_callback(action, record, status))
            # An answer that says nothing of it is no look: the next one follows soon.
            soon = status == "answered" or not (status or gone)
            again = STUCK_AFTER if soon else LOOK_AGAIN
            await self._journal.actions.look_again(action.uid, iso(now + again))
            began = await self._journal.actions.left_at(action.uid) or action.planned_at
            if status == "answered" and now - from_iso(began) < LONGEST_CALL:
                continue  # they are talking
            if status in ("", "accepted", "scheduled", "queued", "sending", "sent", "initiated",
                          "ringing", "answered"):  # fmt: skip
                behind = await self._journal.events.get(action.event_uid)
                await self._emit(
                    "watch.stuck", f"stuck:{action.uid}", _between(action), action.remote_sid,
                    status, cause_fields(action.uid, action.rule, action.run_uid, behind),
                    action.account_sid,
                )  # fmt: skip
        return len(found)

    async def drift(self) -> int:
        """Connected numbers whose webhooks somebody has changed since."""
        assert self._gateway_reader.gateway is not None
        lines = await drifted(self._gateway_reader.gateway, self._settings.data)
        await self._incidents.settle("drift", {f"drift:{line}": line for line in lines})
        return len(lines)

    async def retire(self) -> int:
        """Let go of texts and rows that are older than they are to be kept; how many that was."""
        count = 0
        for days, step in (
            (self._settings.keep_bodies_days, self._journal.retention.blank),
            (self._settings.keep_rows_days, self._journal.retention.retire),
        ):
            before = iso(self._runtime.now() - timedelta(days=days))
            while days and (done := await step(before)):
                count += done
        return count

    async def _record(self, action: StoredAction) -> dict[str, Any]:
        resource = EFFECTS[action.effect].resource
        where = path(self._settings.account_for(action.account_sid), resource, action.remote_sid)
        reply = await self._gateway_reader.ask(Request("GET", where, (), resource.lower()))
        return reply.data

    async def _emit(
        self, type_: str, key: str, between: tuple[str, str], sid: str, status: str,
        fields: dict[str, str], account_sid: str = "",
    ) -> None:  # fmt: skip
        ours, theirs = between
        now = self._runtime.now()
        event = Event(
            uid=self._runtime.uid("evt"), type=type_, at=now, received_at=now, source="internal",
            subject_sid=sid, sender=ours, recipient=theirs,
            conversation=conversation_of(ours, theirs), account_sid=account_sid,
            status=status, dedupe_key=key, fields=fields,
        )  # fmt: skip
        await self._journal.events.record_internal(event)


def _between(action: StoredAction) -> tuple[str, str]:
    """Our address and theirs, as the action writes them."""
    written = (str(getattr(action.action, name, "")) for name in ("sender", "to"))
    return sides(action.conversation, *written)


def _scheduled(action: StoredAction) -> datetime:
    """For when Twilio was asked to send a text; long ago where it was asked to do so at once.

    https://www.twilio.com/docs/messaging/features/message-scheduling
    """
    wanted = action.action
    at = wanted.extra.get("SendAt", "") if isinstance(wanted, SendMessage) else ""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return _LONG_AGO
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _callback(
    action: StoredAction, record: dict[str, Any], status: str
) -> tuple[str, dict[str, str]]:
    """A fetched record as the status callback that never came: its route and fields."""
    fields = {
        "AccountSid": str(record.get("account_sid") or ""),
        "From": str(record.get("from") or ""),
        "To": str(record.get("to") or ""),
    }
    if action.effect == "message":
        code = record.get("error_code")
        extra = {"ErrorCode": str(code)} if code else {}
        sid = {"MessageSid": action.remote_sid, "MessageStatus": status}
        return "message/status", {**fields, **sid, **extra}
    wire = "in-progress" if status == "answered" else status
    return "call/status", {**fields, "CallSid": action.remote_sid, "CallStatus": wire}
