"""Pages of a list, with a cursor.

https://www.twilio.com/docs/usage/twilios-response#pagination

The cursor is `PageToken`. `Page` alone counts pages from 0, as the gateway's guide does: a list
that grows meanwhile moves under it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from ringback.simulator.form import Form, moment
from ringback.simulator.refusal import invalid
from ringback.simulator.rest.route import Ask, Reply

T = TypeVar("T")

LARGEST, USUAL = 1000, 50


def page(
    ask: Ask,
    key: str,
    rows: Iterable[T],
    sid: Callable[[T], str],
    shape: Callable[[T], dict[str, Any]],
) -> Reply:
    """One page of `rows`, which stand in the order of the list.

    The token names the last row of the page before (`PA` and its SID), or the first row of the
    page after (`PB`), so that a list may grow while it is read.
    """
    query = ask.query
    size = _size(query)
    number = query.number("Page", 0, 0, 10**9)
    everything = _struck(ask, list(rows), sid)
    token = query.text("PageToken")
    start = _position(ask, token, everything, sid, size) if token else number * size
    shown = everything[start : start + size]
    more = start + size < len(everything)
    first = number * size
    data: dict[str, Any] = {
        "first_page_uri": _link(ask, size, 0, ""),
        "next_page_uri": _link(ask, size, number + 1, "PA" + sid(shown[-1])) if more else None,
        "previous_page_uri": (
            _link(ask, size, max(0, number - 1), "PB" + sid(shown[0]))
            if start > 0 and shown
            else None
        ),
        "uri": ask.link + (f"?{ask.query_text}" if ask.query_text else ""),
        "page": number,
        "page_size": size,
        "start": first,
        "end": first + max(0, len(shown) - 1),
        key: [shape(row) for row in shown],
    }
    _spoil(ask, data, key, size, number)
    return Reply(200, data)


def _struck(ask: Ask, rows: list[T], sid: Callable[[T], str]) -> list[T]:
    """The rows as a fault of the plan lets them be seen: the newest missing, or out of order."""
    fault = ask.world.list_fault
    if fault is None:
        return rows
    if fault.do == "lag":
        limit = ask.world.clock.shown().timestamp() - float(fault.get("seconds", 5.0))
        births = ask.world.births
        return [row for row in rows if births.get(sid(row), (0, 0.0))[1] <= limit]
    if fault.get("how", "") == "unordered":
        ask.world.random.stream(f"fault:{fault.name}:order").shuffle(rows)
    return rows


def _spoil(ask: Ask, data: dict[str, Any], key: str, size: int, number: int) -> None:
    fault = ask.world.list_fault
    how = fault.get("how", "") if fault is not None else ""
    if how == "empty_page":
        data[key] = []
        data["next_page_uri"] = _link(ask, size, number, "")
    elif how == "endless":
        data["next_page_uri"] = _link(ask, size, number + 1, ask.query.text("PageToken"))
    elif how == "no_date_sent":
        for row in data[key]:
            row["date_sent"] = None


def _size(query: Form) -> int:
    text = query.text("PageSize")
    if text.isascii() and text.isdigit() and int(text[:9]) > LARGEST:
        raise invalid(20007, f"Page size must be less than or equal to {LARGEST}")
    return query.number("PageSize", USUAL, 1, LARGEST)


def _position(ask: Ask, token: str, rows: list[T], sid: Callable[[T], str], size: int) -> int:
    """Where the page begins. A row that has been deleted since is still a place in the list."""
    kind, name = token[:2], token[2:]
    if kind not in ("PA", "PB"):
        raise invalid(21481, "The provided PageToken is invalid")
    place = next((index for index, row in enumerate(rows) if sid(row) == name), None)
    if place is None:
        born = ask.world.births.get(name)
        if born is None:
            raise invalid(21481, "The provided PageToken is invalid")
        births = ask.world.births
        older = (i for i, row in enumerate(rows) if births.get(sid(row), (0, 0.0)) < born)
        place = next(older, len(rows)) - 1
    return place + 1 if kind == "PA" else max(0, place - size)


def _link(ask: Ask, size: int, number: int, token: str) -> str:
    pairs = [
        (name, value)
        for name, value in parse_qsl(ask.query_text, keep_blank_values=True)
        if name not in ("Page", "PageSize", "PageToken")
    ]
    pairs += [("PageSize", str(size)), ("Page", str(number))]
    if token:
        pairs.append(("PageToken", token))
    return f"{ask.link}?{urlencode(pairs)}"


def date_filter(query: Form, name: str) -> Callable[[datetime | None], bool]:
    """A test for `Name`, `Name<` and `Name>`: the day itself, up to it, from it on (inclusive)."""
    bounds: list[tuple[str, datetime, datetime]] = []
    for sign in ("", "<", ">"):
        text = query.text(name + sign)
        if text:
            low, whole = moment(text, name + sign)
            # Equality is by day: clients write the day as its midnight.
            whole = whole or (not sign and low.time() == time.min)
            high = low + timedelta(days=1) if whole else low + timedelta(seconds=1)
            bounds.append((sign, low, high))

    def passes(value: datetime | None) -> bool:
        if not bounds:
            return True
        if value is None:
            return False
        return all(
            (sign == ">" or value < high) and (sign == "<" or value >= low)
            for sign, low, high in bounds
        )

    return passes
