"""Pages of failures: what fails, whose fault it is, what to do, and which texts and calls they are.

One group is one error code. Its page splits it by sender, rule, country and line type, and lists
every text and call that it counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import figures, operating, spans, sums
from ringback.console.api.answers import whole
from ringback.console.api.counts import FACET_PARAMETERS, FACETS
from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import Parameter
from ringback.console.forms import form_of, until_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.plot import sparkline
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.console.times import between
from ringback.error_codes import FAULTS, explain_error
from ringback.store.operations.problems import BACK, STATES
from ringback.store.queries import failure_groups, failure_profiles

PATH = "/console/failures"
ROWS = 50
TONES = {"open": "bad", "seen": "way", "resolved": "good", "muted": "held", BACK: "person"}
"""Of each state of a group the tone that it is shown in."""
_FROM = Parameter("from", "The first row that is shown.", "integer", default=0)
QUERY = (
    Parameter("code", "Only with this code.", "integer"),
    Parameter("state", "Only those that stand so.", choices=(*STATES, BACK)), *FACET_PARAMETERS,
)  # fmt: skip


async def groups(request: Request) -> Response:
    """The failures of a span by code."""
    asked = spans.asked(request, QUERY)
    found = await _failed(request, asked, (), code=asked.values["code"])
    profiles = await figures.apart(
        failure_profiles.profiles, found.rows, asked.since, asked.until, found.samples
    )
    profiles = await figures.with_problems(console_of(request).reading, profiles)
    state = asked.values["state"]
    if state:
        profiles = [each for each in profiles if _state(each) == state]
    for group in profiles:
        group["state"], group["tone"] = _state(group), TONES[_state(group)]
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


def _state(group: Mapping[str, Any]) -> str:
    return str(group["problem"]["state"]) if group["problem"] else "open"


async def say(request: Request) -> Response:
    """Say how a group stands; then its page."""
    form, key = await form_of(request), request.path_params["code"]
    await figures.require_group(console_of(request).reading, console_of(request).counting, key)
    operation: dict[str, Any] = {
        "op": "problem", "key": str(key), "state": form.get("state", ""),
        "until": until_of(form.get("until", ""), form.get("request", "")),
        "note": form.get("note", "").strip(),
    }  # fmt: skip
    above = form.get("above", "").strip()
    if above:
        if not (above.isascii() and above.isdecimal() and len(above) < 10):
            raise refuse("field", "above is a number.", fields=(("above", "is no number"),))
        operation["above"] = int(above)
    await operating.operate(
        console_of(request), identity_of(request), "console", operation,
        request=form.get("request", ""),
        expect={"state": form["was"]} if form.get("was") else None,
    )  # fmt: skip
    console_of(request).pulse.look_again()
    return RedirectResponse(f"{PATH}/{key}", 303)


async def group(request: Request) -> Response:
    """One code: what to do, how its failures split, and the texts and calls themselves."""
    key = request.path_params["code"]
    asked = spans.asked(request, (*FACET_PARAMETERS, _FROM))
    known = explain_error(key)
    start = asked.values["from"]
    narrow = any(asked.values[name] for name in FACETS)  # of the newest those that fit are listed
    most = max(start + ROWS + 1, sums.FEW["failures"] if narrow else 0)
    found = await _failed(request, asked, FACETS, min(most, figures.READ), code=key)
    reading, counting = console_of(request).reading, console_of(request).counting
    usual, all_ = await figures.usual(reading, counting, asked.since, asked.until)
    (known_group,) = failure_groups.grouped(found.rows, ["code"], found.samples) or [
        {"code": key, "last_at": ""}
    ]
    (stands,) = await figures.with_problems(reading, [known_group])
    if not found.rows:
        await figures.require_group(reading, counting, key)
    back_after = None
    if _state(stands) == BACK:
        since = stands["problem"]["at"]
        first = await reading.ask(lambda asked: asked.first_failure(key, since))
        back_after = between(since, first or stands["last_at"])
    worker = await operating.worker(console_of(request).surroundings)
    splits = await figures.apart(_splits, asked, found, usual)
    rows = found.rows if found.samples is None else found.samples
    return draw(
        request, "failure.html",
        {
            "title": f"Failures: {key} {known.title}" if key else "Failures without a code",
            "asked": asked, "key": key, "known": known if key else None,
            "fault": FAULTS.get(known.fault, ""), "count": failure_groups.counted(found.rows),
            "listed": len(rows) if found.samples is not None and narrow else 0,
            "looked_back_to": found.looked_back_to, "splits": splits,
            "sample": failure_groups.counted(usual), "of_all": all_,
            "stands": _state(stands), "problem": _seen(request, stands["problem"]),
            "tone": TONES[_state(stands)], "back_after": back_after, "states": STATES,
            "away": worker.away,
            "decides": may(identity_of(request), "operate"), "path": f"{PATH}/{key}/state",
            "rows": shown_rows(request, rows[start : start + ROWS]), "start": start,
            "newer": turned(asked, start - ROWS) if start else "",
            "older": turned(asked, start + ROWS) if start + ROWS < len(rows) else "",
            "json": asked.frozen(f"/api/v1/failures/{key}"),
        },
    )  # fmt: skip


def _seen(request: Request, problem: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return as_seen(request, problem) if problem else None


async def _failed(
    request: Request,
    asked: spans.Asked,
    split: Sequence[str],
    samples: int = figures.SAMPLES,
    **more: Any,
) -> figures.Counted:
    wanted = {name: asked.values[name] for name in FACETS} | more
    console = console_of(request)
    return await figures.failure_sums(
        console.reading,
        console.counting,
        asked.since,
        asked.until,
        wanted,
        ("code", *split),
        samples=samples,
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
    (
        Route(PATH, groups), Route(f"{PATH}/{{code:int}}", group),
        Route(f"{PATH}/{{code:int}}/state", say, methods=["POST"]),
    ),
    nav="Failures", key="f", badge="failures",
)  # fmt: skip
