"""Page of what waits: runs, actions that were put off, and schedules, by when they are due."""

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console.api.answers import whole
from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import query_values
from ringback.console.identity import identity_of
from ringback.console.page import Page, console_of, draw
from ringback.rules.model import Schedule
from ringback.runtime import REAL, iso
from ringback.store.queries import shapes
from ringback.store.queries.waits import COUNTED

PATH = "/console/waiting"
ROWS = 100
_TIMES = 3


async def waiting(request: Request) -> Response:
    """What will go on by itself, or with the next event that it waits for."""
    query_values(request, ())
    console = console_of(request)
    found = await console.reading.ask(lambda asked: asked.waiting(ROWS))
    shown = {
        "runs": [shapes.run(row) for row in found.runs],
        "actions": [shapes.action(row) for row in found.actions],
    }
    if not whole(console, identity_of(request)):
        shown = masked(shown)
    return draw(
        request, "waiting.html",
        {
            "title": "Waiting", **shown, "now": iso(REAL.now()), "counted": COUNTED,
            "schedules": [_with_times(shapes.schedule(row)) for row in found.schedules],
            "counts": {
                "runs": found.run_count, "actions": found.action_count,
                "schedules": found.schedule_count,
            },
        },
    )  # fmt: skip


def _with_times(schedule: dict[str, Any]) -> dict[str, Any]:
    """A schedule with the next times at which it is due."""
    times = [schedule["due_at"]]
    cron, _, zone = schedule["schedule"].rpartition(" ")
    try:
        while len(times) < _TIMES:
            following = Schedule(cron, zone).after(datetime.fromisoformat(times[-1]))
            if following is None:
                break
            times.append(iso(following))
    except (ValueError, LookupError):  # of a file that an older program has read
        pass
    return {**schedule, "times": times}


PAGE = Page(PATH, "Waiting", (Route(PATH, waiting),), nav="Waiting", key="w")
