"""Usage per category and span of time.

https://www.twilio.com/docs/usage/api/usage-record

Categories overlap as Twilio's do: `sms` holds `sms-inbound` and `sms-outbound`, `totalprice` all.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

from ringback.simulator.form import Form
from ringback.simulator.refusal import invalid
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, route
from ringback.simulator.switchboard import exchange_of

CALL_PRICE = {"inbound": 0.0085, "outbound": 0.014}


@dataclass(frozen=True, slots=True)
class Use:
    """One thing that was used: on which day, in which categories, how much, at what price."""

    day: date
    categories: tuple[str, ...]
    amount: float
    price: float


@dataclass(frozen=True, slots=True)
class Kind:
    """One category: its words and its units."""

    description: str
    count_unit: str
    usage_unit: str


KINDS = {
    "calls": Kind("Voice Minutes", "calls", "minutes"),
    "calls-inbound": Kind("Inbound Voice Minutes", "calls", "minutes"),
    "calls-outbound": Kind("Outbound Voice Minutes", "calls", "minutes"),
    "mms": Kind("MMS", "messages", "messages"),
    "phonenumbers": Kind("Phone Numbers", "numbers", "numbers"),
    "recordings": Kind("Recordings", "recordings", "minutes"),
    "sms": Kind("SMS", "messages", "segments"),
    "sms-inbound": Kind("Inbound SMS", "messages", "segments"),
    "sms-outbound": Kind("Outbound SMS", "messages", "segments"),
    "totalprice": Kind("Total Price", "", "usd"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """The sum of one category over one span of days."""

    category: str
    start: date
    end: date
    count: int
    amount: float
    price: float


def _uses(ask: Ask) -> Iterator[Use]:
    sids = {ask.account.sid}
    if ask.query.flag("IncludeSubaccounts", True):
        sids |= {row.sid for row in ask.world.accounts if row.owner_sid == ask.account.sid}
    for sid in sids:
        for message in ask.world.messages.of(sid):
            kind = "mms" if message.media else "sms"
            way = "inbound" if message.direction == "inbound" else "outbound"
            names = (kind, f"sms-{way}") if kind == "sms" else (kind,)
            price = -float(message.price or 0)
            yield Use(message.created.date(), names, float(message.segments), price)
        exchange = exchange_of(ask.world, sid)
        for call in exchange.calls.values():
            way = "inbound" if call.direction == "inbound" else "outbound"
            minutes = -(-call.duration // 60)
            day = ask.world.clock.date(call.created_at).date()
            yield Use(day, ("calls", f"calls-{way}"), float(minutes), minutes * CALL_PRICE[way])
        for sound in exchange.recordings.values():
            day = ask.world.clock.date(sound.started_at).date()
            yield Use(day, ("recordings",), float(-(-(sound.duration or 0) // 60)), 0.0)
        for number in ask.world.numbers.of(sid):
            yield Use(number.created.date(), ("phonenumbers",), 1.0, 1.15)


def _sum(uses: list[Use], category: str, start: date, end: date) -> Row:
    mine = [
        use
        for use in uses
        if start <= use.day <= end and (category in use.categories or category == "totalprice")
    ]
    price = sum(use.price for use in mine)
    if category == "totalprice":
        return Row(category, start, end, 0, price, price)
    return Row(category, start, end, len(mine), sum(use.amount for use in mine), price)


def _days(start: date, end: date) -> list[tuple[date, date]]:
    count = min((end - start).days + 1, 400)
    return [(end - timedelta(days=n), end - timedelta(days=n)) for n in range(count)]


def _months(start: date, end: date) -> list[tuple[date, date]]:
    spans = []
    while end >= start:
        first = end.replace(day=1)
        spans.append((max(first, start), end))
        end = first - timedelta(days=1)
    return spans


def _years(start: date, end: date) -> list[tuple[date, date]]:
    spans = []
    while end >= start:
        first = end.replace(month=1, day=1)
        spans.append((max(first, start), end))
        end = first - timedelta(days=1)
    return spans


Spans = Callable[[date, date], list[tuple[date, date]]]


def _whole(start: date, end: date) -> list[tuple[date, date]]:
    return [(start, end)]


def records(spans: Spans, fixed: str, ask: Ask) -> Reply:
    """The rows of one view. `fixed` names a view whose dates are given; else the query's dates."""
    today = ask.world.clock.shown().date()
    opened = ask.world.clock.date(ask.world.clock.start).date()
    start, end = _fixed(fixed, today) or (
        _day(ask.query, "StartDate", today) or opened,
        _day(ask.query, "EndDate", today) or today,
    )
    category = ask.query.text("Category")
    if category and not re.fullmatch(r"[a-z0-9-]{1,80}", category):
        raise invalid(20001, f"Category is not valid: {category[:80]}")
    uses = list(_uses(ask))
    rows = [
        _sum(uses, name, *span)
        for span in spans(start, end)
        for name in KINDS
        if not category or name == category
    ]
    name = "_".join(re.findall(r"[A-Z][a-z]+", ask.path.rpartition("/")[2])).lower()
    return page(
        ask, "usage_records", list(enumerate(rows)), lambda row: f"{name}{row[0]}",
        lambda row: _shape(ask, row[1]),
    )  # fmt: skip


