"""Changed hours: which hours of texts and failures what has come since then tells something of."""

from dataclasses import dataclass, field

from ringback.store.digests.cohorts import Cohorts
from ringback.store.operations.problems import FAILED

STEP = 5000
"""So many rows of each table are looked at, at most."""
TABLES = ("events", "actions", "attempts", "doings")


@dataclass(slots=True)
class Changed:
    """The hours, each with what it is of; up to which row of each table was looked; and whether
    there is more."""

    hours: set[tuple[str, str]] = field(default_factory=set)
    marks: dict[str, int] = field(default_factory=dict)
    more: bool = False


class ChangedHours(Cohorts):
    """What a digest of hours has to count again."""

    def newest_ids(self) -> dict[str, int]:
        """The newest row of each table that is followed."""
        return {table: self._newest_id(table) for table in TABLES}

    def changed(self, marks: dict[str, int]) -> Changed:
        """What the rows behind these ids tell something of."""
        found = Changed()
        for table in TABLES:
            first, newest = marks.get(table, 0), self._newest_id(table)
            last = min(newest, first + STEP)
            found.marks[table] = last
            found.more = found.more or last < newest
            if last > first:
                for measure, sql in _TOLD[table]:
                    rows = self._all(sql, (first, last))
                    found.hours |= {(measure, row["hour"]) for row in rows if row["hour"]}
        return found

    def oldest(self) -> str:
        """When the oldest row that is kept was written; empty of an empty journal."""
        times = [
            self._one(
                f"select {column} as at from {table} where id = (select min(id) from {table})"
            )
            for table, column in (("events", "received_at"), ("actions", "planned_at"))
        ]
        return min((str(row["at"]) for row in times if row), default="")

    def _newest_id(self, table: str) -> int:
        row = self._one(f"select coalesce(max(id), 0) as id from {table}")
        return int(row["id"]) if row else 0


_OF_ACTION = "substr(a.planned_at, 1, 13) as hour from {} join actions a on a.uid = {}"
_ENDED = (
    "substr(coalesce(a.settled_at, a.planned_at), 1, 13) as hour "
    "from {} join actions a on a.uid = {}"
)
_SPAN = " where t.id > ? and t.id <= ?"
_KINDS = ", ".join(f"'{kind}'" for kind in FAILED)
_TOLD: dict[str, tuple[tuple[str, str], ...]] = {
    "events": (
        (
            "texts",
            "select distinct substr(coalesce((select planned_at from actions a "
            "where a.remote_sid = t.subject_sid and a.remote_sid <> ''), "
            "(select received_at from events f where f.subject_sid = t.subject_sid limit 1)), "
            "1, 13) as hour from events t where t.id > ? and t.id <= ? "
            "and t.type like 'message.%' and t.type <> 'message.received'",
        ),
        (
            "failures",
            "select distinct substr(t.received_at, 1, 13) as hour from events t "
            f"where t.id > ? and t.id <= ? and +t.type in ({_KINDS})",
        ),
    ),
    "actions": (
        (
            "texts",
            "select distinct substr(t.planned_at, 1, 13) as hour from actions t "
            "where t.id > ? and t.id <= ? and +t.effect = 'message'",
        ),
    ),
    "attempts": (
        (
            "left",
            "select distinct substr(t.started_at, 1, 13) as hour from attempts t "
            "where t.id > ? and t.id <= ?",
        ),
        *(
            (measure, f"select distinct {sql.format('attempts t', 't.action_uid')}{_SPAN}")
            for measure, sql in (("texts", _OF_ACTION), ("failures", _ENDED))
        ),
    ),
    "doings": tuple(
        (measure, f"select distinct {sql.format('doings t', 't.subject')}{_SPAN}")
        for measure, sql in (("texts", _OF_ACTION), ("failures", _ENDED))
    ),
}
