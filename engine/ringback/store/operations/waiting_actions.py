"""Actions that wait at present: how many, and since when."""

from dataclasses import dataclass

from ringback.store.connection import Connection

_LOOKED_AT = 2000
COUNTED = 20_000  # no more actions that wait are counted than so many


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many actions wait to leave, or for their answer, or for news of what became of them, and
    since when the oldest of them has been free to leave. `planned` is that of those that wait to
    leave alone, `parked` when the last request ended for one that a person has to decide about.
    None when there is none."""

    count: int
    oldest: str | None
    planned: str | None
    parked: str | None


def waiting(connection: Connection, besides: tuple[str, ...]) -> Waiting:
    """Of many, the count is of all kinds, up to a bound, and the oldest one of those that were
    planned first or are due first: to read them all would hold up the others."""
    marks = ",".join("?" * len(besides))
    sample = (
        f"select case when kind not in ({marks}) then coalesce(free_at, planned_at) end as free "
        "from actions where state = ? and due_at is {} order by due_at, id limit ?"
    )

    def look(state: str) -> tuple[int, str | None]:
        seen, count, oldest = connection.execute(
            "select count(*), count(free), min(free) from "
            f"(select * from ({sample.format('null')}) as loose union all "
            f"select * from ({sample.format('not null')}) as held) as all_of_them",
            (*besides, state, _LOOKED_AT) * 2,
        ).fetchone()
        if seen < _LOOKED_AT:
            return count, oldest
        total = connection.execute(
            "select count(*) from (select 1 from actions where state = ? limit ?) as few",
            (state, COUNTED),
        ).fetchone()[0]
        return total, oldest

    looks = [look(state) for state in ("planned", "sending", "unknown")]
    parked = connection.execute(
        "select max(ended_at) from attempts where action_uid in "
        "(select uid from actions where state = 'parked' order by due_at, id desc limit 100)"
    ).fetchone()[0]
    found = [moment for _, moment in looks if moment]
    count = sum(count for count, _ in looks)
    return Waiting(count, min(found, default=None), looks[0][1], parked)
