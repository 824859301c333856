"""Page that tries rules: choose or type an event, see what each rule says to it, line by line."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import trials
from ringback.console.forms import form_of
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import Refusal, refuse
from ringback.console.seen import as_seen
from ringback.console.story import why_not

PATH = "/console/try"
LONGEST = 200


async def form(request: Request) -> Response:
    """The form, with the event or the rule that the address names."""
    require_operate(request)
    query = request.query_params
    unknown = set(query) - {"event", "rule"}
    if unknown:
        raise refuse("field", f"There is no parameter {min(unknown)[:40]} here.")
    event, rule = (query.get(name, "")[:LONGEST] for name in ("event", "rule"))
    return await _page(request, trials.Trial(event, rule=rule), None, "")


async def try_it(request: Request) -> Response:
    """What the rules say. Nothing is done, and what was typed is shown again."""
    require_operate(request)
    given = await form_of(request)
    fields = {name: given[name] for name in ("From", "To", "Body") if given.get(name, "").strip()}
    for line in given.get("more", "").splitlines():
        name, sign, value = line.partition("=")
        if line.strip() and not (name.strip() and sign):
            why = f"{line.strip()[:40]}: a field is written NAME=VALUE."
            raise refuse("field", why, fields=(("more", "wants NAME=VALUE"),))
        if sign:
            fields[name.strip()] = value.strip()
    trial = trials.Trial(
        given.get("event", "").strip()[:LONGEST], given.get("route", "message"), fields,
        given.get("rule", "").strip()[:LONGEST], given.get("text", ""),
    )  # fmt: skip
    if trial.route not in trials.ROUTES:
        raise refuse("field", f"route is one of {', '.join(trials.ROUTES)}.")
    try:
        console = console_of(request)
        found = await trials.tried(console.children, console.reading, trial)
    except Refusal as refusal:
        if refusal.problem.slug not in ("field", "missing"):
            raise
        return await _page(request, trial, None, refusal.problem.detail, given.get("more", ""))
    return await _page(request, trial, found, "", given.get("more", ""))


async def _page(
    request: Request, trial: trials.Trial, found: dict[str, Any] | None, wrong: str, more: str = ""
) -> Response:
    names = await console_of(request).reading.ask(lambda asked: sorted(asked.rules_in_use()))
    rules = [{**rule, "why": why_not(rule)} for rule in found["rules"]] if found else []
    seen = as_seen(request, {**found, "rules": rules}) if found else None
    return draw(
        request, "try.html",
        {
            "title": "Try", "trial": trial, "more": more, "found": seen, "wrong": wrong,
            "routes": trials.ROUTES, "names": names, "path": PATH,
        },
        400 if wrong else 200,
    )  # fmt: skip


PAGE = Page(
    PATH, "Try", (Route(PATH, form, methods=["GET"]), Route(PATH, try_it, methods=["POST"])),
)  # fmt: skip
