"""Failed texts and calls, counted by what they have in common."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from ringback.error_codes import explain_error, facts
from ringback.events import person

_UNREPORTED = "no code was reported"


def country(row: Mapping[str, Any]) -> str:
    """The country of a row's recipient in two letters; a question mark for one without."""
    return str(row["country"]) if "country" in row else _country(row["recipient"])


@lru_cache(maxsize=16_384)
def _country(number: str) -> str:
    from ringback.rules.language import phones

    return phones.country(number) or "?"


def line_type(row: Mapping[str, Any]) -> str:
    """The line type of a row's recipient; a question mark for one without."""
    return str(row["line_type"]) if "line_type" in row else _line_type(row["recipient"])


@lru_cache(maxsize=16_384)
def _line_type(number: str) -> str:
    from ringback.rules.language import phones

    return phones.line_type(number) or "?"


WAYS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "code": lambda row: row["code"],
    "class": lambda row: explain_error(row["code"]).error_class or "unknown",
    "sender": lambda row: row["sender"],
    "rule": lambda row: row["rule"],
    "country": country,
    "line_type": line_type,
    "hour": lambda row: f"{row['at'][:13]}:00Z",
}
"""What failures may be counted by, and where a row has it."""


def narrowed(
    rows: Iterable[Mapping[str, Any]],
    ways: Mapping[str, Callable[[Mapping[str, Any]], Any]] = WAYS,
    *,
    number: str = "",
    **wanted: Any,
) -> list[Mapping[str, Any]]:
    """The rows with this number on either side and these values of `ways`; each is asked for where
    it is not empty."""
    who = person(number or "")
    asked = [(ways[way], value) for way, value in wanted.items() if value not in ("", None)]
    return [
        row
        for row in rows
        if all(way(row) == value for way, value in asked)
        and (not who or who in (person(row["sender"]), person(row["recipient"])))
    ]


def counted(rows: Iterable[Mapping[str, Any]]) -> int:
    """How many failures there are; a row with an `n` counts as so many."""
    return sum(row.get("n", 1) for row in rows)


def grouped(
    rows: Iterable[Mapping[str, Any]], ways: Iterable[str],
    samples: Iterable[Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows by what they have in common, the most first; by hour in order of time. Where the
    rows are sums, the `samples` are the newest failures, which tell the last one of a group.

    Each group has its values, how many `failures`, when the last was (`last_at`) and an `example`
    (a SID or an id to trace); by code also what the catalogue knows of it.
    """
    by = list(ways)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(WAYS[way](row) for way in by)
        group = found.setdefault(
            key,
            {
                **dict(zip(by, key, strict=True)), "failures": 0, "last_at": row["at"],
                "example": _name(row),
            },
        )  # fmt: skip
        group["failures"] += row.get("n", 1)
    for row in reversed([*(samples or ())]):
        group = found.get(tuple(WAYS[way](row) for way in by), {})
        group |= {"last_at": row["at"], "example": _name(row)}
    groups = [each | (_said(each["code"]) if "code" in by else {}) for each in found.values()]
    groups.sort(key=lambda each: [str(each[way]) for way in by])
    return sorted(groups, key=lambda each: (each.get("hour", ""), -each["failures"]))


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("sid") or row.get("uid") or "")


def _said(code: int) -> dict[str, Any]:
    if not code:
        return {"meaning": _UNREPORTED, "retry": "", "remedy": "", "error": None}
    known = explain_error(code)
    return {
        "meaning": known.title, "retry": known.wait, "remedy": known.remedy, "error": facts(known),
    }  # fmt: skip
