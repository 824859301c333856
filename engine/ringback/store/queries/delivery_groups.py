"""Texts of ours, counted by how far they came and how long that took."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

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


def _held(row: Mapping[str, Any]) -> bool:
    return row["state"] in ("refused", "cancelled")


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
    """The rows by what they have in common, the most first; by hour or day in order of time. A
    share or time that nothing stands for is None; times are seconds."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(WAYS[way](row) for way in ways), []).append(row)
    found = [dict(zip(ways, key, strict=True)) | _figures(each) for key, each in groups.items()]
    found.sort(key=lambda each: [str(each[way]) for way in ways])
    times = [way for way in ways if way in ("hour", "day")]
    return sorted(found, key=lambda each: ([each[way] for way in times], -each["texts"]))


def _figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    arrived = [row for row in rows if _arrived(row)]
    held = sum(map(_held, rows))
    failed = sum(map(_failed, rows))
    ended = len(arrived) + failed
    took = times(rows)
    return {
        "texts": len(rows), "held": held, "pending": len(rows) - held - ended, "failed": failed,
        "delivered": len(arrived), "read": sum(row["outcome"] == "read" for row in arrived),
        "share": round(len(arrived) / ended, 4) if ended else None,
        "p50": percentile(took, 50), "p90": percentile(took, 90), "p99": percentile(took, 99),
    }  # fmt: skip


def times(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """How many seconds each text took from the request to its delivery, in order, where both are
    known."""
    return sorted(
        seconds
        for row in rows
        if _arrived(row) and row["left_at"] and row["delivered_at"]
        if (seconds := _between(row["left_at"], row["delivered_at"])) >= 0
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The value that so many percent do not exceed (nearest rank); None of nothing."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _between(first: str, last: str) -> float:
    passed = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    return round(passed.total_seconds(), 3)
