"""Watch over sending: an incident for as long as something keeps actions from leaving.

It looks every few seconds, and at once when a request has shown that no other will fare better. A
person's pause is shown and is no incident; what a restore holds back has an incident of its own.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from ringback.action_kinds import kinds
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.store.operations.waiting_actions import COUNTED, Waiting
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.send.stoppages import REASONS, Stoppage, Stoppages

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
TOLD_SECONDS = 60.0
"""How often the text of an open incident is brought up to date."""
KIND = "sending"
STOPPED = "sending"
BACKLOG = "sending:backlog"
WORKER = "worker"
"""The kind and the key of the incident that workers kept ending, or that one hung."""
STEADY_SECONDS = 10.0
"""A worker that has lived for so long has come up."""


class SendingWatch:
    """Opens and resolves the incidents about sending. `at_will` says whether nothing is to leave
    at present: a person has paused it, or a restore holds it."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        stoppages: Stoppages,
        incidents: Incidents,
        has_gateway: bool,
        at_will: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._stoppages = stoppages
        self._incidents = incidents
        self._has_gateway = has_gateway
        self._at_will = at_will
        self._free_since = runtime.now()
        self._waited = (0, timedelta())
        self._open: dict[str, Stoppage] = {}
        self._told: dict[str, float] = {}
        self._waiting = Waiting(0, None, None, None)
        self._began = runtime.monotonic()
        self._came_up = False
        self.trouble: tuple[datetime, str] | None = None
        """Workers before this one kept ending, or the last one hung: since when, and in words."""

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._take_up()
        while True:
            self._stoppages.news.clear()
            try:
                await self.look()
            except RingbackError as error:
                log.error("what keeps actions from leaving could not be looked at: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._stoppages.news.wait()

    async def _take_up(self) -> None:
        """Go on with what an earlier process has told of."""
        for key in (STOPPED, BACKLOG):
            found = await self._journal.incidents.opened(key)
            if found is None:
                continue
            since, fields = found
            reason = str(fields.get("Reason") or "failing")
            resources = tuple(str(fields.get("Resources") or "messages").split())
            words, mend = str(fields.get("Words") or ""), str(fields.get("Mend") or "")
            stoppage = Stoppage(reason, from_iso(since), words, mend, resources)
            self._open[key] = stoppage
            if key == STOPPED and reason != "unconfigured":
                self._stoppages.restore(stoppage)

    async def look(self) -> None:
        """See what has stopped and what waits, and tell of what is new and of what is over."""
        others = [kind.name for kind in kinds() if not kind.resource]
        self._waiting = await self._journal.actions.waiting(others)
        waiting = self._waiting
        stopped = self._unconfigured() or self._stoppages.present(waiting.count, waiting.parked)
        if stopped is not None or self._at_will():
            self._free_since = self._runtime.now()
        await self._settle(STOPPED, stopped)
        if not self._came_up:
            await self._come_up()
        await self._settle(BACKLOG, self._backlog())

    async def _come_up(self) -> None:
        """Tell that workers kept ending or hung, which none of them could tell, and that it is
        over when this one has lived for a while."""
        if self.trouble is not None:
            (since, text), self.trouble = self.trouble, None
            await self._incidents.open(WORKER, WORKER, text, since=since)
        if self._runtime.monotonic() - self._began >= STEADY_SECONDS:
            self._came_up = True
            await self._incidents.settle(WORKER, {})

    def _unconfigured(self) -> Stoppage | None:
        if self._has_gateway or not self._waiting.oldest:
            return None
        since, mend = from_iso(self._waiting.oldest), REASONS["unconfigured"]
        known = self._open.get(STOPPED)
        since = min(since, known.since) if known else since
        return Stoppage("unconfigured", since, "no gateway is configured", mend, ("messages",))

    def _backlog(self) -> Stoppage | None:
        """The oldest that waits for its turn alone, when that is for too long."""
        bound, oldest = self._settings.late_seconds, self._waiting.planned
        if not bound or not oldest:
            return None
        known = self._open.get(BACKLOG)
        now, (count, age) = self._runtime.now(), self._waited
        self._waited = (self._waiting.count, now - from_iso(oldest))
        if from_iso(oldest) < self._free_since and (
            self._waited[0] < count or self._waited[1] < age
        ):  # what a stoppage has held back leaves by and by: that is the end of the stoppage
            self._free_since = now
        since = from_iso(oldest) if known else max(from_iso(oldest), self._free_since)
        # One that is open ends when the wait is half as long: at the bound it would come and go.
        if now - since < timedelta(seconds=bound / 2 if known else bound):
            return None
        words = f"the oldest has waited for its turn for more than {bound:g} s"
        since = known.since if known else since
        return Stoppage("backlog", since, words, REASONS["backlog"], ("messages",))

    async def _settle(self, key: str, stoppage: Stoppage | None) -> None:
        known = self._open.get(key)
        if stoppage is None:
            if known is not None:
                await self._is_over(key, known)
            return
        fresh = known is None or known.words != stoppage.words
        last = self._told.get(key)
        if not fresh and last is not None and self._runtime.monotonic() - last < TOLD_SECONDS:
            return
        more = {
            "Reason": stoppage.reason, "Since": iso(stoppage.since), "Words": stoppage.words,
            "Waiting": str(self._waiting.count), "Mend": stoppage.mend,
            "Resources": " ".join(stoppage.resources),
        }  # fmt: skip
        await self._incidents.open(
            key,
            KIND,
            f"{said(stoppage, self._waiting)}. {_sentence(stoppage.mend)}.",
            since=stoppage.since,
            more=more,
        )
        self._open[key] = stoppage
        self._told[key] = self._runtime.monotonic()

    async def _is_over(self, key: str, stoppage: Stoppage) -> None:
        lasted = (self._runtime.now() - stoppage.since).total_seconds()
        text = f"sending goes on, {lasted:.0f} s after it stopped ({stoppage.words})"
        await self._incidents.resolve(key, KIND, text)
        del self._open[key]
        self._told.pop(key, None)

    def status(self) -> dict[str, Any]:
        """What has stopped and what waits, for the shell and the health page."""
        return {
            "stopped": [
                {
                    "reason": stoppage.reason, "since": iso(stoppage.since),
                    "says": said(stoppage, self._waiting), "mend": stoppage.mend,
                }
                for stoppage in self._open.values()
            ],
            "reasons": list(REASONS),
            "waiting": self._waiting.count,
            "oldest": self._waiting.oldest,
            "breakers": sorted(self._stoppages.held_back()),
        }  # fmt: skip


def said(stoppage: Stoppage, waiting: Waiting) -> str:
    """A stoppage in one sentence."""
    what = " and ".join(map(_written, stoppage.resources))
    if stoppage.reason == "backlog":
        state = "sending is behind"
    elif "messages" in stoppage.resources:
        state = "sending has stopped"
    else:
        state = f"sending to {what} has stopped"
    more = " or more" if waiting.count >= COUNTED else ""
    many = f"{waiting.count}{more} action{'s wait' if waiting.count != 1 else ' waits'}"
    return f"{state} since {iso(stoppage.since)}: {stoppage.words}; {many}"


def _written(resource: str) -> str:
    account, _, name = resource.rpartition("/")
    return f"{name} of {account}" if account else name


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}"
