"""Strikes: what rules, hooks and functions of plugins have done wrong, where people find it."""

import asyncio
import logging
from collections import Counter

from ringback.errors import PluginError, RingbackError
from ringback.rules.model import Rule
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
        self.counts: Counter[str] = Counter(strike=0, fault=0)
        """How many of each there were since the worker began: `strike`, `fault`."""

    async def strike(self, owner: str, plugin: str, reason: str) -> None:
        """Note that this rule or function took too long or ended its process."""
        self.counts["strike"] += 1
        now = iso(self._runtime.now())
        if await self._journal.runs.strike(owner, plugin, reason, now, STRIKES):
            self._signals.quarantined(owner, reason)

    async def fault(self, hook: str, plugin: str, reason: str, count: int = 1) -> None:
        """Name a hook that failed where `ringback plugins list` finds it."""
        self.counts["fault"] += count
        try:
            now = iso(self._runtime.now())
            await self._journal.runs.note_fault(f"{plugin}.{hook}", plugin, reason, now, count)
        except RingbackError as error:
            log.error("plugin %s: the failure of %s was not noted: %s", plugin, hook, error)


class Faults:
    """What `startup` and `shutdown` of plugins did wrong, until it is noted.

    Hosts start before the engine does: what comes earlier than `strikes` is set waits for it.
    """

    def __init__(self) -> None:
        self._strikes: Strikes | None = None
        self._early: list[tuple[str, str, Exception]] = []
        self._noting: set[asyncio.Task[None]] = set()

    def __call__(self, plugin: str, hook: str, error: Exception) -> None:
        """This hook of this plugin has failed."""
        log.error("plugin %s: %s: %s", plugin, hook, error)
        if self._strikes is None:
            self._early.append((plugin, hook, error))
        else:
            self._note(self._strikes, plugin, hook, error)

    @property
    def strikes(self) -> Strikes | None:
        """Where they are noted."""
        return self._strikes

    @strikes.setter
    def strikes(self, strikes: Strikes) -> None:
        self._strikes = strikes
        for plugin, hook, error in self._early:
            self._note(strikes, plugin, hook, error)
        self._early.clear()

    async def noted(self) -> None:
        """Wait until all that has come is noted."""
        if self._noting:
            await asyncio.wait(self._noting)

    def _note(self, strikes: Strikes, plugin: str, hook: str, error: Exception) -> None:
        task = asyncio.ensure_future(strikes.fault(hook, plugin, str(error)))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)


def blame(rule: Rule, error: RingbackError) -> str:
    """The reason, with the plugin that is at fault when it does not name it itself."""
    if not rule.plugin or (isinstance(error, PluginError) and error.plugin):
        return str(error)
    return f"plugin {rule.plugin}: {str(error).removeprefix('plugin : ')}"
