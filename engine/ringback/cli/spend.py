"""The command `spend`: what left today, what it cost, and what is left of the budgets."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import click

from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, print_rows, wide_option
from ringback.cli.project_context import here
from ringback.config import Settings
from ringback.rules.language.numbers import number_text
from ringback.rules.model import Budget
from ringback.twilio import segments
from ringback.twilio.costs import estimated_segments

ALL = "in all"


def _sender(row: Mapping[str, Any]) -> str:
    params = row["params"]
    said = params.get("messaging_service_sid") or params.get("sender")
    return str(said or row["conversation"].partition("/")[0])


WAYS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "rule": lambda row: str(row["rule"]),
    "sender": _sender,
}


@dataclass(slots=True)
class Tally:
    """What left: texts, calls, and notices and requests to others than Twilio. `counted` are the
    segments that a budget counts, `segments` those that Twilio told, `estimated` those of texts of
    which it has not told them; `prices` are what it charged, by currency, `unpriced` the texts and
    calls that it has not priced yet."""

    texts: int = 0
    calls: int = 0
    notices: int = 0
    counted: int = 0
    segments: int = 0
    estimated: int = 0
    prices: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    unpriced: int = 0


@click.command()
@click.option("--by", type=click.Choice(tuple(WAYS)), default="rule", show_default=True,
              help="By rule or by sender.")  # fmt: skip
@click.option("--since", default="", help="Since then instead of today: 2h, 7d, or a time.")
@wide_option
@json_option
def spend(by: str, since: str, wide: bool, as_json: bool) -> None:
    """Sum up what left today and what it cost, and what is left of each budget.

    A day begins at midnight in the zone of the quiet hours, else in UTC. The price is what Twilio
    has told so far; segments that it has not told are estimated, as `about 4`.
    """
    settings = here().settings()
    begin = datetime.fromisoformat(moment(since)) if since else midnight(here().now(), settings)
    with questions() as asked:
        rows = asked.left_since(begin)
        hour = asked.left_since(here().now() - timedelta(hours=1))
    budgets = {} if since else _budgets(settings, rules=by == "rule")
    tallies = tallied(rows, WAYS[by])
    lines = []
    for name in [ALL, *sorted({*tallies, *budgets} - {ALL})]:
        tally = tallies.get(name, Tally())
        line = _line(tally) | {by: name, "left": left(tally, budgets.get(name), settings)}
        if name == ALL and settings.total_per_hour and not since:
            tried = tallied(hour, WAYS[by]).get(ALL, Tally())
            line["left"]["per_hour"] = {
                "of": settings.total_per_hour,
                "left": max(0, settings.total_per_hour - tried.texts - tried.calls),
            }
        lines.append(line)
    for line in () if as_json else lines:
        line["left"] = "; ".join(
            f"{each['left']} of {each['of']} {word.replace('_', ' ')}"
            for word, each in line["left"].items()
        )
        line["price"] = ", ".join(
            f"{amount} {unit}".rstrip() for unit, amount in line["price"].items()
        )
        if guessed := line["estimated_segments"]:
            line["segments"] = f"about {line['segments'] + guessed}"
        for name in ("texts", "calls", "notices", "segments", "unpriced"):
            line[name] = line[name] or ""
    columns = (by, "texts", "calls", "notices", "segments", "price", "unpriced", "left")
    print_rows(
        lines, columns, as_json=as_json, empty="", wide=wide,
        by_weight=(by, "texts", "price", "left", "segments", "calls", "unpriced", "notices"),
    )  # fmt: skip


def midnight(now: datetime, settings: Settings) -> datetime:
    """When the day of the budgets began."""
    zone = ZoneInfo(settings.quiet_zone) if settings.quiet_zone else UTC
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


def tallied(
    rows: Iterable[Mapping[str, Any]], way: Callable[[Mapping[str, Any]], str]
) -> dict[str, Tally]:
    """What left, in all and by rule or sender. A text that was sent twice counts twice, as it does
    for its budget, and is priced once."""
    found: dict[str, Tally] = defaultdict(Tally)
    seen: set[str] = set()
    for row in rows:
        again = row["uid"] in seen
        seen.add(row["uid"])
        for tally in (found[ALL], found[way(row)]):
            _add(tally, row, again=again)
    return dict(found)


@lru_cache(maxsize=4096)
def _counted(body: str) -> int:
    return segments.count(body)


def _add(tally: Tally, row: Mapping[str, Any], *, again: bool) -> None:
    if row["effect"] == "message":
        tally.texts += 1
        counted = _counted(str(row["params"].get("body") or ""))
        tally.counted += counted
        tally.segments += row["segments"] or 0
        tally.estimated += 0 if row["segments"] else estimated_segments(row["params"]) or 0
    elif row["effect"] == "call":
        tally.calls += 1
    elif row["kind"] in ("notify", "http"):
        tally.notices += 1
    if row["effect"] and not again:
        if row["price"] is None:
            tally.unpriced += 1
        else:
            tally.prices[row["price_unit"]] += Decimal(row["price"])


def _line(tally: Tally) -> dict[str, Any]:
    return {
        "texts": tally.texts, "calls": tally.calls, "notices": tally.notices,
        "segments": tally.segments, "estimated_segments": tally.estimated,
        "unpriced": tally.unpriced,
        "price": {unit: str(amount) for unit, amount in tally.prices.items()},
    }  # fmt: skip


def left(tally: Tally, budget: Budget | None, settings: Settings) -> dict[str, Any]:
    """Each word of a budget with what it allows and what is left of it."""
    if budget is None:
        return {}
    found: dict[str, Any] = {}
    if budget.per_day:
        used = tally.texts + tally.calls
        found["per_day"] = {"of": budget.per_day, "left": max(0, budget.per_day - used)}
    if budget.segments_per_day:
        rest = max(0, budget.segments_per_day - tally.counted)
        found["segments_per_day"] = {"of": budget.segments_per_day, "left": rest}
    if budget.price_per_day:
        rest_price = max(0.0, budget.price_per_day - tally.counted * settings.segment_price)
        found["price_per_day"] = {
            "of": number_text(budget.price_per_day), "left": number_text(round(rest_price, 4)),
        }  # fmt: skip
    return found


def _budgets(settings: Settings, *, rules: bool) -> dict[str, Budget]:
    """The budget of everything, and those of the rules where they are asked for."""
    whole = Budget(settings.total_per_day, settings.segments_per_day, settings.price_per_day)
    found = {ALL: whole} if whole != Budget() or settings.total_per_hour else {}
    if rules:
        from ringback.cli.hosted import described

        ruleset = described(settings).ruleset
        found |= {rule.name: rule.budget for rule in ruleset.rules if rule.budget}
    return found
