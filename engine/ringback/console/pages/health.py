"""Pages of health: each part of the node, its incidents, its log lines, and the doctor."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import incident_strip, operating
from ringback.console.api.parameters import query_values
from ringback.console.forms import form_of
from ringback.console.identity import identity_of, may
from ringback.console.node_lines import LINE_FILTERS, PROCESSES, lines_of
from ringback.console.node_parts import parts_of
from ringback.console.page import Console, Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.console.spans import address
from ringback.errors import RingbackError
from ringback.log_lines import LEVELS
from ringback.rules.timing.durations import parse_duration
from ringback.runtime import REAL, iso
from ringback.store.queries import shapes
from ringback.version import own_version

PATH = "/console/health"
ONE = "/console/health/incidents/{uid}"
LOGS = "/console/health/logs"
DOCTOR = "/console/health/doctor"
DAYS = 90
INCIDENTS, EVENTS, LINES = 200, 20, 200
_SECONDS = 1.5


async def health(request: Request) -> Response:
    """The parts of the node, and what was wrong in the last months."""
    query_values(request, ())
    console, now = console_of(request), REAL.now()
    since = iso(now - timedelta(days=DAYS))
    beat, (receiver, away), rows = await asyncio.gather(
        console.pulse.beat(), receiver_of(console),
        console.reading.ask(
            lambda asked: asked.incidents(open_only=False, since=since, limit=INCIDENTS)
        ),
    )  # fmt: skip
    parts = parts_of(
        receiver, away, beat.worker or {}, "" if beat.worker else beat.away or operating.AWAY,
        console.settings.data, own_version(), counted=_counted(console),
    )  # fmt: skip
    parts += console.outside.parts()
    incidents = as_seen(request, {"rows": [shapes.incident(row) for row in rows]})["rows"]
    return draw(
        request, "health.html",
        {
            "title": "Health", "parts": as_seen(request, {"a": list(map(_plain, parts))})["a"],
            "open": [each for each in incidents if each["state"] == "open"],
            "over": [each for each in incidents if each["state"] != "open"],
            "strip": incident_strip.drawn(incidents, now, DAYS), "days": DAYS,
            "cut": len(incidents) == INCIDENTS, "decides": may(identity_of(request), "operate"),
        },
    )  # fmt: skip


async def receiver_of(console: Console) -> tuple[Mapping[str, Any], str]:
    """What the receiver says of itself, or why it does not."""
    ask = console.surroundings.receiver
    if ask is None:
        return {}, "nobody can be asked from here"
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await ask({"op": "health"})
    except TimeoutError:
        return {}, f"it said nothing for {_SECONDS:g} s"
    except (RingbackError, OSError) as error:
        return {}, str(error).replace("the worker", "it")
    return ({}, str(answer["error"])) if "error" in answer else (answer, "")


async def incident(request: Request) -> Response:
    """One incident: its figures, who was told, its events, and what a person says to it."""
    uid = request.path_params["uid"]
    console = console_of(request)
    row, events = await console.reading.ask(
        lambda asked: (asked.incident(uid), asked.events(sid=uid, limit=EVENTS))
    )
    if row is None:
        raise refuse("missing", "There is no incident of this id.")
    worker = await operating.worker(console.surroundings)
    shown = as_seen(
        request, {"incident": shapes.incident(row), "events": [shapes.event(e) for e in events]}
    )
    return draw(
        request, "incident.html",
        {
            "title": f"Incident {row['kind']}", **shown, "away": worker.away,
            "path": ONE.format(uid=row["uid"]), "decides": may(identity_of(request), "operate"),
        },
    )  # fmt: skip


async def decide(request: Request) -> Response:
    """Seen, muted for a while, or a note; then the page of the incident."""
    form, uid = await form_of(request), request.path_params["uid"]
    does = form.get("do", "")
    wanted: dict[str, Any] = {}
    if does == "seen":
        wanted = {"ack": True}
    elif does == "mute":
        wanted = {"mute": _seconds(form.get("for", ""))}
    elif does == "note" and form.get("note", "").strip():
        wanted = {"note": form["note"].strip()[:500]}
    else:
        raise refuse("field", "Say `seen`, `mute` or a note.", fields=(("do", "says nothing"),))
    await operating.operate(
        console_of(request), identity_of(request), "console",
        {"op": "incident", "uid": uid, **wanted}, request=form.get("request", ""),
    )  # fmt: skip
    return RedirectResponse(PATH if form.get("back") == "health" else ONE.format(uid=uid), 303)


async def logs(request: Request) -> Response:
    """The last log lines of the node's processes."""
    require_operate(request)
    values = query_values(request, LINE_FILTERS)
    console = console_of(request)
    lines, silent = await lines_of(console.surroundings, {**values, "limit": LINES})
    given = {name: str(value) for name, value in values.items() if value}
    return draw(
        request, "logs.html",
        {
            "title": "Log lines", "lines": as_seen(request, {"a": lines})["a"], "silent": silent,
            "given": given, "values": values, "levels": LEVELS[1:4], "processes": PROCESSES,
            "most": LINES, "json": address("/api/v1/logs", given),
            "without": {
                name: address(LOGS, {k: v for k, v in given.items() if k != name})
                for name in given
            },
        },
    )  # fmt: skip


async def doctor(request: Request) -> Response:
    """The findings of `ringback doctor`, which is run for it."""
    require_operate(request)
    query_values(request, ())
    printed = await console_of(request).children.rows(["doctor"])
    return draw(
        request, "doctor.html",
        {
            "title": "Doctor", "findings": as_seen(request, {"a": printed.rows})["a"],
            "complaint": printed.said if not printed.rows else "", "at": iso(REAL.now()),
            "bad": sum(row.get("state") == "bad" for row in printed.rows),
            "warned": sum(row.get("state") == "warn" for row in printed.rows),
        },
    )  # fmt: skip


def _counted(console: Console) -> bool | None:
    """Whether the counts by the hour are made; None where nobody makes them."""
    return None if console.counting is None else console.counting.digest is not None


def _seconds(text: str) -> float:
    """For how long an incident is muted; 0 ends it. Raises a Refusal."""
    if text.strip() in ("", "0"):
        return 0
    try:
        return parse_duration(text.strip())
    except ValueError as error:
        raise refuse("field", f"for: {error}", fields=(("for", "is no span"),)) from None


def _plain(part: Any) -> dict[str, str]:
    names = ("name", "tone", "word", "says", "mend", "link")
    return {name: getattr(part, name) for name in names}


PAGE = Page(
    PATH, "Health",
    (
        Route(PATH, health, methods=["GET"]), Route(LOGS, logs, methods=["GET"]),
        Route(DOCTOR, doctor, methods=["GET"]), Route(ONE, incident, methods=["GET"]),
        Route(ONE, decide, methods=["POST"]),
    ),
    nav="Health", key="h", badge="incidents", takes={"incident": (), "doctor": ()},
)  # fmt: skip
