"""Questions of the pages of rules: what each says, what it did, and which line kept it silent."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ringback.store.connection import first_since
from ringback.store.meta import GONE
from ringback.store.queries.files import Row, loads
from ringback.store.queries.run_lists import with_params
from ringback.store.queries.undecided import Undecided

MOST_RUNS = 100_000
"""So many of the newest runs and actions are counted."""
MOST_EVENTS = 2000
"""So many of the newest events are asked what kept rules silent."""
REVISIONS = 20
MOST_SHADOWS = 500
"""So many of the newest actions of a rule in shadow are compared."""


@dataclass(slots=True)
class Silence:
    """The verdicts on the newest events: how many of these there were, since when, and by rule how
    often each verdict came."""

    events: int = 0
    since: str = ""
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)


class RuleFigures(Undecided):
    """What rules say and what they did."""

    def rules_in_use(self) -> dict[str, Row]:
        """The newest revision of each rule that there is: `rev`, `at`, its `lines`, and what it
        `says`. Rules of which a worker has not read anything yet are not there."""
        rows = self._all(
            "select rule, rev, lines, text, at from revisions "
            "where id in (select max(id) from revisions group by rule)"
        )
        return {row["rule"]: _read(row) for row in rows if row["rev"] != GONE}

    def revisions(self, rule: str) -> list[Row]:
        """What a rule said, the newest first, `REVISIONS` at most."""
        rows = self._all(
            "select rule, rev, lines, text, at from revisions where rule = ? "
            "order by id desc limit ?",
            (rule, REVISIONS),
        )
        return [_read(row) for row in rows]

    def rule_runs(self, since: str) -> Mapping[str, Row]:
        """By rule, how many runs began since then (`fired`), and how many of these `failed`; of the
        newest `MOST_RUNS`."""
        first = first_since(self._connection, "runs", "started_at", since)
        rows = self._all(
            "select rule, count(*) as fired, count(case state when 'failed' then 1 end) as failed "
            "from (select rule, state from runs where id >= ? and started_at >= ? "
            "order by id desc limit ?) as newest group by rule order by rule",
            (first, since, MOST_RUNS),
        )
        return {row["rule"]: row for row in rows}

    def held_by_gate(self, since: str) -> Mapping[str, int]:
        """By rule, how many actions planned since then were refused or put off; of the newest
        `MOST_RUNS`."""
        first = first_since(self._connection, "actions", "planned_at", since)
        rows = self._all(
            "select rule, count(*) as n from (select rule, state from actions where id >= ? "
            "and planned_at >= ? order by id desc limit ?) as newest "
            "where state in ('refused', 'deferred') group by rule order by rule",
            (first, since, MOST_RUNS),
        )
        return {row["rule"]: row["n"] for row in rows}

    def last_run(self, rule: str) -> str:
        """When a rule last began a run; empty when none is kept."""
        row = self._one(
            "select started_at from runs where rule = ? order by id desc limit 1", (rule,)
        )
        return str(row["started_at"]) if row else ""

    def beside(self, rule: str) -> list[tuple[Row, list[Row]]]:
        """What a rule in shadow would have done, the newest `MOST_SHADOWS`, each with what others
        did on the same event."""
        shadows = self._all(
            "select * from actions where rule = ? and +state = 'captured' order by id desc limit ?",
            (rule, MOST_SHADOWS),
        )
        if not shadows:
            return []
        events = list(dict.fromkeys(row["event_uid"] for row in shadows))
        marks = ",".join("?" * len(events))
        others = self._all(
            f"select * from actions where event_uid in ({marks}) and rule <> ? "
            "and +state not in ('captured', 'cancelled')",
            (*events, rule),
        )
        by_event: dict[str, list[Row]] = {}
        for row in sorted(others, key=lambda each: int(each["id"])):
            by_event.setdefault(row["event_uid"], []).append(with_params(row))
        return [(with_params(row), by_event.get(row["event_uid"], [])) for row in shadows]

    def silence(self) -> Silence:
        """What the rules said to the newest events."""
        found = Silence()
        rows = self._all(
            "select verdicts, received_at from events order by id desc limit ?", (MOST_EVENTS,)
        )
        for row in rows:
            found.events, found.since = found.events + 1, row["received_at"]
            for rule, verdict in loads(row["verdicts"], {}).items():
                found.verdicts.setdefault(rule, Counter())[verdict] += 1
        return found


def _read(row: Row) -> Row:
    says = loads(row["text"], {})
    return {
        "rule": row["rule"], "rev": row["rev"], "at": row["at"],
        "lines": loads(row["lines"], []), "says": says if isinstance(says, dict) else {},
    }  # fmt: skip
