"""Page of the audit trail: what people did, what was refused to them, and what they looked at."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console.api.node import DOING_FILTERS
from ringback.console.api.parameters import Parameter, query_values
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, access_of, console_of, draw
from ringback.console.pages.settings import PATH as SETTINGS
from ringback.console.pages.settings import tabs
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.console.spans import address
from ringback.store.queries import shapes

PATH, LOOKS = f"{SETTINGS}/audit", f"{SETTINGS}/audit/looks"
ROWS = 50
_BEFORE = Parameter("before", "Rows before that one.", "integer", most=1 << 53)
SUBJECTS = {
    "act": "/console/t/{}", "run": "/console/t/{}", "evt": "/console/t/{}",
    "inc": "/console/health/incidents/{}", "blk": "/console/bulks/{}",
}  # fmt: skip


async def doings(request: Request) -> Response:
    """What people did, the latest first."""
    values = query_values(request, (*DOING_FILTERS, _BEFORE))
    wanted = {each.name: values[each.name] for each in DOING_FILTERS if values[each.name]}
    before = values["before"] or 0
    found = await console_of(request).reading.ask(
        lambda asked: asked.doings(**wanted, before=before, limit=ROWS + 1)
    )
    rows = [
        {**shapes.doing(row), "link": SUBJECTS.get(row["subject"][:3], "").format(row["subject"])}
        for row in found[:ROWS]
    ]
    given = {name: text for name, text in request.query_params.items() if text and name != "before"}
    return draw(
        request, "audit.html",
        {
            "title": "Audit", "tabs": tabs(request), "rows": as_seen(request, {"a": rows})["a"],
            "given": given, "values": values, "json": address("/api/v1/doings", given),
            "outcomes": DOING_FILTERS[3].choices, "before": before,
            "older": address(PATH, {**given, "before": str(found[ROWS - 1]["id"])})
            if len(found) > ROWS else "",
            "without": {
                name: address(PATH, {k: v for k, v in given.items() if k != name})
                for name in given
            },
        },
    )  # fmt: skip


async def looks(request: Request) -> Response:
    """Sign-ins, good and bad, looks at whole numbers, exports, changes of who may come in."""
    if not may(identity_of(request), "admin"):
        raise refuse("role", "Who looked at what is shown to the role `admin`.")
    before = query_values(request, (_BEFORE,))["before"] or 0
    found: list[dict[str, Any]] = access_of(request).access.looks(ROWS + 1, before=before)
    rows = [{**row, "who": row["who"] or "nobody"} for row in found[:ROWS]]
    older = address(LOOKS, {"before": str(found[ROWS - 1]["id"])}) if len(found) > ROWS else ""
    return draw(
        request, "looks.html",
        {"title": "Looks", "tabs": tabs(request), "rows": rows, "older": older, "before": before},
    )  # fmt: skip


PAGE = Page(
    PATH, "Audit",
    (Route(PATH, doings, methods=["GET"]), Route(LOOKS, looks, methods=["GET"])),
)  # fmt: skip
