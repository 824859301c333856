"""Page of decisions: everything that waits for a person, the oldest first."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import operating
from ringback.console.forms import form_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import DECIDE, done, shown
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.store.queries.questions import Questions

ROWS = 50
CLAIMS = 20
RELEASE = "/console/rules/{rule:path}/release"


async def decide(request: Request) -> Response:
    """Drafts, sends of which nobody knows, rules in quarantine, doubles, claims."""
    after = request.query_params.get("after", "")
    if after and not (after.startswith("act_") and after[4:].isalnum() and len(after) < 40):
        raise refuse("cursor", "This is no place in the list.", fields=(("after", "is no action"),))
    console = console_of(request)
    found = await console.reading.ask(lambda asked: _waiting(asked, after))
    worker = await operating.worker(console.surroundings)
    return draw(
        request, "decide.html",
        {
            "title": "Decide", **as_seen(request, found), "away": worker.away, "after": after,
            "decides": may(identity_of(request), "operate"), "done": await done(request),
        },
    )  # fmt: skip


def _waiting(asked: Questions, after: str) -> Mapping[str, Any]:
    rows = asked.undecided(ROWS + 1, after)
    return {
        "items": [shown(row) for row in rows[:ROWS]],
        "next": rows[ROWS - 1]["uid"] if len(rows) > ROWS else "",
        "count": asked.undecided_count(),
        "quarantined": asked.in_quarantine(),
        "doubles": asked.made_twice(),
        "claims": asked.claimed(CLAIMS),
    }


async def release(request: Request) -> Response:
    """End the quarantine of a rule."""
    form = await form_of(request)
    answer = await operating.operate(
        console_of(request), identity_of(request), "console",
        {"op": "release", "rule": request.path_params["rule"]}, request=form.get("request", ""),
    )  # fmt: skip
    return RedirectResponse(f"{DECIDE}?did={answer.get('doing', '')}", 303)


PAGE = Page(
    DECIDE, "Decide",
    (Route(DECIDE, decide), Route(RELEASE, release, methods=["POST"])),
    nav="Decide", key="d", badge="decide", takes={"decide": ("after", "did")},
)  # fmt: skip
