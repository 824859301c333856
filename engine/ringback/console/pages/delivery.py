"""Page of deliveries: how far our texts came, how long that took, and which texts they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import figures, spans
from ringback.console.api.counts import FACET_PARAMETERS, FACETS
from ringback.console.api.parameters import Parameter
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.failures import shown_rows, turned
from ringback.console.shares import share_of, told
from ringback.runtime import iso
from ringback.store.queries import delivery_groups
from ringback.store.queries.delivery_groups import STEPS

PATH = "/console/delivery"
ROWS = 50
BY = ("sender", "country", "line_type", "rule")
WORDS = {
    "texts": "planned", "out": "let out", "taken": "taken by Twilio", "delivered": "delivered",
    "read": "read", "held": "held back", "failed": "failed", "pending": "no word yet",
}  # fmt: skip
"""The steps of a text in words."""
_LIMITS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_NAMES = ("1 s", "2 s", "5 s", "10 s", "30 s", "1 min", "5 min")
QUERY = (
    Parameter("by", "What they have in common.", choices=BY, default="sender"), *FACET_PARAMETERS,
)  # fmt: skip
ROW_QUERY = (
    Parameter("step", "Only those that came so far.", choices=tuple(STEPS), default="texts"),
    Parameter("hour", "Only those of this hour."), Parameter("day", "Only those of this day."),
    Parameter("from", "The first row that is shown.", "integer", default=0), *FACET_PARAMETERS,
)  # fmt: skip


async def delivery(request: Request) -> Response:
    """The texts of a span by how far they came."""
    asked = spans.asked(request, QUERY)
    begin = iso(datetime.fromisoformat(asked.since) - _length(asked))
    grain = "hour" if _length(asked) <= timedelta(days=2) else "day"
    sums = await _sums(request, asked, begin)
    if sums is None:
        found = await _sent(request, asked, begin)
        rows = [row for row in found.rows if row["at"] >= asked.since]
        earlier = [row for row in found.rows if row["at"] < asked.since]
        sums = Sums(rows, rows, earlier, found.looked_back_to)
    values = await figures.apart(_view, asked, sums, begin, grain)
    return draw(request, "delivery.html", values)


@dataclass(frozen=True, slots=True)
class Sums:
    """The texts of a span, or sums of them: by the chosen facet, by time, and those before."""

    rows: list[Mapping[str, Any]]
    timed: list[Mapping[str, Any]]
    earlier: list[Mapping[str, Any]]
    looked_back_to: str = ""


async def _sums(request: Request, asked: spans.Asked, begin: str) -> Sums | None:
    """The sums of a span with many texts; None for one with few."""
    console = console_of(request)
    wanted = {name: asked.values[name] for name in FACETS}
    found = []
    for since, until, split, timed in (
        (asked.since, asked.until, (asked.values["by"],), False),
        (asked.since, asked.until, (), True),
        (begin, asked.since, (), False),
    ):
        sums = await figures.text_sums(
            console.reading, console.counting, since, until, wanted, split, timed=timed
        )
        if sums is None and until == asked.since and since != until:  # few, or none, before
            sums = await figures.sent(console.reading, since, until, wanted)
        if sums is None:
            return None
        found.append(sums.rows)
    rows, by_time, earlier = found
    return Sums(rows, by_time, earlier)


def _view(asked: spans.Asked, found: Sums, begin: str, grain: str) -> dict[str, Any]:
    rows, earlier, by = found.rows, found.earlier, asked.values["by"]
    total = next(iter(delivery_groups.counted_by(rows, [])), None)
    before = None if found.looked_back_to else _before(asked, total, earlier, begin)
    return {
        "title": "Delivery", "asked": asked, "total": total, "funnel": _funnel(asked, rows),
        "looked_back_to": found.looked_back_to if found.looked_back_to >= asked.since else "",
        "by": by, "words": by.replace("_", " "), "ways": _ways(asked),
        "share": _told(total) if total else "", "before": before,
        "groups": _grouped(asked, rows, by), "grain": grain,
        "times": _grouped(asked, found.timed, grain), "within": _histogram(rows),
        "json": asked.frozen("/api/v1/delivery", {"by": by}),
    }  # fmt: skip


async def texts(request: Request) -> Response:
    """The texts that a figure counts."""
    asked = spans.asked(request, ROW_QUERY)
    more = {name: asked.values[name] for name in ("hour", "day")}
    found = await _sent(request, asked, asked.since, **more)
    rows = [row for row in found.rows if STEPS[asked.values["step"]](row)]
    all_ = len(rows)
    if found.looked_back_to and not any(more.values()):
        console, wanted = console_of(request), {name: asked.values[name] for name in FACETS}
        sums = await figures.text_sums(
            console.reading, console.counting, asked.since, asked.until, wanted, ()
        )
        all_ = delivery_groups.counted(sums.rows, asked.values["step"]) if sums else all_
    start = asked.values["from"]
    return draw(
        request, "texts.html",
        {
            "title": f"Texts: {WORDS[asked.values['step']]}", "asked": asked,
            "count": all_, "listed": len(rows),
            "looked_back_to": found.looked_back_to, "start": start,
            "rows": shown_rows(request, rows[start : start + ROWS]),
            "newer": turned(asked, start - ROWS) if start else "",
            "older": turned(asked, start + ROWS) if start + ROWS < len(rows) else "",
        },
    )  # fmt: skip


async def _sent(request: Request, asked: spans.Asked, since: str, **more: Any) -> figures.Counted:
    wanted = {name: asked.values[name] for name in FACETS} | more
    return await figures.sent(console_of(request).reading, since, asked.until, wanted)


def _funnel(asked: spans.Asked, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many came to each step, with the address of those."""
    all_ = delivery_groups.counted(rows)
    return [
        {
            "words": words, "count": delivery_groups.counted(rows, step),
            "link": asked.frozen(f"{PATH}/texts", {"step": step}), "all": all_,
        }
        for step, words in WORDS.items()
    ]  # fmt: skip


