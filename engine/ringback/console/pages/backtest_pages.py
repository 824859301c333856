"""Pages of backtests: begin one, see how far it is, and what would have been otherwise."""

import json
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console.forms import form_of
from ringback.console.identity import identity_of
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import refuse
from ringback.console.seen import as_seen

PATH = "/console/backtests"
ONE = "/console/backtests/{uid}"


async def backtests(request: Request) -> Response:
    """The form, with the rule that the address names, and the last ones."""
    require_operate(request)
    console, name = console_of(request), request.query_params.get("rule", "")[:200]
    row = await console.reading.ask(lambda asked: asked.rules_in_use().get(name)) if name else None
    if name and row is None:
        raise refuse("missing", f"No rule {name[:40]} is in use.")
    text = ""
    if row is not None and "do" in row["says"]:
        says = {"name": name, **row["says"]}
        text = json.dumps({"version": 1, "rules": [says]}, indent=2, ensure_ascii=False)
    return draw(
        request, "backtests.html",
        {
            "title": "Backtests", "kept": console.backtests.all(), "text": text, "path": PATH,
            "name": name,
        },
    )  # fmt: skip


async def begin(request: Request) -> Response:
    """Begin one; then its page."""
    require_operate(request)
    form, who = await form_of(request), identity_of(request)
    found = console_of(request).backtests.begin(
        who, form.get("since", "").strip(), form.get("text", "")
    )
    return RedirectResponse(f"{PATH}/{quote(found.uid)}", 303)


async def backtest(request: Request) -> Response:
    """How far one is, or what came of it."""
    require_operate(request)
    found = console_of(request).backtests.one(request.path_params["uid"])
    values: dict[str, Any] = {**as_seen(request, found.shown())}
    return draw(
        request, "backtest.html",
        {"title": "Backtest", "it": values, "path": f"{PATH}/{found.uid}/stop"},
    )  # fmt: skip


async def stop(request: Request) -> Response:
    """Stop one."""
    require_operate(request)
    found = await console_of(request).backtests.stop(
        request.path_params["uid"], identity_of(request)
    )
    return RedirectResponse(f"{PATH}/{quote(found.uid)}", 303)


PAGE = Page(
    PATH, "Backtests",
    (
        Route(PATH, backtests, methods=["GET"]), Route(PATH, begin, methods=["POST"]),
        Route(ONE, backtest, methods=["GET"]), Route(ONE + "/stop", stop, methods=["POST"]),
    ),
    takes={"backtests": ("rule",), "backtest": ()},
)  # fmt: skip
