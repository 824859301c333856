"""Strikes: what rules, hooks and functions of plugins have done wrong, where people find it."""

import logging

from ringback.errors import RingbackError
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.worker.signals import Signals

log = logging.getLogger(__name__)

STRIKES = 3


class Strikes:
    """Notes strikes and faults. A strike is for blocking: the third one quarantines its owner."""

    def __init__(self, journal: Journal, runtime: Runtime, signals: Signals) -> None:
        self._journal = journal
        self._runtime = runtime
        self._signals = signals

    async def strike(self, owner: str, plugin: str, reason: str) -> None:
        """Note that this rule or function took too long or ended its process."""
        now = iso(self._runtime.now())
        if await self._journal.runs.strike(owner, plugin, reason, now, STRIKES):
            self._signals.quarantined(owner, reason)

    async def fault(self, hook: str, plugin: str, reason: str, count: int = 1) -> None:
        """Name a hook that failed where `ringback plugins list` finds it."""
        try:
            now = iso(self._runtime.now())
            await self._journal.runs.note_fault(f"{plugin}.{hook}", plugin, reason, now, count)
        except RingbackError as error:
            log.error("plugin %s: the failure of %s was not noted: %s", plugin, hook, error)
