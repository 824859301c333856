"""Pages of failures: what fails, whose fault it is, what to do, and which texts and calls they are.

One group is one error code. Its page splits it by sender, rule, country and line type, and lists
every text and call that it counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import figures, spans
from ringback.console.api.answers import whole
from ringback.console.api.counts import FACET_PARAMETERS, FACETS
from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import Parameter
from ringback.console.identity import identity_of
from ringback.console.page import Page, console_of, draw
from ringback.console.plot import sparkline
from ringback.console.problems import refuse
from ringback.error_codes import FAULTS, explain_error
from ringback.store.queries import failure_groups, failure_profiles

PATH = "/console/failures"
ROWS = 50
_FROM = Parameter("from", "The first row that is shown.", "integer", default=0)
QUERY = (Parameter("code", "Only with this code.", "integer"), *FACET_PARAMETERS)


async def groups(request: Request) -> Response:
    """The failures of a span by code."""
    asked = spans.asked(request, QUERY)
    found = await _failed(request, asked, code=asked.values["code"])
    profiles = await figures.apart(
        failure_profiles.profiles, found.rows, asked.since, asked.until, found.samples
    )
    for group in profiles:
        group["link"] = asked.frozen(f"{PATH}/{group['code']}")
        counted = ", ".join(map(str, group["trend"]))
        group["spark"] = sparkline(group["trend"], f"Failures in 24 parts of the span: {counted}")
    known = found.rows if found.samples is None else found.samples
    people = {row["recipient"] for row in known}
    return draw(
        request, "failures.html",
        {
            "title": "Failures", "asked": asked, "groups": profiles,
            "count": failure_groups.counted(found.rows), "looked_back_to": found.looked_back_to,
            "people": len(people), "sampled": found.samples is not None,
            "json": asked.frozen("/api/v1/failures"),
        },
    )  # fmt: skip


async def group(request: Request) -> Response:
    """One code: what to do, how its failures split, and the texts and calls themselves."""
    key = request.path_params["code"]
    asked = spans.asked(request, (*FACET_PARAMETERS, _FROM))
    known = explain_error(key)
    found = await _failed(request, asked, code=key)
    reading = console_of(request).reading
    usual = await figures.usual(reading, asked.since) if found.rows else []
    splits = await figures.apart(_splits, asked, found, usual)
    if not found.rows and not key and not asked.written:
        raise refuse("missing")
    rows = found.rows if found.samples is None else found.samples
    start = asked.values["from"]
    return draw(
        request, "failure.html",
        {
            "title": f"Failures: {key} {known.title}" if key else "Failures without a code",
            "asked": asked, "key": key, "known": known if key else None,
            "fault": FAULTS.get(known.fault, ""), "count": failure_groups.counted(found.rows),
            "listed": len(rows) if found.samples is not None else 0,
            "looked_back_to": found.looked_back_to, "splits": splits, "sample": len(usual),
            "rows": shown_rows(request, rows[start : start + ROWS]), "start": start,
            "newer": turned(asked, start - ROWS) if start else "",
            "older": turned(asked, start + ROWS) if start + ROWS < len(rows) else "",
            "json": asked.frozen(f"/api/v1/failures/{key}"),
        },
    )  # fmt: skip


async def _failed(request: Request, asked: spans.Asked, **more: Any) -> figures.Counted:
    wanted = {name: asked.values[name] for name in FACETS} | more
    console, split = console_of(request), ("code", *FACETS)
    return await figures.failure_sums(
        console.reading, console.counting, asked.since, asked.until, wanted, split
    )


def _splits(
    asked: spans.Asked, found: figures.Counted, usual: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The facets that are not filters yet, each value with the address of its failures."""
    splits = []
    for way in failure_profiles.FACETS:
        if asked.written.get(way):
            continue
        values = failure_profiles.split(found.rows, usual, way)
        for each in values:
            each["link"] = asked.frozen("", {way: each["value"]}) if each["value"] else ""
        splits.append({"name": way.replace("_", " "), "values": values[:8], "all": len(values)})
    return splits


def shown_rows(request: Request, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the address of their trace, masked as the role says."""
    plain = [{**row, "conversation": f"{row['sender']}/{row['recipient']}"} for row in rows]
    if not whole(console_of(request), identity_of(request)):
        plain = masked(plain)
    for row, shown in zip(rows, plain, strict=True):
        name = row["sid"] or row.get("uid", "")
        shown["link"] = f"/console/t/{name}" if name else ""
    return plain


def turned(asked: spans.Asked, start: int) -> str:
    """The address of the same list from another row on."""
    return asked.frozen("", {"from": max(start, 0) or None})


PAGE = Page(
    PATH, "Failures",
    (Route(PATH, groups), Route(f"{PATH}/{{code:int}}", group)),
    nav="Failures", key="f",
)  # fmt: skip
