"""Profiles of failures: since when, how many people, how it went on, and what stands out."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ringback.error_codes import explain_error
from ringback.events import person
from ringback.store.queries.failure_groups import WAYS, grouped

STEPS = 24
FACETS = ("sender", "rule", "country", "line_type")
_FEWEST = 3
"""Of fewer of a value nothing stands out."""


def profiles(rows: Sequence[Mapping[str, Any]], since: str, until: str) -> list[dict[str, Any]]:
    """The failures by code, the most first: as `grouped`, with `fault`, `people`, `first_at` and
    the counts of `STEPS` parts of the span (`trend`)."""
    by_code: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_code.setdefault(row["code"], []).append(row)
    return [
        group | {
            "fault": explain_error(group["code"]).fault,
            "people": len({person(row["recipient"]) for row in by_code[group["code"]]}),
            "first_at": min(row["at"] for row in by_code[group["code"]]),
            "trend": trend(by_code[group["code"]], since, until),
        }
        for group in grouped(rows, ["code"])
    ]  # fmt: skip


def trend(rows: Iterable[Mapping[str, Any]], since: str, until: str) -> list[int]:
    """How many rows are in each of `STEPS` equal parts of a span."""
    begin, end = datetime.fromisoformat(since), datetime.fromisoformat(until)
    whole = max((end - begin).total_seconds(), 1.0)
    counts = [0] * STEPS
    for row in rows:
        part = (datetime.fromisoformat(row["at"]) - begin).total_seconds() / whole
        counts[min(max(int(part * STEPS), 0), STEPS - 1)] += 1
    return counts


def split(
    failed: Sequence[Mapping[str, Any]], sent: Sequence[Mapping[str, Any]], way: str
) -> list[dict[str, Any]]:
    """How failures split by one facet, what stands out first: each `value` with how many
    `failures` have it, their `share` among all failures, and its `usual` share among all texts."""
    of = WAYS[way]
    usual: dict[Any, int] = {}
    for row in sent:
        usual[of(row)] = usual.get(of(row), 0) + 1
    found = []
    for group in grouped(failed, [way]):
        share = group["failures"] / len(failed)
        expected = usual.get(group[way], 0) / len(sent) if sent else None
        found.append({
            "value": group[way], "failures": group["failures"], "share": share, "usual": expected,
            "lift": share / expected if expected and group["failures"] >= _FEWEST else 0.0,
        })  # fmt: skip
    return sorted(found, key=lambda each: (-each["lift"], -each["failures"]))
