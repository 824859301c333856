"""Absent rules: the runs that wait for a rule which is not there, for as long as it may come back.

A rule may be missing for a moment only, while somebody writes its file. A timer in the journal says
for each such rule until when its runs wait; then they end with that reason.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ringback.rules.interpreter.machine import Wait
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.store.runs import StoredRun
from ringback.store.timers import Timer

log = logging.getLogger(__name__)

KIND = "absent"
PATIENCE = timedelta(days=1)


class Absent:
    """The rules that are missing, and the runs that wait for them."""

    def __init__(self, journal: Journal, runtime: Runtime) -> None:
        self._journal = journal
        self._runtime = runtime
        self._until: dict[str, str] = {}

    async def restore(self) -> None:
        """After a restart: which rules were missing then."""
        timers = await self._journal.timers.of_kind(KIND)
        self._until = {timer.payload: timer.due_at for timer in timers.values()}

    async def hold(self, rule: str, runs: Sequence[str]) -> None:
        """Let runs wait for their rule. What comes for them meanwhile lies ready in the journal."""
        until = self._until.get(rule)
        if until is None:
            until = self._until[rule] = iso(self._runtime.now() + PATIENCE)
            await self._journal.timers.set(Timer(f"{KIND}:{rule}", KIND, until, rule))
            log.warning("rule %s is gone; its runs wait until %s for it", rule, until)
        reason = f"waits for its rule {rule} to come back until {until}"
        await self._journal.runs.note(runs, reason, None)

    async def back(self, rules: Iterable[str]) -> frozenset[str]:
        """These rules are there; those of them that runs have waited for."""
        found = frozenset(rule for rule in rules if rule in self._until)
        for rule in found:
            del self._until[rule]
            await self._journal.timers.drop(f"{KIND}:{rule}")
            log.warning("rule %s is back; its runs go on", rule)
        return found

    async def release(self, run: StoredRun) -> None:
        """The rule of this run is back: it waits for what it waited for before."""
        saved = json.loads(run.memory).get("wait") if run.memory else None
        if saved is None:
            queued = "queued behind another run" if run.state == "waiting" else ""
            await self._journal.runs.note([run.uid], queued, None)
            return
        due = datetime.fromisoformat(saved["due"]) if saved["due"] else None
        wait = Wait(due, tuple(saved["types"]), saved["key"])
        await self._journal.runs.note([run.uid], wait.describe(), iso(due) if due else None)

    async def over(self) -> dict[str, str]:
        """The rules that have not come back in their time, with the reason why their runs end.
        They are not waited for any more."""
        now = self._runtime.now()
        lost = [rule for rule, until in self._until.items() if from_iso(until) <= now]
        for rule in lost:
            del self._until[rule]
            await self._journal.timers.drop(f"{KIND}:{rule}")
        return {rule: f"its rule {rule} did not come back within a day" for rule in lost}
