"""Search: whatever is pasted, to where it belongs.

It is posted and answered with a redirect, so that no number stands in an address or a log.
"""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console.api.events import LAST
from ringback.console.forms import form_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.conversation_deeds import PATH as CONVERSATIONS
from ringback.console.problems import refuse
from ringback.console.seen import as_seen, rows_seen
from ringback.error_codes import explain_error
from ringback.rules.language.phones import home, plain
from ringback.store.queries import filters
from ringback.store.queries.questions import Questions

PATH = "/console/find"
MOST = 50
IDS = ("evt_", "run_", "act_", "att_")


async def find(request: Request) -> Response:
    """Lead to the one hit, or list several."""
    wanted = (await form_of(request)).get("what", "").strip()[:200]
    if not wanted:
        return RedirectResponse("/console/", 303)
    if wanted.isdecimal() and len(wanted) == 5:
        return RedirectResponse(f"/console/?error={wanted}", 303)
    settings = console_of(request).settings
    if wanted.startswith("con_"):
        pair = await console_of(request).conversations.named(wanted)
        return RedirectResponse(f"{CONVERSATIONS}/{pair.uid}", 303)
    if wanted.isascii() and wanted.isdecimal() and len(wanted) == LAST:
        return await _ending(request, wanted)
    number = plain(wanted, home(settings.sender)) if wanted[:1] in "+(0123456789" else ""
    found = await console_of(request).reading.ask(lambda asked: _ask(asked, wanted, number))
    if found["one"]:
        return RedirectResponse(f"/console/t/{found['one']}", 303)
    if found["rule"]:
        return RedirectResponse(f"/console/?rule={quote(wanted)}", 303)
    digits = "".join(letter for letter in number if letter.isdecimal())
    chats = await console_of(request).conversations.ending(digits, MOST) if digits else []
    rows = rows_seen(request, found["rows"], found["came"])
    code = explain_error(int(wanted)) if wanted.isdecimal() and len(wanted) < 7 else None
    values = {"title": "Search", "rows": rows, "wanted": wanted, "code": code}
    return draw(
        request,
        "found.html",
        {**values, "is_number": bool(number), **as_seen(request, {"chats": chats})},
    )


async def _ending(request: Request, digits: str) -> Response:
    """The conversations with a number that ends so, for those who may see whole numbers."""
    if not may(identity_of(request), "operate"):
        raise refuse("role", "Ends of numbers are looked up by the role `operate`.")
    rows = await console_of(request).conversations.ending(digits, MOST)
    if len(rows) == 1:
        return RedirectResponse(f"{CONVERSATIONS}/{rows[0]['uid']}", 303)
    seen = as_seen(request, {"rows": rows})
    return draw(request, "ending.html", {"title": "Search", "digits": digits, **seen})


def _ask(asked: Questions, wanted: str, number: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"one": "", "rule": False, "rows": [], "came": {}}
    if wanted[:4] in IDS or (len(wanted) == 34 and wanted[:2].isalpha()):
        uids = asked.find(wanted, 1)
        return {**nothing, "one": uids[-1] if uids else ""}
    if number:
        rows = asked.events_part(filters.Events(number=number), MOST).rows
        one = rows[0]["uid"] if len(rows) == 1 else ""
        return {
            **nothing,
            "one": one,
            "rows": rows,
            "came": asked.came_of([r["uid"] for r in rows]),
        }
    rows = asked.events_part(filters.Events(rule=wanted), 1).rows
    return {**nothing, "rule": bool(rows)}


async def show(_: Request) -> Response:
    """The page is reached by its form alone."""
    return RedirectResponse("/console/", 303)


PAGE = Page(
    PATH, "Search",
    (Route(PATH, find, methods=["POST"]), Route(PATH, show, methods=["GET"])),
    takes={"show": ()},
)  # fmt: skip
