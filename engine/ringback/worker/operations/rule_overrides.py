"""Overrides of rules in a running worker: the states that people gave, over those of the files."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from ringback.rules.engine.ruleset import RuleSet
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.store.operations.rule_states import RuleState

log = logging.getLogger(__name__)


class Overrides:
    """Keeps what the journal holds of them. An event costs nothing: a change makes a rule set in
    which the rules are in these states, and that is matched."""

    def __init__(self, journal: Journal, runtime: Runtime) -> None:
        self._journal = journal
        self._runtime = runtime
        self._kept: Mapping[str, RuleState] = {}

    async def read(self) -> None:
        """Take over what the journal holds."""
        self._kept = {each.name: each for each in await self._journal.rule_states.all()}

    def in_force(self, ruleset: RuleSet) -> dict[str, RuleState]:
        """Those that hold for these rules at this moment."""
        now, rules = iso(self._runtime.now()), ruleset.by_name
        return {
            name: each
            for name, each in self._kept.items()
            if name in rules and each.holds(rules[name].rev, now)
        }

    def over(self, ruleset: RuleSet) -> RuleSet:
        """The rules of the files in the states that people gave to them."""
        found = self.in_force(ruleset)
        if not found:
            return ruleset
        rules = [
            replace(rule, state=found[rule.name].state) if rule.name in found else rule
            for rule in ruleset.rules
        ]
        return RuleSet(rules, ruleset.language)

    async def end(self, ruleset: RuleSet) -> bool:
        """Forget those that are over: by their time, or because the rule says something else now.
        Whether there were any. Those of rules that are not there stay."""
        if not self._kept:
            return False
        force = self.in_force(ruleset)
        over = [
            each
            for name, each in self._kept.items()
            if name in ruleset.by_name and name not in force
        ]
        for each in over:
            log.warning("rule %s is %s again, as its file says", each.name, each.file)
        if over:
            await self._journal.rule_states.end(over)
            await self.read()
        return bool(over)

    def next_end(self) -> str | None:
        """When the next of them ends (ISO)."""
        return min((each.until for each in self._kept.values() if each.until), default=None)
