"""Refusal watch: the incidents of loops that were ended, and of budgets that are used up.

One is open for each rule, counts while the gate goes on to refuse, and is over when an hour has
passed without a refusal.
"""

from datetime import timedelta

from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.worker.gate.loop_guard import endless
from ringback.worker.recovery.incidents import Incidents

QUIET = timedelta(hours=1)
COUNTED_SECONDS = 60.0
"""A loop may be refused thousands of times a minute: that is written down once."""
KINDS = ("loop", "budget")


class RefusalWatch:
    """Opens incidents for what the gate refuses, and closes them."""

    def __init__(self, journal: Journal, runtime: Runtime, incidents: Incidents) -> None:
        self._journal = journal
        self._runtime = runtime
        self._incidents = incidents
        self._counted: dict[str, float] = {}

    async def refused(self, rule: str, reason: str) -> None:
        """The gate has refused an action of this rule."""
        kind = "loop" if endless(reason) else "budget" if reason.startswith("budget: ") else ""
        if not kind:
            return
        key, now = f"{kind}:{rule}", self._runtime.monotonic()
        if now - self._counted.get(key, now - COUNTED_SECONDS) < COUNTED_SECONDS:
            return
        self._counted[key] = now
        await self._incidents.open(key, kind, f"rule {rule}: {reason}")

    async def close_quiet(self) -> int:
        """Close what has been quiet for long enough; nothing is news of the log."""
        before = self._runtime.now() - QUIET
        for kind in KINDS:
            for key in await self._journal.incidents.quiet_keys(kind, iso(before)):
                self._counted.pop(key, None)
                await self._incidents.resolve(key, kind, "nothing was refused for an hour")
        return 0
