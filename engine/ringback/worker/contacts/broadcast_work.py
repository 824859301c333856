"""Work of broadcasts: members listed, their texts planned at the rate, and the result."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ringback.actions import Broadcast, SendMessage
from ringback.errors import RingbackError, StorageError
from ringback.events import Event
from ringback.runtime import Runtime, iso
from ringback.store.actions import Decision, NewAction
from ringback.store.matching import NewRun
from ringback.store.operations.broadcast_start import LISTING
from ringback.store.operations.broadcasts import (
    COUNTED,
    RUNNING,
    STOPPING,
    Member,
    Under,
)
from ringback.worker.engine import Engine
from ringback.worker.run.plan import Origin, plan

log = logging.getLogger(__name__)

BATCH = 500
"""So many members are listed, or looked after, in one transaction."""
LOOK_SECONDS, TURN_SECONDS = 0.5, 0.25
AHEAD_SECONDS = 2.0
"""Texts are planned for so long ahead at most: what a person or a rule says meanwhile does not
wait behind all of a group, and a broadcast that is stopped stops soon."""
LEAST_AHEAD = 20
STOPPED = "the broadcast was stopped"


@dataclass(slots=True)
class Pace:
    """How many texts may be planned by now, and up to where those put off were looked at."""

    at: float
    may: float = 0.0
    later: int = 0

    def grow(self, now: float, rate: float) -> int:
        """How many may be planned now. What was not used for half a second is not made up for."""
        self.may = min(self.may + (now - self.at) * rate, max(1.0, rate / 2))
        self.at = now
        return int(self.may)


class BroadcastWork:
    """Works at the broadcasts that are under way, each at its own pace."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime
        self._paces: dict[str, Pace] = {}

    async def run(self) -> None:
        """Work at broadcasts for as long as the worker does."""
        while True:
            busy = await self.turn()
            await asyncio.sleep(TURN_SECONDS if busy else LOOK_SECONDS)

    async def turn(self) -> bool:
        """Do for each what is to be done now; whether there are any."""
        under = await self._engine.journal.broadcasts.open()
        self._paces = {each.uid: self._paces[each.uid] for each in under if each.uid in self._paces}
        for each in under:
            try:
                await self._step(each)
            except StorageError:
                raise
            except RingbackError as error:
                log.error("broadcast %s: %s", each.uid, error)
        return bool(under)

    async def _step(self, under: Under) -> None:
        pace = self._paces.setdefault(under.uid, Pace(self._runtime.monotonic()))
        broadcasts = self._engine.journal.broadcasts
        if under.state == LISTING:
            await broadcasts.list_members(under, self._given(under), BATCH)
            return
        open_ = await self._look_after(under, "open", 0)
        later = await self._look_after(under, "later", pace.later)
        pace.later = later[-1].n if len(later) == BATCH else 0
        left = False
        if under.state == RUNNING:
            left = await self._more(under, pace, len(open_))
        if not left and not open_ and not later and not pace.later:
            await broadcasts.end(under, self._runtime.uid("evt"), iso(self._runtime.now()))
            self._engine.wake()

    def _given(self, under: Under) -> Sequence[tuple[str, str]] | None:
        """The members of a group that is read from a file, in the order of their numbers."""
        group = self._engine.matcher.ruleset.language.groups.get(under.group)
        return sorted(group.members.items()) if group and group.members is not None else None

    async def _look_after(self, under: Under, state: str, after: int) -> list[Member]:
        """Count those whose text has come to an end; the others that are in this state."""
        broadcasts = self._engine.journal.broadcasts
        members = await broadcasts.members(under, state, after, BATCH)
        if under.state == STOPPING:
            await self._cancel(members)
            members = await broadcasts.members(under, state, after, BATCH)
        ended = []
        for each in members:
            became = "later" if each.state == "deferred" else COUNTED.get(each.state, "")
            if became and became != state:
                ended.append((each.n, became, ""))
        if ended:
            await broadcasts.count(under, ended)
        gone = {n for n, became, _ in ended}
        return [each for each in members if each.n not in gone]

    async def _cancel(self, members: Sequence[Member]) -> None:
        actions, now = self._engine.journal.actions, iso(self._runtime.now())
        decision = Decision(("planned", "deferred"), "cancelled", STOPPED)
        for each in members:
            if each.state in decision.expected:
                await actions.decide(each.action, decision, now)

    async def _more(self, under: Under, pace: Pace, busy: int) -> bool:
        """Plan the next texts, as many as the rate allows and as few as are not ahead of it;
        whether any are left."""
        rate = float(under.wanted["rate"])
        ahead = max(LEAST_AHEAD, int(rate * AHEAD_SECONDS)) - busy
        may = pace.grow(self._runtime.monotonic(), rate)
        if self._engine.sender.at_will():
            pace.may = 0.0
            return True
        members = await self._engine.journal.broadcasts.members(under, "", 0, max(1, may))
        wanted = members[: max(0, min(may, ahead))]
        if wanted:
            pace.may -= len(wanted)
            await self._plan(under, wanted)
        return bool(members)

    async def _plan(self, under: Under, members: Sequence[Member]) -> None:
        journal, now = self._engine.journal, iso(self._runtime.now())
        action = await journal.actions.get(under.wanted["action"])
        event = await journal.events.get(under.event_uid)
        wish = action.action if action is not None else None
        blanked = not isinstance(wish, Broadcast) or not (wish.body or wish.media)
        if action is None or event is None or not isinstance(wish, Broadcast) or blanked:
            why = "what it began with is not kept any more"
            await journal.broadcasts.count(under, [(each.n, "skipped", why) for each in members])
            return
        run = NewRun(
            uid=under.run_uid, event_uid=event.uid, rule=action.rule, rule_rev="", key="",
            priority=0, started_at=now,
        )  # fmt: skip
        texts, wrong = list[tuple[Member, NewAction]](), list[tuple[int, str, str]]()
        for each in members:
            try:
                texts.append((each, self._text(run, event, wish, each)))
            except RingbackError as error:
                wrong.append((each.n, "failed", str(error)))
        if wrong:
            await journal.broadcasts.count(under, wrong)
        if texts and await journal.broadcasts.write(under, run, texts, now):
            self._engine.sender.offer([text.stored() for _, text in texts])

    def _text(self, run: NewRun, event: Event, wish: Broadcast, member: Member) -> NewAction:
        message = SendMessage(member.address, wish.body, sender=wish.sender, media=wish.media)
        (text,) = plan(
            Origin(run.uid, run.rule, "live"), event, [message], runtime=self._runtime,
            settings=self._engine.settings, waiting_call="", known=member.action,
        ).actions  # fmt: skip
        return text
