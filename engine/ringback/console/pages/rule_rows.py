"""Pages of what one rule did: its runs, those that failed, and the actions that the gate held."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console.api.parameters import Parameter, query_values
from ringback.console.page import console_of, draw
from ringback.console.seen import as_seen
from ringback.store.queries import filters
from ringback.store.queries.bounded_lists import Part
from ringback.store.queries.questions import Questions

ROWS = 50
WORDS = {"runs": "Runs", "failed": "Failed runs", "held": "Held by the gate"}
HELD = ("refused", "deferred")
QUERY = (
    Parameter("since", "From then on.", "time"),
    Parameter("before", "Where the part begins.", "integer", default=0),
)  # fmt: skip


async def rows(request: Request) -> Response:
    """The newest of them, in parts."""
    name, what = request.path_params["name"], request.url.path.rpartition("/")[2]
    values = query_values(request, QUERY)
    since, before = values["since"] or "", values["before"]
    part = await console_of(request).reading.ask(
        lambda asked: _part(asked, name, what, since, before)
    )
    path = f"/console/rules/{quote(name)}"
    query = {"since": since} if since else {}
    older = f"{path}/{what}?{urlencode({**query, 'before': part.before})}" if part.before else ""
    return draw(
        request, "rule_rows.html",
        {
            "title": f"{WORDS[what]} of {name}", "name": name, "words": WORDS[what], "path": path,
            "since": since, "older": older,
            "first": f"{path}/{what}?{urlencode(query)}" if before else "",
            "looked_back_to": part.looked_back_to,
            **as_seen(request, {"rows": [_row(each) for each in part.rows]}),
        },
    )  # fmt: skip


def _part(asked: Questions, rule: str, what: str, since: str, before: int) -> Part:
    if what != "held":
        state = "failed" if what == "failed" else ""
        return asked.runs_part(filters.Runs(rule=rule, state=state, since=since), ROWS, before)
    parts = [
        asked.actions_part(filters.Actions(rule=rule, state=state, since=since), ROWS, before)
        for state in HELD
    ]
    found = sorted((row for part in parts for row in part.rows), key=lambda row: -row["id"])
    more = len(found) > ROWS or any(part.before for part in parts)
    return Part(found[:ROWS], found[:ROWS][-1]["id"] if more and found else 0)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run or an action, as a line of the list."""
    return {
        "at": row.get("started_at") or row.get("planned_at"), "state": row["state"],
        "reason": row["reason"], "event": row["event_uid"],
    }  # fmt: skip


def link(name: str, what: str, since: str) -> str:
    """The address of such a list from a time on."""
    return f"/console/rules/{quote(name)}/{what}?{urlencode({'since': since})}"


def silent(name: str, since: str) -> str:
    """The address of the events since then that a rule looked at and did not fire on."""
    return "/console/?" + urlencode({"rule": name, "verdict": "silent", "since": since})


ROUTES = tuple(Route(f"/console/rules/{{name:path}}/{what}", rows) for what in WORDS)
