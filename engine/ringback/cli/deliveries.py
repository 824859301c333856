"""The command `deliveries`: how many texts arrived, how many did not, and how long it took."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from ringback.cli.events import moment, questions
from ringback.cli.failures import country, line_type
from ringback.cli.output import counted, json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here
from ringback.errors import UsageError
from ringback.events import person

READ = 50_000
"""So many texts of a span are counted at most, the newest of them."""
WAYS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "sender": lambda row: row["sender"],
    "country": country,
    "line_type": line_type,
    "rule": lambda row: row["rule"],
    "hour": lambda row: f"{row['at'][:13]}:00Z",
    "day": lambda row: row["at"][:10],
}
"""What texts may be counted by, and where a row has it."""
ALL = "all"
COUNTS = ("texts", "held", "pending", "failed", "delivered", "read")
SPANS = ("p50", "p90", "p99")
_ARRIVED = ("delivered", "read")


@click.command()
@click.option(
    "--by", default="sender,country", show_default=True,
    help=f"One or more of {', '.join(WAYS)}; or {ALL}.",
)  # fmt: skip
@click.option("--since", default="24h", show_default=True, help="Since then: 30m, 2h, 7d, a time.")
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--rule", default="", help="Only of this rule.")
@wide_option
@json_option
def deliveries(by: str, since: str, number: str, rule: str, wide: bool, as_json: bool) -> None:
    """Count the texts of ours by how far they came, and how long they took to be delivered.

    Each text counts once, by the last that Twilio reported of it. `share` is that of the delivered
    among those that came to an end; p50, p90 and p99 are the times from the request to Twilio until
    the report of delivery.
    """
    ways = [] if by == ALL else [each.strip() for each in by.split(",") if each.strip()]
    if (not ways and by != ALL) or any(each not in WAYS for each in ways):
        raise UsageError(f"--by takes {', '.join(WAYS)}, with commas between, or {ALL}; not {by!r}")
    who = person(here().number(number))
    with questions() as asked:
        found = asked.sent_texts(moment(since), READ + 1)
    if len(found) > READ:
        oldest = short_time(found[READ - 1]["at"])
        click.echo(f"only the newest {READ:,} are counted, those since {oldest}", err=True)
    rows = [
        row
        for row in found[:READ]
        if (not rule or row["rule"] == rule)
        and (not who or who in (person(row["sender"]), person(row["recipient"])))
    ]
    groups = counted_by(rows, ways)
    for group in () if as_json else groups:
        group |= {name: span(group[name]) for name in SPANS}
        group["share"] = "" if group["share"] is None else f"{group['share']:.1%}"
    columns = [*ways, *COUNTS, "share", *SPANS]
    print_rows(
        groups, columns, as_json=as_json, empty=nothing("texts", since, who, rule), wide=wide,
        by_weight=[*ways, "texts", "share", "failed", "pending", "p50", "p99", "delivered",
                   "held", "p90", "read"],
    )  # fmt: skip
    if groups and not as_json and by != ALL:
        (total,) = counted_by(rows, [])
        share = "none of them at an end" if total["share"] is None else (
            f"{total['share']:.1%} of those at an end were delivered"
        )  # fmt: skip
        click.echo(f"{counted(len(rows), 'text')}: {share}", err=True)


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
    arrived = [row for row in rows if row["outcome"] in _ARRIVED]
    held = sum(row["state"] in ("refused", "cancelled") for row in rows)
    failed = sum(row["state"] == "failed" and row["outcome"] not in _ARRIVED for row in rows)
    ended = len(arrived) + failed
    took = sorted(
        seconds
        for row in arrived
        if row["left_at"] and row["delivered_at"]
        if (seconds := _between(row["left_at"], row["delivered_at"])) >= 0
    )
    return {
        "texts": len(rows), "held": held, "pending": len(rows) - held - ended, "failed": failed,
        "delivered": len(arrived), "read": sum(row["outcome"] == "read" for row in arrived),
        "share": round(len(arrived) / ended, 4) if ended else None,
        "p50": percentile(took, 50), "p90": percentile(took, 90), "p99": percentile(took, 99),
    }  # fmt: skip


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The value that so many percent do not exceed (nearest rank); None of nothing."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _between(first: str, last: str) -> float:
    passed = datetime.fromisoformat(last) - datetime.fromisoformat(first)
    return round(passed.total_seconds(), 3)


def span(seconds: float | None) -> str:
    """A span for a person: `0.8 s`, `12 s`, `3.5 min`, `2.1 h`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
