"""Live: what comes in, one row for each event, the newest first."""

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import plot
from ringback.console.api.parameters import read
from ringback.console.page import Page, console_of, draw
from ringback.console.problems import refuse
from ringback.console.seen import rows_seen
from ringback.console.spans import SINCE, address
from ringback.events import EVENT_TYPES, TRUST
from ringback.runtime import REAL
from ringback.store.queries import filters
from ringback.store.queries.questions import Questions

ROWS = 50
FIRST = 20
"""So many rows has the feed when it is opened, which are more than a screen shows: each makes the
first paint later, and it grows by itself."""
MINUTES = 60
MOST_AGAIN = 40
VERDICTS = ("fired", "silent")
SOURCES = ("webhook", "repair", "replay", "internal")
NAMES = ("type", "rule", "verdict", "error", "trust", "source", "own", "since")


async def live(request: Request) -> Response:
    """The page."""
    chosen = {name: request.query_params.get(name, "").strip() for name in NAMES}
    before = request.query_params.get("before", "")
    if before and not (before.isdecimal() and len(before) < 16):
        raise refuse("cursor", "This is no place in the list.")
    found = await console_of(request).reading.ask(lambda asked: _ask(asked, chosen, before))
    return draw(request, "live.html", _values(request, chosen, before, found))


async def again(request: Request) -> Response:
    """Rows that were open, as they are now."""
    uids = request.query_params.get("ids", "").split(",")[:MOST_AGAIN]

    def ask(asked: Questions) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
        events = [found for uid in uids if (found := asked.event(uid)) is not None]
        return events, asked.came_of(uids)

    events, came = await console_of(request).reading.ask(ask)
    rows = rows_seen(request, events, came)
    return draw(request, "rows.html", {"rows": rows, "days": False})


def _ask(asked: Questions, chosen: dict[str, str], before: str) -> dict[str, Any]:
    rows = ROWS if before or any(chosen.values()) else FIRST
    part = asked.events_part(_wanted(chosen), rows, int(before or 0))
    return {
        "part": part,
        "came": asked.came_of([row["uid"] for row in part.rows]),
        "minutes": asked.by_minute(REAL.now(), MINUTES),
        "last": asked.last_event_id(),
    }


def _wanted(chosen: dict[str, str]) -> filters.Events:
    code = chosen["error"]
    if code and code != "any" and not (code.isdecimal() and len(code) <= 6):
        raise refuse("field", "An error is a number of five digits, or `any`.")
    for name, known in (("trust", TRUST), ("source", SOURCES), ("own", ("no",))):
        if chosen[name] and chosen[name] not in known:
            raise refuse("field", f"{name} is one of {', '.join(known)}.")
    since = str(read(SINCE, chosen["since"])) if chosen["since"] else ""
    return filters.Events(
        since=since, type=chosen["type"], rule=chosen["rule"], verdict=chosen["verdict"],
        error=code == "any", code=int(code) if code.isdecimal() else 0, trust=chosen["trust"],
        source=chosen["source"], own=False if chosen["own"] == "no" else None,
    )  # fmt: skip


def _values(
    request: Request, chosen: dict[str, str], before: str, found: dict[str, Any]
) -> dict[str, Any]:
    part, came, minutes = found["part"], found["came"], found["minutes"]
    given = {name: value for name, value in chosen.items() if value}
    total = sum(minutes)
    return {
        "title": "Live",
        "rows": rows_seen(request, part.rows, came),
        "chosen": chosen, "given": given, "types": EVENT_TYPES, "trusts": TRUST,
        "sources": SOURCES, "verdicts": VERDICTS,
        "without": {
            name: "/console/?" + urlencode({k: v for k, v in given.items() if k != name})
            for name in given
        },
        "query": urlencode(given), "json": address("/api/v1/events", _for_api(given)),
        "command": _command(given), "before": before, "last": found["last"],
        "older": part.before, "looked_back_to": part.looked_back_to,
        "spark": plot.sparkline(minutes, f"{total} events in the last hour, minute by minute"),
        "rate": minutes[-2] / 60 if len(minutes) > 1 else 0.0, "hour": total,
    }  # fmt: skip


def _for_api(given: Mapping[str, str]) -> dict[str, str]:
    """The same filters as the JSON API has them."""
    words = {("own", "no"): "false", ("error", "any"): "0"}
    return {name: words.get((name, value), value) for name, value in given.items()}


def _command(given: Mapping[str, str]) -> str:
    """The command that prints the same rows."""
    words = ["ringback", "events", "list"]
    for name, value in given.items():
        if name == "error":
            words += ["--errors"] if value == "any" else ["--code", value]
        elif name != "own":  # the command has no such option
            words += [f"--{name}", value]
    return shlex.join(words)


PAGE = Page(
    "/console/", "Live",
    (Route("/console/", live, methods=["GET"]), Route("/console/rows", again, methods=["GET"])),
    nav="Live", key="l", takes={"live": (*NAMES, "before"), "again": ("ids",)},
)  # fmt: skip
