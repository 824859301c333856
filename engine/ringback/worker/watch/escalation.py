"""Escalation of incidents: notices to people, one step of a policy after the other.

A step is written with its notices in one unit of work, so that none is told twice and none is
forgotten, whenever the process ends. It goes on from the row of the incident: `step` is the next
one, `step_due` when that is due. Somebody who says that they know of it, a mute and the end of the
incident stop it. Who was told of the beginning is told of the end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ringback.actions import Action, Notify, SendMessage
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.events import Event
from ringback.gateway.channel_tables import CallTable, person
from ringback.gateway.escalation_tables import Policy, policies
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.actions import NewAction
from ringback.store.deliveries.escalations import Escalation, Move, Told
from ringback.store.incidents import opening_of
from ringback.store.interface import Journal
from ringback.store.matching import NewRun
from ringback.worker.gate.gate import ESCALATION
from ringback.worker.run.plan import Origin, plan
from ringback.worker.signals import Signals
from ringback.worker.watch.acknowledgements import FIRED, REPLY, Acknowledgements, short, which

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
RETRY_SECONDS = 5.0
_LATEST_TEXTS = 500
"""So many of the last received texts are looked at for an answer that a crash has left."""


@dataclass(slots=True)
class Escalator:
    """Takes the steps that are due, and writes the answers of those who know of an incident."""

    journal: Journal
    settings: Settings
    runtime: Runtime
    signals: Signals
    acknowledgements: Acknowledgements
    link: Callable[[str], str]
    _policies: dict[str, Policy] = field(init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: bool = True
    _waiting: bool = False

    def __post_init__(self) -> None:
        self._policies = policies(self.settings.escalations)
        self.journal.incidents.escalated = bool(self._policies)

    def soon(self) -> None:
        """Time has passed."""
        if self._policies:
            self._news.set()

    def ended(self) -> None:
        """An action has come to its end: perhaps a notice that somebody is waited for."""
        if self._waiting:
            self._news.set()

    def saw(self, event: Event) -> None:
        """An event is on record: an incident began or ended, or somebody has answered."""
        if self.acknowledgements.said(event) is not None:
            self._heard = True
        if self._heard or event.type.startswith("incident."):
            self._news.set()

    async def run(self) -> None:
        """Go on until cancelled. Without policies nothing is looked at but what those of before
        have left, at the start and when an incident ends."""
        while True:
            self._news.clear()
            pause = LOOK_SECONDS if self._policies else None
            try:
                await self.step()
                due = await self.journal.escalations.next_due()
                if due:
                    left = (from_iso(due) - self.runtime.now()).total_seconds()
                    pause = min(pause or LOOK_SECONDS, max(0.02, left))
            except RingbackError as error:
                log.error("escalation: %s", error)
                pause = RETRY_SECONDS
            await _until(self._news.wait(), pause)

    async def step(self) -> None:
        """Do what is due now."""
        if self._heard:
            self._heard = False
            await self._answer()
        now = self.runtime.now()
        escalations = self.journal.escalations
        if self._policies:
            await self._hasten(now)
        for each in await escalations.due(iso(now)):
            if each.state == "open":
                await self._next(each, now)
            else:
                await self._end(each, now)

    async def _hasten(self, now: datetime) -> None:
        """Whose step reached nobody has the next one now."""
        waiting = await self.journal.escalations.waiting()
        self._waiting = bool(waiting)
        lost = await self.journal.escalations.lost(waiting)
        if lost:
            await self.journal.escalations.hasten(lost, iso(now))

    async def _next(self, each: Escalation, now: datetime) -> None:
        """The next step of an open incident, unless its people are not to be told at this hour."""
        policy = self._policy(each)
        if policy is None or policy.step(each.step) is None:
            name = policy.name if policy else each.policy
            await self._move(each, Move(name, each.step, None, each.told))
            return
        number = each.step
        opens = policy.opens(number, each.kind, now)
        while opens != now and policy.passes(number) and policy.step(number + 1) is not None:
            number += 1
            opens = policy.opens(number, each.kind, now)
        if opens != now:
            due = iso(opens) if opens else None
            await self._move(each, Move(policy.name, number, due, each.told))
            return
        step = policy.step(number)
        assert step is not None
        channels = list(dict.fromkeys(step.tell))
        due = iso(now + policy.wait(number)) if policy.step(number + 1) else None
        notices = [self._opening(policy, each, name) for name in channels]
        run, rows = self._planned(f"{ESCALATION}{policy.name}", each, notices, f"step/{number}")
        told = [
            Told(iso(now), number, name, row.uid)
            for name, row in zip(channels, rows, strict=True)
        ]  # fmt: skip
        move = Move(policy.name, number + 1, due, (*each.told, *told))
        if await self._move(each, move, run, rows):
            names = ", ".join(channels)
            log.warning(
                "incident %s: step %d of %s tells %s", each.key, number + 1, policy.name, names
            )

    def _policy(self, each: Escalation) -> Policy | None:
        """The policy that an escalation began with, as it is today; of a new one the first that
        takes it."""
        if each.policy:
            return self._policies.get(each.policy)
        return next((found for found in self._policies.values() if found.takes(each.kind)), None)

    async def _end(self, each: Escalation, now: datetime) -> None:
        """Tell those who were told of the beginning, each once, at an hour that is theirs."""
        policy = self._policies.get(each.policy)
        dues, ends = list[datetime](), dict[str, Notify]()
        told = list(each.told)
        for place, entry in enumerate(told):
            opens = policy.opens(entry.step, each.kind, now) if policy else now
            if entry.end or opens is None:
                continue
            if opens > now:
                dues.append(opens)
                continue
            if self._exists(entry.channel):
                text = f"Incident {short(each.uid)} is over: {each.text}"
                ends[entry.channel] = Notify(
                    text, entry.channel, key=f"incident/{each.key}", resolved=True
                )
            told[place] = replace(entry, end=iso(now))
        run, rows = self._planned(
            f"{ESCALATION}{each.policy}", each, list(ends.values()), "end", calls=False
        )
        due = iso(min(dues)) if dues else None
        await self._move(each, Move(each.policy, each.step, due, told), run, rows)

    def _exists(self, channel: str) -> bool:
        return channel == "log" or channel in self.settings.channels

    def _opening(self, policy: Policy, each: Escalation, channel: str) -> Notify:
        """What a channel is told. A person is told how to answer; others get an address for it, but
        for the log, which many read."""
        severity = "critical" if each.kind in policy.table.critical else "error"
        text = each.text
        if person(self.settings.channels, channel, self.settings.environ) is not None:
            word = policy.table.acknowledge[0].upper()
            text = f"{_cut(text)} Reply {word} {short(each.uid)} if you look after it."
        elif channel != "log" and (url := self._link(each.uid)):
            text = f"{text}\nAcknowledge: {url}"
        return Notify(text, channel, key=f"incident/{each.key}", severity=severity)

    def _link(self, uid: str) -> str:
        """Empty when the key of the links cannot be read: a notice without a link is better than
        none."""
        try:
            return self.link(uid)
        except (RingbackError, OSError) as error:
            log.error("escalation: a notice goes without its link: %s", error)
            return ""

    def _planned(
        self,
        rule: str,
        each: Escalation,
        notices: Sequence[Action],
        key: str,
        *,
        calls: bool = True,
    ) -> tuple[NewRun | None, tuple[NewAction, ...]]:
        if not notices:
            return None, ()
        now = self.runtime.now()
        event = Event(
            uid=opening_of(each.uid), type="incident.opened", at=now, received_at=now,
            source="internal", subject_sid=each.uid, status=each.kind, dedupe_key="", fields={},
        )  # fmt: skip
        return self._rows(rule, event, notices, f"{each.uid}/{key}", calls=calls)

    def _rows(
        self, rule: str, event: Event, wishes: Sequence[Action], key: str, *, calls: bool = True
    ) -> tuple[NewRun, tuple[NewAction, ...]]:
        now = iso(self.runtime.now())
        run = NewRun(
            uid=self.runtime.uid("run"), event_uid=event.uid, rule=rule, rule_rev="", key=key,
            priority=0, started_at=now,
        )  # fmt: skip
        if not calls:
            wishes = [self._as_text(each) for each in wishes]
        planned = plan(
            Origin(run.uid, rule, "live", texts=None), event, wishes, runtime=self.runtime,
            settings=self.settings, waiting_call="",
        )  # fmt: skip
        return run, planned.actions

    def _as_text(self, wish: Action) -> Action:
        """The end of an incident wakes nobody: who was called gets a text."""
        if not isinstance(wish, Notify):
            return wish
        whom = person(self.settings.channels, wish.via, self.settings.environ)
        if not isinstance(whom, CallTable):
            return wish
        return SendMessage(whom.to, _cut(wish.text), sender=whom.sender)

    async def _move(
        self,
        each: Escalation,
        move: Move,
        run: NewRun | None = None,
        rows: Sequence[NewAction] = (),
    ) -> bool:
        now = iso(self.runtime.now())
        moved = await self.journal.escalations.move(each, move, run, rows, now)
        if moved and rows:
            self._waiting = True
            self.signals.planned([row for row in rows if row.state == "planned"])
        return moved

    async def _answer(self) -> None:
        """Write what people on call have answered, the oldest answer first."""
        if not self.acknowledgements.people:
            return
        for uid in await self.journal.escalations.unanswered(FIRED, REPLY, _LATEST_TEXTS):
            event = await self.journal.events.get(uid)
            if event is not None:
                await self._known(event)

    async def _known(self, event: Event) -> None:
        channels = self.acknowledgements.channels(event)
        open_ones = await self.journal.escalations.told_to(channels)
        found = which(open_ones, self.acknowledgements.said(event))
        if found is None:
            text = "That incident is over. Nothing is left to be done."
        elif found.acked_at:
            text = f"Incident {short(found.uid)} was acknowledged before: {found.text}"
        else:
            text = f"Incident {short(found.uid)} is acknowledged: {found.text}"
        reply = SendMessage(
            event.sender, _cut(text), sender=event.recipient, in_reply_to=event.subject_sid
        )
        run, rows = self._rows(REPLY, event, [reply], f"reply/{event.sender}")
        now = self.runtime.now()
        by = f"text from {event.sender}"
        await self.journal.escalations.known(run, rows[0], found.uid if found else "", by, iso(now))
        self.signals.planned([row for row in rows if row.state == "planned"])


def _cut(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


async def _until(news: Awaitable[object], seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news
    except TimeoutError:
        return
