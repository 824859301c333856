"""Texts of ours, counted by how far they came and how long that took."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from ringback.rules.model import WAITS_FOR_YES
from ringback.store.queries.failure_groups import country, line_type

WAYS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "sender": lambda row: row["sender"],
    "country": country,
    "line_type": line_type,
    "rule": lambda row: row["rule"],
    "hour": lambda row: f"{row['at'][:13]}:00Z",
    "day": lambda row: row["at"][:10],
}
"""What texts may be counted by, and where a row has it."""
_ARRIVED = ("delivered", "read")
_SHOWN = ("texts", "held", "pending", "failed", "delivered", "read")


_YES = WAITS_FOR_YES.replace("'", "''")
STATE = f"case when state = 'parked' and reason = '{_YES}' then 'draft' else state end as state"
"""The state of an action as it is counted: what waits for a yes has not been let out."""


def _held(row: Mapping[str, Any]) -> bool:
    return row["state"] in ("refused", "cancelled", "draft")


def _arrived(row: Mapping[str, Any]) -> bool:
    return row["outcome"] in _ARRIVED


def _failed(row: Mapping[str, Any]) -> bool:
    return row["state"] == "failed" and not _arrived(row)


STEPS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "texts": lambda row: True,
    "out": lambda row: not _held(row),
    "taken": lambda row: bool(row["sid"]),
    "delivered": _arrived,
    "read": lambda row: row["outcome"] == "read",
    "held": _held,
    "failed": _failed,
    "pending": lambda row: not _held(row) and not _arrived(row) and not _failed(row),
}
"""How far a text came: each step has those that came so far."""


def counted_by(rows: Iterable[Mapping[str, Any]], ways: Sequence[str]) -> list[dict[str, Any]]:
    """The rows by what they have in common, the most first; by hour or day in order of time. A row
    with an `n` counts as so many texts. A share or time that nothing stands for is None; times are
    seconds."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(WAYS[way](row) for way in ways), []).append(row)
    found = [dict(zip(ways, key, strict=True)) | _figures(each) for key, each in groups.items()]
    found.sort(key=lambda each: [str(each[way]) for way in ways])
    times = [way for way in ways if way in ("hour", "day")]
    return sorted(found, key=lambda each: ([each[way] for way in times], -each["texts"]))


@cache
def _steps(state: str, outcome: str, sid: bool) -> tuple[str, ...]:
    """The steps that a text came to."""
    row = {"state": state, "outcome": outcome, "sid": sid}
    return tuple(step for step, has in STEPS.items() if has(row))


def steps(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many texts came to each step."""
    count = dict.fromkeys(STEPS, 0)
    for row in rows:
        n = row.get("n", 1)
        for step in _steps(row["state"], row["outcome"], bool(row["sid"])):
            count[step] += n
    return count


def counted(rows: Iterable[Mapping[str, Any]], step: str = "texts") -> int:
    """How many texts came to a step."""
    return sum(row.get("n", 1) for row in rows if STEPS[step](row))


def _figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    count = steps(rows)
    ended = count["delivered"] + count["failed"]
    took = times(rows)
    return {
        **{name: count[name] for name in _SHOWN},
        "share": round(count["delivered"] / ended, 4) if ended else None,
        "p50": percentile(took, 50), "p90": percentile(took, 90), "p99": percentile(took, 99),
    }  # fmt: skip


def times(rows: Iterable[Mapping[str, Any]]) -> list[tuple[float, int]]:
    """How many seconds texts took from the request to their delivery, in order, where both are
    known, and how many took so long."""
    return sorted(
        (seconds, row.get("n", 1))
        for row in rows
        if _arrived(row)
        if (seconds := took(row)) is not None and seconds >= 0
    )


def took(row: Mapping[str, Any]) -> float | None:
    """How many seconds a text took; of counted texts, how many they took at most."""
    if "took" in row:
        return None if row["took"] is None else float(row["took"])
    return between(row["left_at"], row["delivered_at"])


def percentile(ordered: Sequence[tuple[float, int]], percent: int) -> float | None:
    """The value that so many percent do not exceed (nearest rank); None of nothing."""
    rank = -(-sum(n for _, n in ordered) * percent // 100)
    for value, n in ordered:
        rank -= n
        if rank <= 0:
            return value
    return None


def between(first: str | None, last: str | None) -> float | None:
    """The seconds between two stored times; None where one of them is not known."""
    if not first or not last:
        return None
    if first[:17] == last[:17]:  # in one minute, as most are
        return round(float(last[17:23]) - float(first[17:23]), 3)
    passed = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    return round(passed.total_seconds(), 3)
