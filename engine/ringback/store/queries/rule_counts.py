"""Activity of rules: how often each fired, when it did last, and why it did not."""

from collections import Counter
from collections.abc import Mapping

from ringback.store.queries.files import loads
from ringback.store.queries.people import People
from ringback.store.sqlite import first_since

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
            "select count(*) as runs from (select 1 from runs where rule = ? and id >= ? limit ?)",
            (rule, first, MOST),
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
