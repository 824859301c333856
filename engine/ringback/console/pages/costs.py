"""Page of costs: what left and what it cost, what is left of budgets, and what makes texts dear."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import figures, spans
from ringback.console.api.parameters import Parameter, query_values
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.failures import shown_rows, turned
from ringback.runtime import REAL, iso
from ringback.store.queries import spend_sums

PATH = "/console/costs"
ROWS = 50
TODAY = "today"
WORDS = {"texts": "texts", "calls": "calls", "notices": "notices", "unpriced": "without a price"}
_BY = Parameter("by", "By rule or by sender.", choices=tuple(spend_sums.WAYS), default="rule")
_KIND = Parameter("kind", "Only these.", choices=tuple(WORDS), default="texts")
QUERY = (_BY, spans.SINCE, spans.UNTIL)
ROW_QUERY = (
    _KIND, Parameter("rule", "Only of this rule."), Parameter("sender", "Only from this sender."),
    Parameter("letters", "Only texts that are dear for these letters."),
    Parameter("from", "The first row that is shown.", "integer", default=0),
)  # fmt: skip


async def costs(request: Request) -> Response:
    """What left today, or in another span."""
    console = console_of(request)
    values = query_values(request, QUERY)
    written = {name: text for name, text in request.query_params.items() if text}
    since, by = (values["since"] if "since" in written else ""), values["by"]
    since = since and spans.whole(written["since"], since)
    begin = since or iso(spend_sums.midnight(REAL.now(), console.settings.quiet_zone))
    asked = spans.Asked(PATH, written, values, begin, values["until"] or iso(REAL.now()))
    found = await figures.left(
        console.reading, console.counting, console.settings, since, by, asked.until
    )
    lines = figures.summed(console.settings, found, by, today=not since)
    for line in lines:
        named = {} if line[by] == spend_sums.ALL else {by: line[by]}
        line["name"] = line[by]
        line["links"] = {
            kind: asked.frozen(f"{PATH}/sent", {"kind": kind, **named}) for kind in WORDS
        }
    surprises = spend_sums.surprises(found.rows)
    for each in surprises:
        each["link"] = asked.frozen(f"{PATH}/sent", {"letters": each["letters"]})
    return draw(
        request, "costs.html",
        {
            "title": "Costs", "asked": asked, "lines": lines, "by": by, "today": not since,
            "since": begin, "surprises": surprises, "choices": _choices(written, since),
            "ways": [
                spans.Choice(way, spans.address(PATH, {**written, "by": way}), way == by)
                for way in spend_sums.WAYS
            ],
            "priced": console.settings.segment_price, "empty": not found.rows,
            "looked_back_to": found.looked_back_to, "whole": found.tallies is not None,
            "json": spans.address(
                "/api/v1/costs", {"by": by, **({"since": since} if since else {})}
            ),
        },
    )  # fmt: skip


async def sent(request: Request) -> Response:
    """What a figure counts."""
    asked = spans.asked(request, ROW_QUERY)
    console = console_of(request)
    start = asked.values["from"]
    kind, words = asked.values["kind"], WORDS[asked.values["kind"]]
    found = await figures.leaving(
        console.reading, console.counting, (asked.since, asked.until),
        "" if asked.values["letters"] else kind,
        {way: asked.values[way] for way in spend_sums.WAYS},
        lambda row: _fits(row, asked.values), start + ROWS + 1,
    )  # fmt: skip
    rows, count = found.found.rows, found.count
    return draw(
        request, "sent.html",
        {
            "title": f"What left: {words}", "asked": asked, "start": start,
            "count": len(rows) if count is None else count, "listed": len(rows),
            "rows": _shown(request, rows[start : start + ROWS]),
            "looked_back_to": found.found.looked_back_to, "most": found.most,
            "newer": turned(asked, start - ROWS) if start else "",
            "older": turned(asked, start + ROWS) if start + ROWS < len(rows) else "",
        },
    )  # fmt: skip


def _fits(row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    kind = values["kind"]
    if kind == "unpriced":
        good = bool(row["effect"]) and row["price"] is None and not row["again"]
    elif kind == "notices":
        good = not row["effect"] and row["kind"] in ("notify", "http")
    else:
        good = row["effect"] == {"texts": "message", "calls": "call"}[kind]
    for way, of in spend_sums.WAYS.items():
        good = good and values[way] in (None, of(row))
    letters = values["letters"]
    return good and (not letters or spend_sums.dear_letters(row) == letters)


def _shown(request: Request, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    plain = [
        {
            "uid": row["uid"], "sid": "", "at": row["at"], "rule": row["rule"],
            "kind": row["kind"].replace("_", " "), "sender": spend_sums.WAYS["sender"](row),
            "recipient": str(row["params"].get("to") or row["params"].get("via") or ""),
            "segments": row["segments"], "price": row["price"], "unit": row["price_unit"],
        }
        for row in rows
    ]  # fmt: skip
    return shown_rows(request, plain)


def _choices(written: Mapping[str, str], since: str) -> list[spans.Choice]:
    kept = {name: text for name, text in written.items() if name not in ("since", "until")}
    found = [spans.Choice("today", spans.address(PATH, kept), not since)]
    return found + [
        spans.Choice(
            words, spans.address(PATH, kept | {"since": text}), written.get("since") == text
        )
        for text, words in spans.CHOICES[1:]
    ]


PAGE = Page(
    PATH, "Costs", (Route(PATH, costs), Route(f"{PATH}/sent", sent)), nav="Costs", key="$",
)  # fmt: skip