def _grouped(
    asked: spans.Asked, rows: Sequence[Mapping[str, Any]], way: str
) -> list[dict[str, Any]]:
    found = delivery_groups.counted_by(rows, [way])
    for group in found:
        value = group[way]
        group["name"], group["told"] = value, _told(group)
        group["links"] = {
            step: asked.frozen(f"{PATH}/texts", {"step": step, way: value})
            for step in ("texts", "delivered", "failed", "pending", "held")
        } if value else {}  # fmt: skip
    return found


def _told(group: Mapping[str, Any]) -> str:
    ended = group["delivered"] + group["failed"]
    return told(share_of(group["delivered"], ended), ended)


def _before(
    asked: spans.Asked,
    total: Mapping[str, Any] | None,
    rows: Sequence[Mapping[str, Any]],
    begin: str,
) -> dict[str, Any] | None:
    """The span of the same length before this one; None where it cannot be compared."""
    if total is None or not rows:
        return None
    (before,) = delivery_groups.counted_by(rows, [])
    ended, ended_before = (each["delivered"] + each["failed"] for each in (total, before))
    now, then = share_of(total["delivered"], ended), share_of(before["delivered"], ended_before)
    fewer = min(ended, ended_before) >= 30 and now and then and now.high < then.low
    return {
        "texts": before["texts"], "told": _told(before), "dropped": bool(fewer),
        "link": spans.address(f"{PATH}/texts", {"since": begin, "until": asked.since}),
    }  # fmt: skip


def _length(asked: spans.Asked) -> timedelta:
    return datetime.fromisoformat(asked.until) - datetime.fromisoformat(asked.since)


def _histogram(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many texts were delivered within how long."""
    took = delivery_groups.times(rows)
    if not took:
        return []
    counts = [0] * (len(_LIMITS) + 1)
    for seconds, n in took:
        counts[sum(seconds > limit for limit in _LIMITS)] += n
    names = [f"up to {name}" for name in _NAMES] + [f"over {_NAMES[-1]}"]
    return [
        {"words": name, "count": count, "share": count / sum(counts)}
        for name, count in zip(names, counts, strict=True)
    ]


def _ways(asked: spans.Asked) -> list[spans.Choice]:
    return [
        spans.Choice(
            way.replace("_", " "), spans.address(PATH, {**asked.written, "by": way}),
            asked.values["by"] == way,
        )
        for way in BY
    ]  # fmt: skip


PAGE = Page(
    PATH, "Delivery", (Route(PATH, delivery), Route(f"{PATH}/texts", texts)),
    nav="Delivery", key="v",
)  # fmt: skip
