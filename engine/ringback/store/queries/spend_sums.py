"""Sums of what left: texts, calls, segments and prices by rule or sender."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

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


def tally_of(row: Mapping[str, Any], *, again: bool) -> Tally:
    """What one request took; one that was made `again` for its action is not priced again."""
    tally = Tally()
    _add(tally, row, again=again)
    return tally


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


def line(tally: Tally) -> dict[str, Any]:
    """A sum as JSON: the names of its fields."""
    return {
        "texts": tally.texts, "calls": tally.calls, "notices": tally.notices,
        "segments": tally.segments, "estimated_segments": tally.estimated,
        "unpriced": tally.unpriced,
        "price": {unit: str(amount) for unit, amount in tally.prices.items()},
    }  # fmt: skip


def lines(
    tallies: Mapping[str, Tally],
    by: str,
    budgets: Mapping[str, Budget],
    segment_price: float,
    hour: tuple[int, Tally] | None = None,
) -> list[dict[str, Any]]:
    """The sums with what is left of each budget, that of all first. `hour` is what may leave in an
    hour, in all, and what did."""
    found = []
    for name in [ALL, *sorted({*tallies, *budgets} - {ALL})]:
        tally = tallies.get(name, Tally())
        shown = line(tally) | {by: name, "left": left(tally, budgets.get(name), segment_price)}
        if name == ALL and hour and hour[0]:
            used = hour[1].texts + hour[1].calls
            shown["left"]["per_hour"] = {"of": hour[0], "left": max(0, hour[0] - used)}
        found.append(shown)
    return found


def surprises(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Texts that take more segments than they would without a few letters that GSM-7 lacks and has
    look-alikes of: for each set of those `letters` the `texts`, the segments that they take and
    those that they would (`segments`, `plain`), and one of the `rules`; the dearest first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        letters = dear_letters(row)
        if not letters:
            continue
        body = str(row["params"]["body"])
        group = found.setdefault(
            letters, {"letters": letters, "texts": 0, "segments": 0, "plain": 0, "rules": set()}
        )
        group["texts"] += 1
        group["segments"] += _counted(body)
        group["plain"] += _counted(segments.smart(body))
        group["rules"].add(row["rule"])
    dearest = sorted(found.values(), key=lambda each: each["plain"] - each["segments"])
    return [each | {"rules": sorted(each["rules"])} for each in dearest]


def dear_letters(row: Mapping[str, Any]) -> str:
    """The letters for which a text takes more segments than with their look-alikes; else empty."""
    body = str(row["params"].get("body") or "") if row["effect"] == "message" else ""
    plain = segments.smart(body)
    if segments.is_gsm(body) or not segments.is_gsm(plain) or _counted(body) <= _counted(plain):
        return ""
    return "".join(sorted({each for each in body if not segments.is_gsm(each)}))


def midnight(now: datetime, zone: str) -> datetime:
    """When the day of the budgets began, in the zone of the quiet hours."""
    there = now.astimezone(ZoneInfo(zone) if zone else UTC)
    return there.replace(hour=0, minute=0, second=0, microsecond=0)


def left(tally: Tally, budget: Budget | None, segment_price: float) -> dict[str, Any]:
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
        rest_price = max(0.0, budget.price_per_day - tally.counted * segment_price)
        found["price_per_day"] = {
            "of": number_text(budget.price_per_day), "left": number_text(round(rest_price, 4)),
        }  # fmt: skip
    return found
