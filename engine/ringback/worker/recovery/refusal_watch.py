"""Refusal watch: the incidents of loops that were ended, and of budgets that are used up.

One is open for each rule, counts while the gate goes on to refuse, and is over when nothing was
refused for a while: a loop is seen by what happened in ten minutes, a budget may be asked seldom.
"""

from datetime import timedelta

from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.worker.gate.loop_guard import endless
from ringback.worker.recovery.incidents import Incidents

QUIET = {"loop": timedelta(minutes=10), "budget": timedelta(hours=1)}
QUIET_SECONDS = 60.0
COUNTED_SECONDS = 60.0
"""A loop may be refused thousands of times a minute: that is written down once."""
_MENDS = {
    "loop": "see `ringback actions list --rule {rule} --state refused`; let the rule not answer "
    "what it causes (`from`, `if`), or seldom (`once_within`)",
    "budget": "see `ringback spend`; raise the budget when this much was wanted, else find what "
    "asks for it: `ringback actions list --rule {rule} --state refused`",
}


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
        mend = _MENDS[kind].format(rule=rule)
        await self._incidents.open(
            key, kind, f"rule {rule}: {reason}", more={"Rule": rule, "Fault": "ours", "Mend": mend}
        )

    async def close_quiet(self) -> int:
        """Close what has been quiet for long enough; nothing is news of the log."""
        for kind, quiet in QUIET.items():
            before = iso(self._runtime.now() - quiet)
            for key in await self._journal.incidents.quiet_keys(kind, before):
                self._counted.pop(key, None)
                minutes = quiet // timedelta(minutes=1)
                text = f"nothing was refused for {minutes} minutes"
                await self._incidents.resolve(key, kind, text)
        return 0
