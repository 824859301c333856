"""Phone: the handsets of the simulated Twilio, to text and call the node as somebody outside would.

It is there with `ringback dev` alone. What is done here goes through the simulator and real HTTP.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import handsets, story
from ringback.console.api.answers import whole
from ringback.console.forms import form_of
from ringback.console.identity import identity_of
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import refuse
from ringback.console.rows import row_of
from ringback.console.times import zone_of
from ringback.errors import RingbackError, UsageError
from ringback.rules.language.phones import home
from ringback.store.queries import filters, shapes
from ringback.store.queries.questions import Questions

PATH = "/console/phone"
USUAL = "+12025550142"
DONE = 6
OUTCOMES = ("delivered", "read", "sent", "undelivered:30003", "failed:30007", "silent")
AHEAD = {"1m": "a minute", "1h": "an hour", "9h": "9 hours", "1d": "a day"}
"""How far the clock can be moved, in words."""
FAULTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "lost": ("Lose the next callback", {"on": "callback", "do": "lose", "times": 1}),
    "doubled": ("Double the next callback", {"on": "callback", "do": "duplicate", "times": 1}),
    "hung": ("No answer to the next text, though it is taken",
             {"on": "messages.create", "do": "hang", "created": "now", "times": 1}),
    "blocked": ("Refuse the next text for an opt-out",
                {"on": "messages.create", "do": "error", "status": 400, "code": 21610, "times": 1}),
}  # fmt: skip
_SID = re.compile(r"CA[0-9a-f]{32}")
_CALL_DEEDS = {"keys": "digits", "say": "text", "hangup": "", "answer": "", "decline": ""}


async def phone(request: Request) -> Response:
    """The handsets, and what the node made of what was done last."""
    _let_in(request)
    world, given, calls, plan = [
        await _ask(request, path)
        for path in ("/_sim", "/_sim/handsets", "/_sim/calls", "/_sim/plan")
    ]
    found = await console_of(request).reading.ask(_done)
    shown = handsets.handsets(given["handsets"], calls["calls"])
    trace = found["trace"]
    return draw(
        request, "phone.html",
        {
            "title": "Phone", "handsets": shown, "numbers": world["numbers"], "usual": USUAL,
            "ahead": AHEAD, "outcomes": OUTCOMES,
            "faults": {name: words for name, (words, _) in FAULTS.items()},
            "planned": len(plan["faults"]),
            "going": any(call["going"] for each in shown for call in each["going"]),
            "rows": [row_of(row, found["came"].get(row["uid"], [])) for row in found["rows"]],
            "last": trace and trace["event"],
            "sentence": trace and story.sentence(trace, zone_of(request)[1],
                                                 matched=trace["matched"]),
        },
    )  # fmt: skip


def _done(asked: Questions) -> dict[str, Any]:
    """The newest events, and the trace of what came in last from a handset."""
    rows = asked.events_part(filters.Events(), DONE).rows
    last = [
        *asked.events_part(filters.Events(type="message.received"), 1).rows,
        *asked.events_part(filters.Events(type="call.received"), 1).rows,
    ]
    newest = max(last, key=lambda row: int(row["id"]), default=None)
    tree = asked.trace(newest["uid"]) if newest else None
    matched = tree is not None and tree["event"]["verdicts"] is not None
    return {
        "rows": rows, "came": asked.came_of([row["uid"] for row in rows]),
        "trace": shapes.trace(tree, {}) | {"matched": matched} if tree else None,
    }  # fmt: skip


async def text(request: Request) -> Response:
    """A handset texts us."""
    _let_in(request)
    form = await form_of(request)
    media = handsets.media(form)
    body = handsets.words(form, "body", empty=bool(media))
    sides = _sides(form, console_of(request).settings.sender)
    return await _post(request, "/_sim/messages", {**sides, "body": body, "media": media})


async def call(request: Request) -> Response:
    """A handset calls us."""
    _let_in(request)
    sides = _sides(await form_of(request), console_of(request).settings.sender)
    return await _post(request, "/_sim/calls", sides)


async def during(request: Request) -> Response:
    """What the person at the phone does in a call."""
    _let_in(request)
    form, deed = await form_of(request), request.path_params["deed"]
    sid = form.get("sid", "")
    if deed not in _CALL_DEEDS or not _SID.fullmatch(sid):
        raise refuse("missing")
    word = _CALL_DEEDS[deed]
    given: dict[str, str] = {}
    if word:
        given = {word: handsets.digits(form) if word == "digits" else handsets.words(form, word)}
    return await _post(request, f"/_sim/calls/{sid}/{deed}", given)


async def behave(request: Request) -> Response:
    """How texts to a handset end from now on."""
    _let_in(request)
    form = await form_of(request)
    outcome = form.get("messages", "")
    if outcome not in OUTCOMES:
        raise refuse("field", f"Texts end as one of {', '.join(OUTCOMES)}.")
    number = handsets.number(form, "number", home(console_of(request).settings.sender))
    path = f"/_sim/handsets/{quote(number, safe='+')}"
    return await _post(request, path, {"messages": outcome})


async def fault(request: Request) -> Response:
    """Something goes wrong the next time; or nothing any more."""
    name = (await form_of(request)).get("fault", "")
    if name == "none":
        return await _post(request, "/_sim/faults", None, "DELETE")
    if name not in FAULTS:
        raise refuse("missing")
    return await _post(request, "/_sim/faults", FAULTS[name][1])


async def clock(request: Request) -> Response:
    """The clock of node and carrier moves ahead; what is due meanwhile happens."""
    _let_in(request)
    ahead = (await form_of(request)).get("ahead", "")
    if ahead not in AHEAD:
        why = f"ahead: the clock moves by one of {', '.join(AHEAD)}."
        raise refuse("field", why, fields=(("ahead", "is none of these"),))
    await console_of(request).children.text(["simulate", "clock", f"+{ahead}"])
    return RedirectResponse(PATH, 303)


def _sides(form: Mapping[str, str], sender: str) -> dict[str, str]:
    return {name: handsets.number(form, name, home(sender)) for name in ("from", "to")}


async def _post(
    request: Request, path: str, body: Mapping[str, Any] | None, method: str = "POST"
) -> Response:
    _let_in(request)
    await _ask(request, path, body, method)
    return RedirectResponse(PATH, 303)


async def _ask(
    request: Request, path: str, body: Mapping[str, Any] | None = None, method: str = "GET"
) -> Any:
    ask = console_of(request).surroundings.phone
    if ask is None:
        raise refuse("missing", "The phone is there with `ringback dev` alone.")
    try:
        return await ask(method, path, body)
    except UsageError as error:
        raise refuse("field", str(error)) from None
    except RingbackError as error:
        raise refuse("busy", str(error)) from None


def _let_in(request: Request) -> None:
    """Raise a Refusal for whoever may not see whole numbers, which handsets are known by."""
    if console_of(request).surroundings.phone is None:
        raise refuse("missing", "The phone is there with `ringback dev` alone.")
    require_operate(request)
    if not whole(console_of(request), identity_of(request)):
        raise refuse("role", "The phone shows whole numbers: unmask them first.")


PAGE = Page(
    PATH, "Phone",
    (
        Route(PATH, phone), Route(PATH + "/text", text, methods=["POST"]),
        Route(PATH + "/call", call, methods=["POST"]),
        Route(PATH + "/call/{deed}", during, methods=["POST"]),
        Route(PATH + "/behave", behave, methods=["POST"]),
        Route(PATH + "/fault", fault, methods=["POST"]),
        Route(PATH + "/clock", clock, methods=["POST"]),
    ),
    nav="Phone", key="p", simulated=True, takes={"phone": ()},
)  # fmt: skip
