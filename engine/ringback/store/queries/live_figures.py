"""Figures of what goes on now: what came since, what became of it, what waits for a person."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ringback.rules.model import WAITS_FOR_YES
from ringback.runtime import iso
from ringback.store.connection import first_at
from ringback.store.data_place import DataPlace
from ringback.store.queries.files import Row
from ringback.store.queries.rule_figures import RuleFigures

MOST_COUNTED = 1000
"""More of them is said as this many; nobody needs the exact number then."""


_FILE = "pragma data_version"
_SERVER = "select hashtextextended(pg_current_snapshot()::text, 0)"
MOST_MINUTES = 200
"""The beginnings of so many minutes are kept."""


class LiveFigures(RuleFigures):
    """What a page that stays open asks again and again; each a few rows of an index."""

    def __init__(self, where: Path | DataPlace) -> None:
        super().__init__(where)
        self._minutes: dict[str, int] = {}

    def version(self) -> int:
        """A number that changes with each commit to the journal by the worker."""
        return int(next(iter(self._all(_SERVER if self._place.url else _FILE)[0].values())))

    def newest(self) -> Row:
        """The last row of events, runs and actions; they move when something happens."""
        return self._all(
            "select (select coalesce(max(id), 0) from events) as events, "
            "(select coalesce(max(id), 0) from runs) as runs, "
            "(select coalesce(max(id), 0) from actions) as actions"
        )[0]

    def came_of(self, events: Sequence[str]) -> dict[str, list[Row]]:
        """The actions of each of these events, in short."""
        found: dict[str, list[Row]] = {}
        for row in self._all(
            "select event_uid, rule, kind, state, outcome, error_code, settled_at from actions "
            "where event_uid in (select value from json_each(?)) order by event_uid, rule, ordinal",
            (json.dumps(list(events)),),
        ):
            found.setdefault(row["event_uid"], []).append(row)
        return found

    def by_minute(self, now: datetime, minutes: int) -> list[int]:
        """How many events were recorded in each of the last minutes, the oldest first. Found by
        halving, so a busy hour costs as much as a quiet one; about, where some overtook others."""
        start = now.replace(second=0, microsecond=0).astimezone(UTC)
        moments = [iso(start - timedelta(minutes=back)) for back in range(minutes - 1, -1, -1)]
        last = self._one("select id, received_at as at from events order by id desc limit 1")
        newest, end = (last["at"], last["id"] + 1) if last else ("", 1)
        ids = [self._began(each) if each <= newest else end for each in moments]
        return [after - before for before, after in zip(ids, [*ids[1:], end], strict=True)]

    def _began(self, minute: str) -> int:
        """Around which id a minute began, which does not change once something has come since."""
        if minute not in self._minutes:
            if len(self._minutes) > MOST_MINUTES:
                self._minutes.clear()
            self._minutes[minute] = first_at(self._connection, "events", "received_at", minute)
        return self._minutes[minute]

    def waiting_for_people(self) -> dict[str, int]:
        """How many actions are parked or unknown, and how many incidents are open. Parked ones are
        those whose outcome nobody knows, and drafts, which wait for a yes."""
        parked = self._few("actions", "state = 'parked'")
        drafts = self._few("actions", "state = 'parked' and reason = ?", WAITS_FOR_YES)
        return {
            "parked": parked - drafts,
            "draft": drafts,
            "unknown": self._few("actions", "state = 'unknown'"),
            "incidents": self._few("incidents", "state = 'open'"),
            "planned": self._few("actions", "state = 'planned'"),
        }

    def _few(self, table: str, where: str, *values: object) -> int:
        rows = self._all(
            f"select count(*) as n from (select 1 from {table} where {where} limit ?) as few",
            (*values, MOST_COUNTED),
        )
        return int(rows[0]["n"])
