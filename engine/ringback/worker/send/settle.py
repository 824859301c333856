"""Settle: find out what became of a send whose answer was lost, before anybody sends it again.

The tagged status callback is the best proof and is folded in by matching, whenever it comes. Until
it does, Twilio's own list is read: not before the request can have landed, three times, and an
error of the list is never taken for an absence. What stays unproven is parked for a person.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from ringback.action_kinds import (
    OutgoingMessage,
    is_message,
    is_outgoing,
    kind_named,
    known_kind,
    sender_of,
)
from ringback.actions import Action
from ringback.config import Settings
from ringback.errors import GatewayError, RingbackError
from ringback.gateway.limits import BACKOFF_CAP
from ringback.outcomes import EFFECTS
from ringback.runtime import Runtime, iso
from ringback.store.actions import StoredAction
from ringback.store.evidence import DOUBTFUL, Shown
from ringback.store.interface import Journal
from ringback.twilio.costs import cost_of, error_code
from ringback.twilio.likeness import ALIKE, differing, likeness
from ringback.twilio.rest import Request, is_sid, path
from ringback.worker.run.plan import comparable, telling
from ringback.worker.send import classify
from ringback.worker.send.gateway_reader import GatewayReader, next_page
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

POLLS = 3
NEXT_LOOK = (20.0, 40.0)
RESENDS = 3
"""So often something is repeated that leaves no record to prove that it was not done."""
RESEND_PAUSE = 30.0
PAGE_SIZE = 1000
MOST_PAGES = 100
SIDE_BY_SIDE = 8
BAD_REQUEST = 400
PATIENCE = timedelta(days=1)
LEAST_TRIED = 3600.0
AGAIN = 1.0
"""So many seconds after a look began, at the latest, others are looked for that have come due."""
EARLIER = timedelta(seconds=60)
LATER = timedelta(seconds=120)
UNLIKE = "Twilio shows no text or number to compare (redaction, a template, shortened links)"
CHANGED = "Twilio shows a record that nobody has claimed and that may be this text, changed"
_SHOWN = ("body", "media")
"""What a record shows of the identity of a text."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a list shows of one send, among the records that belong to no action.

    `fits` are those that can be its own, oldest first. `hidden`: one of them cannot be compared.
    `alike` shows the text of one that differs a little beside ours; empty when there is none.
    """

    fits: list[Mapping[str, Any]] = field(default_factory=list)
    hidden: bool = False
    alike: str = ""


class Settler:
    """Looks into unknown actions when they are due."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        reader: GatewayReader,
        signals: Signals,
        on_planned: Callable[[], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway_reader = reader
        self._signals = signals
        self._on_planned = on_planned
        self._began = runtime.monotonic()

    async def step(self) -> None:
        """Look into what is due until nothing is, what was not looked into yet first. A list that
        does not answer holds up nothing but its own look."""
        looks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for action in await self._due(looks.keys(), SIDE_BY_SIDE - len(looks)):
                    looks[action.uid] = asyncio.ensure_future(self._look(action))
                if not looks:
                    return
                done, _ = await asyncio.wait(
                    looks.values(), timeout=AGAIN, return_when=asyncio.FIRST_COMPLETED
                )
                looks = {uid: task for uid, task in looks.items() if task not in done}
        finally:
            for task in looks.values():
                task.cancel()

    async def _due(self, known: Set[str], limit: int) -> list[StoredAction]:
        now = self._runtime.now()
        far = iso(now + timedelta(seconds=max(60.0, self._settings.settle_seconds) + 1))
        found = await self._journal.actions.unknown(iso(now), limit + len(known), far=far)
        return [action for action in found if action.uid not in known][:limit]

    async def _look(self, action: StoredAction) -> None:
        try:
            await self._settle(action)
        except Exception as error:  # a fault of our own must not keep others in doubt
            log.exception("action %s cannot be settled now", action.uid)
            try:
                await self._later(action, f"it could not be looked into: {error}", looked=False)
            except RingbackError:
                await asyncio.sleep(AGAIN)

    async def _settle(self, action: StoredAction) -> None:
        if known_kind(action.kind) is None:
            await self._park(action, f"nothing here knows the kind {action.kind!r}")
            return
        polls, resends, departure = await self._journal.evidence.progress(action.uid)
        if not action.effect:
            if action.policy == "natural" and resends < RESENDS:
                await self._again(action, "to repeat it does no harm: tried again", resends)
            else:
                await self._park(action, "it leaves no record that could prove it")
            return
        clock = self._gateway_reader.clock
        starts = clock.starts(departure) if departure is not None else ()
        try:
            records = await self.listed(action, min(starts) - EARLIER if starts else None)
        except GatewayError as error:
            if error.http_status == BAD_REQUEST or self._forlorn(starts):
                await self._park(action, f"Twilio does not list it: {error}")
            else:
                await self._later(action, f"the list could not be read: {error}", looked=False)
            return
        if not starts:
            await self._park(action, "nobody knows when it was sent: the clock was set meanwhile")
            return
        spans = [(started - EARLIER, started + LATER) for started in starts]
        found = await self.matching(action, records, spans)
        if found.hidden:
            await self._park(action, UNLIKE)
        elif found.fits:
            await self.claim(action, found.fits)
        elif clock.now() - max(starts) < self._patience(action, polls):
            await self._later(action, "too early to say that it is not there", looked=False)
        elif polls + 1 < POLLS:
            await self._later(action, f"not in Twilio's list yet, look {polls + 1}", looked=True)
        elif found.alike:
            await self._park(action, CHANGED, found.alike)
        else:
            await self._decide(action, resends)

    def _forlorn(self, starts: Sequence[datetime]) -> bool:
        """Whether a list that cannot be read is waited for no longer: for a day since the request
        left, and for an hour of this life of the worker. A late callback is proof all the same."""
        tried = self._runtime.monotonic() - self._began
        age = self._gateway_reader.clock.now() - max(starts) if starts else PATIENCE
        return tried >= LEAST_TRIED and age >= PATIENCE

    async def listed(self, stored: StoredAction, since: datetime | None) -> list[Mapping[str, Any]]:
        """The records to this recipient from this sender that were made since then, and perhaps
        older ones, in whatever state. Raises GatewayError, also for more than can be read."""
        action = stored.action
        assert is_outgoing(action)
        resource = EFFECTS[kind_named(action.kind).effect].resource
        query = [("To", action.to), ("PageSize", str(PAGE_SIZE))]
        sender = action.sender or self._settings.sender
        if sender and not (is_message(action) and self._service(action)):
            query.append(("From", sender))
        where = path(self._settings.account_for(stored.account_sid), resource)
        request = Request("GET", where, tuple(query), resource.lower())
        found: list[Mapping[str, Any]] = []
        for _ in range(MOST_PAGES):
            reply = await self._gateway_reader.ask(request, look=True)
            records = reply.data.get(resource.lower())
            if not isinstance(records, list):
                raise GatewayError(f"the list of {resource.lower()} has no {resource.lower()}")
            found += (record for record in records if isinstance(record, Mapping))
            following = next_page(request, reply)
            if following is None or _reaches(found, since):
                return found
            request = following
        raise GatewayError(f"more than {len(found)} {resource.lower()} to {action.to} since then")

    async def matching(
        self,
        stored: StoredAction,
        records: list[Mapping[str, Any]],
        spans: Sequence[tuple[datetime, datetime]],
    ) -> Found:
        """What is among these records of this send: those made in one of the spans, and those that
        do not say when they were made, which can be no proof."""
        action = stored.action
        hidden, fits, others = False, list[Mapping[str, Any]](), list[Mapping[str, Any]]()
        near = [record for record in records if _within(created_at(record), spans)]
        for record in await self._unclaimed(near):
            dated = created_at(record) is not None
            if not self._like(action, record):
                continue
            if not is_message(action):
                (fits if dated else others).append(record)
                continue
            body = str(record.get("body") or "")
            if (action.body and not body) or _unshown(action):
                hidden |= dated
                continue
            same = str(record.get("num_media") or "0") == str(len(action.media))
            if dated and same and comparable(body) == comparable(action.body):
                fits.append(record)
            else:
                others.append(record)
        return Found(fits, hidden, "" if fits else await self._alike(stored, others))

    def _like(self, action: Action, record: Mapping[str, Any]) -> bool:
        """Whether a record can be of such an action at all, whatever it says."""
        if record.get("direction") not in (None, "", "outbound-api"):
            return False
        # Its sender may not be chosen yet; that of another service may be our number.
        service = str(record.get("messaging_service_sid") or "")
        return not is_message(action) or service == self._service(action)

    async def _alike(self, stored: StoredAction, records: list[Mapping[str, Any]]) -> str:
        """The text of a record that may be ours, changed on the way, beside ours. What is more like
        another text of ours to the same person, whose record is not known yet, is that one's."""
        if not records or not is_message(stored.action):
            return ""
        beside: list[str] | None = None
        ours, sender = stored.action.body, sender_of(stored.action, self._settings.sender)
        for record in records:
            if str(record.get("from") or sender) != sender and not self._service(stored.action):
                continue
            theirs = str(record.get("body") or "")
            score = _same(ours, theirs)
            if score < ALIKE:
                continue
            if beside is None:
                beside = await self._journal.evidence.texts_beside(stored)
            if all(_same(text, theirs) <= score for text in beside):
                left, right = differing(ours, theirs)
                media = f"{len(stored.action.media)} and {record.get('num_media') or 0} media"
                return f": ours “{left}”, that of {record.get('sid')} “{right}”, {media}"
        return ""

    async def _unclaimed(self, records: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of these records that belong to no action yet, oldest first."""
        sids = [str(record.get("sid")) for record in records]
        taken = await self._journal.evidence.claimed(sids) if sids else set()
        fresh = [record for record in records if str(record.get("sid")) not in taken]
        return sorted(fresh, key=_age)

    async def claim(
        self,
        action: StoredAction,
        records: list[Mapping[str, Any]],
        states: Sequence[str] = DOUBTFUL,
    ) -> None:
        """Give the oldest of these records to the action, while it is in one of these states."""
        record = records[0]
        reason = f"found in Twilio's list as {record.get('sid')}"
        if len(records) > 1:
            reason += f"; {len(records)} records fit: a possible duplicate"
            log.error("action %s: %s", action.uid, reason)
        shown = Shown(
            str(record.get("sid")), str(record.get("status") or ""),
            error_code(record), cost_of(record),
        )  # fmt: skip
        now = iso(self._runtime.now())
        state = await self._journal.evidence.claim(action, shown, reason, now, states)
        if state in ("settled", "failed"):
            self._signals.ended(action.uid, state)
        elif state:
            self._signals.due(now)  # what waits behind it may go

    def _service(self, action: OutgoingMessage) -> str:
        """The messaging service that the text goes through; it may be the default sender."""
        sender = sender_of(action, self._settings.sender)
        return sender if is_sid(sender, "MG") else ""

    def _patience(self, action: StoredAction, polls: int) -> timedelta:
        """How long after it was sent the next look may count as one that found nothing. Our own
        clock cannot tell: it may have been set."""
        settle = self._settings.settle_seconds
        first = settle * (classify.FAST_SHARE if action.policy == "fast" else 1.0)
        return timedelta(seconds=first + min(polls, POLLS - 1) * NEXT_LOOK[0] * settle / 60.0 - 1)

    async def _later(self, action: StoredAction, reason: str, *, looked: bool) -> None:
        scale = self._settings.settle_seconds / 60.0
        seconds = self._runtime.rng.uniform(*NEXT_LOOK) * scale
        due = iso(self._runtime.now() + timedelta(seconds=seconds))
        await self._journal.evidence.postpone(action.uid, due, reason, looked=looked)
        self._signals.due(due)

    async def _decide(self, action: StoredAction, resends: int) -> None:
        """Absent within the bound. Only a policy that allows it sends once more."""
        late = bool(action.send_by) and iso(self._runtime.now()) > str(action.send_by)
        if action.policy == "at_most_once":
            await self._park(action, "no record of it was found; at_most_once never sends again")
        elif late:
            await self._park(action, "no record of it was found, and its time has passed")
        else:
            reason = f"no record of it was found in {POLLS} looks: sent again"
            await self._again(action, reason, resends)

    async def _again(self, action: StoredAction, reason: str, resends: int) -> None:
        """Plan it once more: the first time at once, then after growing pauses. An outage may last
        for longer than a few tries."""
        seconds = 0.0
        if resends:
            scale = self._runtime.rng.uniform(0.5, 1.0) * self._settings.settle_seconds / 60.0
            seconds = scale * min(RESEND_PAUSE * 2.0 ** min(resends - 1, 30), BACKOFF_CAP)
            reason += f" in {seconds:.0f} s"
        due = iso(self._runtime.now() + timedelta(seconds=seconds))
        if await self._journal.evidence.send_again(action.uid, reason, due):
            self._signals.due(due)
            await self._on_planned()

    async def _park(self, action: StoredAction, reason: str, texts: str = "") -> None:
        """Leave it to a person. What people wrote stands in the journal, and in no log."""
        if await self._journal.evidence.park(action.uid, reason + texts):
            log.error("action %s is parked: %s", action.uid, reason)
            self._signals.ended(action.uid, "unknown")


def _reaches(records: Sequence[Mapping[str, Any]], since: datetime | None) -> bool:
    """Whether these records, newest first, go back to before that moment."""
    dates = [created for each in records[-1:] if (created := created_at(each)) is not None]
    return since is None or any(created < since for created in dates)


def _within(created: datetime | None, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    """Whether a record was made in one of these spans, or does not say when it was."""
    return created is None or any(first <= created <= last for first, last in spans)


def _same(ours: str, theirs: str) -> float:
    """How like two texts are; more than that when they are the same."""
    return 2.0 if comparable(ours) == comparable(theirs) else likeness(ours, theirs)


def _unshown(action: OutgoingMessage) -> bool:
    """Whether Twilio writes the text, from a template or with other links: the record's is another
    than ours."""
    hidden = (name for name in kind_named(action.kind).identity if name not in _SHOWN)
    return "ShortenUrls" in action.extra or any(telling(action, name) for name in hidden)


def created_at(record: Mapping[str, Any]) -> datetime | None:
    """When Twilio made the record. A call's list has `date_created` as a message's has."""
    text = record.get("date_created")
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _age(record: Mapping[str, Any]) -> float:
    created = created_at(record)
    return created.timestamp() if created else float("inf")
