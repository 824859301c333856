"""Page of deliveries: how far our texts came, how long that took, and which texts they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import figures, spans
from ringback.console.api.counts import FACET_PARAMETERS, FACETS
from ringback.console.api.parameters import Parameter
from ringback.console.counting import HOUR
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.failures import shown_rows, turned
from ringback.console.problems import refuse
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

FIRST = datetime.min.replace(tzinfo=UTC)
"""No span begins before it."""


async def delivery(request: Request) -> Response:
    """The texts of a span by how far they came."""
    asked = spans.asked(request, QUERY)
    begin = _begin_before(asked)
    grain = "hour" if _length(asked) <= timedelta(days=2) else "day"
    sums = await _sums(request, asked)
    if sums is None:
        found = await _sent(request, asked, asked.since, asked.until)
        sums = Sums(found.rows, found.rows, found.looked_back_to)
    earlier = await _earlier(request, asked, begin)
    values = await figures.apart(_view, asked, sums, earlier, begin, grain)
    return draw(request, "delivery.html", values)


@dataclass(frozen=True, slots=True)
class Sums:
    """The texts of a span, or sums of them: by the chosen facet, and by time."""

    rows: list[Mapping[str, Any]]
    timed: list[Mapping[str, Any]]
    looked_back_to: str = ""


async def _sums(request: Request, asked: spans.Asked) -> Sums | None:
    """The sums of a span with many texts; None for one with few."""
    console, wanted = console_of(request), _facets(asked)
    found = []
    for split, grain in (((asked.values["by"],), ""), ((), "day")):
        sums = await figures.text_sums(
            console.reading, console.counting, asked.since, asked.until, wanted, split, grain=grain
        )
        if sums is None:
            return None
        found.append(sums.rows)
    return Sums(found[0], found[1])


async def _earlier(request: Request, asked: spans.Asked, begin: str) -> figures.Counted:
    """The texts of the span before, summed where the digest is there."""
    console, wanted = console_of(request), _facets(asked)
    sums = await figures.text_sums(
        console.reading, console.counting, begin, asked.since, wanted, (), always=True
    )
    return sums or await _sent(request, asked, begin, asked.since)


def _view(
    asked: spans.Asked, found: Sums, earlier: figures.Counted, begin: str, grain: str
) -> dict[str, Any]:
    rows, by = found.rows, asked.values["by"]
    total = next(iter(delivery_groups.counted_by(rows, [])), None)
    cut = found.looked_back_to or earlier.looked_back_to
    before = None if cut else _before(asked, total, earlier.rows, begin)
    return {
        "title": "Delivery", "asked": asked, "total": total, "funnel": _funnel(asked, rows),
        "looked_back_to": found.looked_back_to,
        "by": by, "words": by.replace("_", " "), "ways": _ways(asked),
        "share": _told(total) if total else "", "before": before,
        "groups": _grouped(asked, rows, by), "grain": grain,
        "times": _grouped(asked, found.timed, grain), "within": _histogram(rows),
        "json": asked.frozen("/api/v1/delivery", {"by": by}),
    }  # fmt: skip


async def texts(request: Request) -> Response:
    """The texts that a figure counts."""
    asked = spans.asked(request, ROW_QUERY)
    step, start, console = asked.values["step"], asked.values["from"], console_of(request)
    since, until = _narrowed(asked)
    sums = await figures.text_sums(
        console.reading, console.counting, since, until, _facets(asked), ()
    )
    enough = 0 if sums is None else start + ROWS + 1
    found = await _sent(request, asked, since, until, step, enough)
    count = len(found.rows) if sums is None else delivery_groups.counted(sums.rows, step)
    return draw(
        request, "texts.html",
        {
            "title": f"Texts: {WORDS[step]}", "asked": asked,
            "count": count, "listed": len(found.rows),
            "looked_back_to": found.looked_back_to, "start": start,
            "rows": shown_rows(request, found.rows[start : start + ROWS]),
            "newer": turned(asked, start - ROWS) if start else "",
            "older": turned(asked, start + ROWS) if start + ROWS < len(found.rows) else "",
        },
    )  # fmt: skip


def _facets(asked: spans.Asked) -> dict[str, Any]:
    return {name: asked.values[name] for name in FACETS}


def _narrowed(asked: spans.Asked) -> tuple[str, str]:
    """The span of a list, which may be of one hour or one day alone. Raises a Refusal."""
    since, until = asked.since, asked.until
    for name, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        text = asked.values[name]
        if text:
            try:
                begin = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
                last = iso(begin + length)
            except (ValueError, OverflowError) as error:
                why = f"{name} is one as 2026-03-04{'T17:00Z' if name == 'hour' else ''}."
                raise refuse("field", why, fields=((name, "is no time"),)) from error
            since, until = max(since, iso(begin)), min(until, last)
    return since, until


async def _sent(
    request: Request, asked: spans.Asked, since: str, until: str, step: str = "texts",
    enough: int = 0,
) -> figures.Counted:  # fmt: skip
    reading = console_of(request).reading
    return await figures.sent(reading, since, until, _facets(asked), step, enough)


def _funnel(asked: spans.Asked, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many came to each step, with the address of those."""
    count = delivery_groups.steps(rows)
    return [
        {
            "words": words, "count": count[step],
            "link": asked.frozen(f"{PATH}/texts", {"step": step}), "all": count["texts"],
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


def _begin_before(asked: spans.Asked) -> str:
    """When the span of the same length before this one begins; where this one begins at a whole
    hour, in whole hours, which are what is counted and kept."""
    since, length = datetime.fromisoformat(asked.since), _length(asked)
    if asked.since[14:] == "00:00.000Z" and length > HOUR:
        length = length // HOUR * HOUR
    return iso(since - min(length, since - FIRST))


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
