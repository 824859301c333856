"""Texts and calls of ours that failed, each once, for counting."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from ringback.runtime import iso
from ringback.store.connection import OVERTAKING, first_at, first_since, one_of
from ringback.store.meta import WITHOUT_SUCCESS
from ringback.store.operations.problems import ALL as PROBLEMS
from ringback.store.operations.problems import BACK, FAILED, Said, with_problems
from ringback.store.queries.files import Row
from ringback.store.queries.traces import Traces

COUNTED = 20_000
"""So many failures of a day are counted for groups that are muted up to a number."""
LOOKED = 2000
"""So many failures of a day are looked at for the groups that wait for a person."""
WAITS = 3
"""Days after its planning within which a send that was never taken has failed."""
LATEST = "9999"
"""Later than every stored time."""


class FailedTexts(Traces):
    """Failures of a span, by what people count."""

    def failures(
        self, since: str, limit: int, until: str = "", code: int | None = None
    ) -> list[Row]:
        """The texts and calls that failed since then (a stored time), the newest first: those that
        Twilio reported as failed or undelivered, whoever sent them, and those that it did not even
        accept. Each is there once, with its `rule` when an action of ours made it. With `until`
        those before then, with `code` those of one error code (0: without one).

        Costs what it returns: rows are found by their type, state or code, from that moment on.
        """
        found: dict[str, Row] = {}
        until = until or LATEST
        reported = self._reported(since, until, limit, code)
        for row in reported + self._refused(since, until, limit, code):
            found.setdefault(row["sid"] or row["uid"], row)
        return sorted(found.values(), key=lambda row: str(row["at"]), reverse=True)[:limit]

    def with_problems(self, groups: Sequence[Row], now: datetime) -> list[Row]:
        """Groups of failures by `code`, each with its `problem`: how it stands (`state`), and what
        was `said` to it; None for a group that nobody has said anything to."""
        said = {row["key"]: Said(**row) for row in self._all(PROBLEMS)}
        today: Counter[int] = Counter()
        if any(each.above is not None for each in said.values()):
            day = iso(now - timedelta(days=1))
            today.update(row["code"] for row in self.failures(day, COUNTED))
        return with_problems(groups, said, iso(now), today)

    def open_failures(self, now: datetime) -> int:
        """How many groups of failures of the last 24 hours wait for a person: nobody has said
        anything to them, or they have come back. Told by the newest `LOOKED` failures."""
        last: dict[int, str] = {}
        for row in self.failures(iso(now - timedelta(days=1)), LOOKED):
            last.setdefault(row["code"], row["at"])
        groups = [{"code": code, "last_at": at} for code, at in last.items()]
        stands = [each["problem"] for each in self.with_problems(groups, now)]
        return sum(each is None or each["state"] in ("open", BACK) for each in stands)

    def first_failure(self, code: int, since: str) -> str:
        """When the first text or call was reported to have failed with a code after then; empty
        when none was."""
        first = first_since(self._connection, "events", "received_at", since)
        row = self._one(
            "select received_at as at from events where error_code = ? and error_code > 0 "
            f"and {one_of(FAILED, '+type')} and id >= ? and received_at > ? order by id limit 1",
            (code, first, since),
        )
        return str(row["at"]) if row else ""

    def _reported(self, since: str, until: str, limit: int, code: int | None) -> list[Row]:
        first = first_since(self._connection, "events", "received_at", since)
        last = first_at(self._connection, "events", "received_at", until) + OVERTAKING
        places = (first, last, since, until, limit)
        if code:  # they are found by their code
            of_code = f"e.error_code = ? and e.error_code > 0 and {one_of(FAILED, '+e.type')}"
            return self._all(_REPORTED.format(of_code), (code, *places))
        of_kind = "e.type = ?" if code is None else "e.type = ? and +e.error_code = 0"
        return [
            row for kind in FAILED for row in self._all(_REPORTED.format(of_kind), (kind, *places))
        ]

    def _refused(self, since: str, until: str, limit: int, code: int | None) -> list[Row]:
        first = first_since(self._connection, "actions", "planned_at", _planned(since))
        last = first_at(self._connection, "actions", "planned_at", until) + OVERTAKING
        found_by = f"{one_of(WITHOUT_SUCCESS)} and state = 'failed'"
        if code:
            found_by = f"error_code = {int(code)} and error_code > 0 and +state = 'failed'"
        elif code is not None:
            found_by += " and +error_code = 0"
        return self._all(
            "select uid, '' as sid, coalesce(settled_at, planned_at) as at, error_code as code, "
            "coalesce(json_extract(params, '$.sender'), '') as sender, "
            "coalesce(json_extract(params, '$.to'), '') as recipient, rule, uid as action "
            f"from actions where {found_by} and id >= ? and id <= ? "
            "and coalesce(settled_at, planned_at) >= ? and coalesce(settled_at, planned_at) < ? "
            "and remote_sid = '' and effect <> '' order by id desc limit ?",
            (first, last, since, until, limit),
        )


def _planned(since: str) -> str:
    """From when on what failed since a time may have been planned; empty before all times."""
    try:
        return iso(datetime.fromisoformat(since) - timedelta(days=WAITS))
    except OverflowError:
        return ""


_REPORTED = (
    "select e.uid, e.subject_sid as sid, e.received_at as at, e.error_code as code, "
    "e.sender, e.recipient, coalesce(a.rule, '') as rule, coalesce(a.uid, '') as action "
    "from events e "
    "left join actions a on a.remote_sid = e.subject_sid and a.remote_sid <> '' "
    "and a.effect <> '' "
    "where {} and e.id >= ? and e.id <= ? and e.received_at >= ? and e.received_at < ? "
    "and e.trust <> 'claimed' and e.source not in ('replay', 'internal') "
    "order by e.id desc limit ?"
)
