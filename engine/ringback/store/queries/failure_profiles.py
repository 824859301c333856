"""Profiles of failures: since when, how many people, how it went on, and what stands out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ringback.error_codes import explain_error
from ringback.events import person
from ringback.store.queries.failure_groups import WAYS, counted, grouped

STEPS = 24
FACETS = ("sender", "rule", "country", "line_type")
_FEWEST = 3
"""Of fewer of a value nothing stands out."""


def profiles(
    rows: Sequence[Mapping[str, Any]], since: str, until: str,
    samples: Sequence[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The failures by code, the most first: as `grouped`, with `fault`, `people`, `first_at` and
    the counts of `STEPS` parts of the span (`trend`). Where the rows are sums, people are those of
    the `samples`."""
    known = rows if samples is None else samples
    by_code: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_code.setdefault(row["code"], []).append(row)
    return [
        group | {
            "fault": explain_error(group["code"]).fault,
            "people": len(
                {person(row["recipient"]) for row in known if row["code"] == group["code"]}
            ),
            "first_at": min(row["at"] for row in by_code[group["code"]]),
            "trend": trend(by_code[group["code"]], since, until),
        }
        for group in grouped(rows, ["code"], samples)
    ]  # fmt: skip


def trend(rows: Iterable[Mapping[str, Any]], since: str, until: str) -> list[int]:
    """How many rows are in each of `STEPS` equal parts of a span."""
    begin, end = datetime.fromisoformat(since), datetime.fromisoformat(until)
    whole = max((end - begin).total_seconds(), 1.0)
    counts = [0] * STEPS
    for row in rows:
        part = (_middle(row["at"]) - begin).total_seconds() / whole
        counts[min(max(int(part * STEPS), 0), STEPS - 1)] += row.get("n", 1)
    return counts


def _middle(at: str) -> datetime:
    """A stored time; of an hour or a day, as sums have them, the middle."""
    if len(at) > len("2026-03-04T17"):
        return datetime.fromisoformat(at)
    whole = datetime.fromisoformat(f"{at}:00:00+00:00" if "T" in at else f"{at}T00:00:00+00:00")
    return whole + (timedelta(minutes=30) if "T" in at else timedelta(hours=12))


def split(
    failed: Sequence[Mapping[str, Any]], sent: Sequence[Mapping[str, Any]], way: str
) -> list[dict[str, Any]]:
    """How failures split by one facet, what stands out first: each `value` with how many
    `failures` have it, their `share` among all failures, and its `usual` share among all texts."""
    of = WAYS[way]
    usual: dict[Any, int] = {}
    for row in sent:
        usual[of(row)] = usual.get(of(row), 0) + row.get("n", 1)
    all_, texts = counted(failed), counted(sent)
    found = []
    for group in grouped(failed, [way]):
        share = group["failures"] / all_
        expected = usual.get(group[way], 0) / texts if texts else None
        found.append({
            "value": group[way], "failures": group["failures"], "share": share, "usual": expected,
            "lift": share / expected if expected and group["failures"] >= _FEWEST else 0.0,
        })  # fmt: skip
    return sorted(found, key=lambda each: (-each["lift"], -each["failures"]))