def _fixed(name: str, today: date) -> tuple[date, date] | None:
    first = today.replace(day=1)
    return {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
        "this_month": (first, today),
        "last_month": ((first - timedelta(days=1)).replace(day=1), first - timedelta(days=1)),
    }.get(name)


def _day(query: Form, name: str, today: date) -> date | None:
    text = query.text(name)
    if not text:
        return None
    offset = re.fullmatch(r"([+-]\d{1,4})days?", text)
    try:
        return today + timedelta(days=int(offset[1])) if offset else date.fromisoformat(text)
    except ValueError:
        raise invalid(20001, f"{name} must be YYYY-MM-DD or an offset such as -30days") from None


def _shape(ask: Ask, row: Row) -> dict[str, Any]:
    kind = KINDS[row.category]
    span = f"StartDate={row.start}&EndDate={row.end}"
    path = f"{ask.base}/Usage/Records"
    views = (
        "AllTime", "Daily", "LastMonth", "Monthly", "ThisMonth", "Today", "Yearly", "Yesterday",
    )  # fmt: skip
    return {
        "account_sid": ask.account.sid,
        "api_version": "2010-04-01",
        "as_of": ask.world.clock.shown().strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "category": row.category,
        "count": str(row.count),
        "count_unit": kind.count_unit,
        "description": kind.description,
        "end_date": row.end.isoformat(),
        "price": round(row.price, 5),
        "price_unit": "usd",
        "start_date": row.start.isoformat(),
        "subresource_uris": {
            re.sub(r"(?<!^)(?=[A-Z])", "_", view).lower(): (
                f"{path}/{view}.json?Category={row.category}"
            )
            for view in views
        },
        "uri": f"{path}.json?Category={row.category}&{span}",
        "usage": f"{row.amount:g}",
        "usage_unit": kind.usage_unit,
    }


def index(ask: Ask) -> Reply:
    """What there is about usage: the address of the records."""
    path = f"{ask.base}/Usage"
    parts = {"records": f"{path}/Records.json"}
    data = {"account_sid": ask.account.sid, "subresource_uris": parts, "uri": f"{path}.json"}
    return Reply(200, data)


ROUTES = (
    route("GET", "Usage", "usage.get", index),
    *(
        route("GET", f"Usage/Records{view}", "usage.list", partial(records, spans, fixed))
        for view, spans, fixed in (
            ("", _whole, ""),
            ("/AllTime", _whole, ""),
            ("/Daily", _days, ""),
            ("/LastMonth", _whole, "last_month"),
            ("/Monthly", _months, ""),
            ("/ThisMonth", _whole, "this_month"),
            ("/Today", _whole, "today"),
            ("/Yearly", _years, ""),
            ("/Yesterday", _whole, "yesterday"),
        )
    ),
)
