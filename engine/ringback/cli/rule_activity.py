"""Activity of rules in a listing: fired, last fired, silent by which line, and the next time."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ringback.cli.events import questions
from ringback.cli.output import short_time
from ringback.cli.project_context import here
from ringback.cli.trace import reason
from ringback.errors import StorageError
from ringback.rules.model import Rule
from ringback.runtime import iso

Line = dict[str, Any]


def with_activity(rows: Iterable[tuple[Rule, Line]], since: str) -> list[Line]:
    """The rows of a listing with what their rules did since then (a stored time): how often each
    `fired`, how many of these runs `failed`, how many actions the gate `held`, when it did `last`,
    the `next` time of its schedule, and what kept it `silent` most often on the newest events, if
    it was; None where nothing is known."""
    rows = list(rows)
    now = here().now()
    try:
        with questions() as asked:
            counts = {rule.name: asked.fired(rule.name, since) for rule, _ in rows}
            verdicts = asked.verdicts()
            failed = {name: row["failed"] for name, row in asked.rule_runs(since).items()}
            held = asked.held_by_gate(since)
    except StorageError:  # no node has run here yet
        counts, verdicts, failed, held = {}, {}, {}, {}
    found = []
    for rule, row in rows:
        fired, last = counts.get(rule.name, (0, ""))
        found.append(
            row
            | {
                "fired": fired, "failed": failed.get(rule.name, 0),
                "held": held.get(rule.name, 0), "last": last or None, "next": _next(rule, now),
                "silent": None if fired else _silent(rule, verdicts.get(rule.name, Counter())),
            }
        )  # fmt: skip
    return found


def _next(rule: Rule, now: datetime) -> str | None:
    due = rule.schedule.after(now) if rule.schedule and rule.state != "off" else None
    return iso(due) if due else None


def _silent(rule: Rule, verdicts: Counter[str]) -> Line:
    """What kept a rule from firing most often: the verdict, how often, and the line of its `if`;
    without a verdict none of the newest events was for it."""
    kept = [(verdict, count) for verdict, count in verdicts.most_common() if verdict != "fired"]
    if not kept:
        return {"verdict": "", "count": 0, "line": ""}
    verdict, count = kept[0]
    kind, _, rest = verdict.partition(":")
    number = rest.partition(":")[0].strip()
    at = int(number) if kind in ("if", "error") and number.isdecimal() else 0
    line = rule.conditions[at - 1].source if 0 < at <= len(rule.conditions) else ""
    return {"verdict": verdict, "count": count, "line": line}


def shown(row: Line) -> None:
    """Write the activity of a row as a person reads it."""
    row["last"], row["next"] = short_time(row["last"]), short_time(row["next"])
    silent = row["silent"]
    if silent:
        why = silent["line"] or reason(silent["verdict"]).strip()
        row["silent"] = f"{why} ({silent['count']}×)" if silent["count"] else "no event for it"
