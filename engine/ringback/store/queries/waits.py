"""Waits: runs that wait, actions that were put off, and schedules, what is due first at first."""

from dataclasses import dataclass

from ringback.store.meta import IS_OPEN
from ringback.store.queries.doing_lists import DoingLists
from ringback.store.queries.files import Row
from ringback.store.queries.run_lists import with_params

COUNTED = 10_000
"""So many are counted, at most."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits, at most so many of each, and how many there are, `COUNTED` at most."""

    runs: list[Row]
    actions: list[Row]
    schedules: list[Row]
    run_count: int
    action_count: int
    schedule_count: int


class Waits(DoingLists):
    """What will go on by itself, or with the next event that it waits for."""

    def waiting(self, limit: int) -> Waiting:
        """All that waits, by when it comes due. A schedule has `rule`, or its `key`."""
        runs = self._all(
            f"select * from runs where {IS_OPEN} and state = 'waiting' order by due_at limit ?",
            (limit,),
        )
        actions = self._all(
            "select * from actions where state = 'deferred' order by due_at limit ?", (limit,)
        )
        schedules = self._all(
            "select key, kind, due_at, payload from timers order by due_at limit ?", (limit,)
        )
        return Waiting(
            runs, [with_params(row) for row in actions], schedules,
            self._count(f"runs where {IS_OPEN} and state = 'waiting'"),
            self._count("actions where state = 'deferred'"), self._count("timers"),
        )  # fmt: skip

    def in_state(self, state: str) -> int:
        """How many actions are in a state that few are in, `COUNTED` at most."""
        return self._count("actions where state = ?", state)

    def _count(self, of: str, *values: str) -> int:
        counted = f"select count(*) as n from (select 1 from {of} limit ?) as few"
        row = self._one(counted, (*values, COUNTED))
        return int(row["n"]) if row else 0
