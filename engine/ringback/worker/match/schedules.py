"""Schedules of rules. Each has a timer in the journal, so a restart forgets none.

A time that passed while the node was down is made up for once, not once for each time missed.
"""

from ringback.events import RULE_FIELD, Event
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.model import Rule
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.store.timers import Timer
from ringback.worker.signals import Signals

KIND = "schedule"


class Schedules:
    """Turns due times into `timer.due` events."""

    def __init__(self, journal: Journal, runtime: Runtime, signals: Signals) -> None:
        self.ruleset = RuleSet(())
        self._journal = journal
        self._runtime = runtime
        self._signals = signals

    async def next_due(self) -> str | None:
        """When the next schedule comes due."""
        return await self._journal.timers.next_due()

    async def step(self) -> None:
        """Set timers for new schedules, drop those of deleted ones, fire what is due."""
        known = await self._journal.timers.of_kind(KIND)
        wanted = {
            f"{KIND}:{rule.name}": rule
            for rule in self.ruleset.rules
            if rule.schedule is not None and rule.state != "off"
        }
        for key in known.keys() - wanted.keys():
            await self._journal.timers.drop(key)
        now = self._runtime.now()
        for key, rule in wanted.items():
            timer = known.get(key)
            if timer is None or timer.payload != _payload(rule):
                following = self._following(key, rule)
                if following is not None:
                    await self._journal.timers.set(following)
            elif from_iso(timer.due_at) <= now:
                await self._journal.timers.fire(
                    self._event(rule, timer), self._following(key, rule), key
                )
                self._signals.news()

    def _following(self, key: str, rule: Rule) -> Timer | None:
        assert rule.schedule is not None
        due = rule.schedule.after(self._runtime.now())
        return Timer(key, KIND, iso(due), _payload(rule)) if due else None

    def _event(self, rule: Rule, timer: Timer) -> Event:
        return Event(
            uid=self._runtime.uid("evt"), type="timer.due", at=from_iso(timer.due_at),
            received_at=self._runtime.now(), source="internal",
            dedupe_key=f"timer:{rule.name}:{timer.due_at}", fields={RULE_FIELD: rule.name},
        )  # fmt: skip


def _payload(rule: Rule) -> str:
    return f"{rule.schedule.cron} {rule.schedule.zone}" if rule.schedule else ""
