"""Activity of rules: how often each fired, when it did last, and why it did not."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ringback.rules.model import Budget
from ringback.store.connection import first_since
from ringback.store.meta import GONE
from ringback.store.queries.files import loads
from ringback.store.queries.people import People

MOST = 100_000
"""Runs of a rule are counted so far."""
RECENT = 2000
"""So many of the newest events are asked why a rule did not fire."""


class RuleActivity(People):
    """What the rules did lately."""

    def fired(self, rule: str, since: str) -> tuple[int, str]:
        """How many runs of a rule began since then (a stored time), `MOST` at most, and when the
        last one ever did; empty when none is kept."""
        first = first_since(self._connection, "runs", "started_at", since)
        count = self._one(
            "select count(*) as runs from (select 1 from runs where rule = ? and id >= ? "
            "and started_at >= ? limit ?) as few",
            (rule, first, since, MOST),
        )
        last = self._one(
            "select started_at from runs where rule = ? order by id desc limit 1", (rule,)
        )
        return int(count["runs"]) if count else 0, str(last["started_at"]) if last else ""

    def verdicts(self) -> Mapping[str, Counter[str]]:
        """The verdicts of each rule on the newest events that were matched."""
        found: dict[str, Counter[str]] = {}
        rows = self._all("select verdicts from events order by id desc limit ?", (RECENT,))
        for row in rows:
            for rule, verdict in loads(row["verdicts"], {}).items():
                found.setdefault(rule, Counter())[verdict] += 1
        return found

    def budgets(self) -> Mapping[str, Budget]:
        """The budgets of the rules as they are now."""
        found = {}
        for row in self._all(
            "select rule, rev, text from revisions "
            "where id in (select max(id) from revisions group by rule)"
        ):
            said = loads(row["text"], {}) if row["rev"] != GONE else {}
            if isinstance(said, dict) and isinstance(said.get("budget"), dict):
                found[row["rule"]] = _budget(said["budget"])
        return found


def _budget(said: Mapping[str, Any]) -> Budget:
    """A budget from what a file of rules says, where a number may stand as a text."""
    return Budget(
        int(said.get("per_day", 0)), int(said.get("segments_per_day", 0)),
        float(said.get("price_per_day", 0.0)),
    )  # fmt: skip
