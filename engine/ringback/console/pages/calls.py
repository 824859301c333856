"""Calls: those that go on, who waits in which queue, what was recorded; hang up, connect."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import calling, operating
from ringback.console.forms import form_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.runtime import REAL
from ringback.store.queries import filters
from ringback.store.queries.questions import Questions

PATH = "/console/calls"
DEED = PATH + "/{sid}/{deed}"
RECORDINGS = 20
DEEDS = {"hang_up": "Hang up", "dequeue": "Connect the caller with a number"}


async def calls(request: Request) -> Response:
    """What goes on, as far as Twilio has told."""
    console = console_of(request)
    zone = console.settings.quiet_zone
    found = await console.reading.ask(lambda asked: _ask(asked, zone))
    beat = request.scope.get("ringback.beat")
    return draw(
        request, "calls.html",
        {
            "title": "Calls", **as_seen(request, found), "did": _did(request),
            "decides": may(identity_of(request), "operate"),
            "away": "" if beat is None or not beat.away else operating.AWAY,
        },
    )  # fmt: skip


def _ask(asked: Questions, zone: str) -> dict[str, Any]:
    recorded = asked.events_part(filters.Events(type="call.recorded"), RECORDINGS).rows
    names = ("uid", "received_at", "sender", "recipient", "conversation", "subject_sid")
    return {
        **calling.asked(asked, zone, REAL.now()),
        "recorded": [{name: row[name] for name in names} for row in recorded],
    }


async def confirm(request: Request) -> Response:
    """Which call it is, before something is done to it that cannot be taken back."""
    sid, deed = request.path_params["sid"], request.path_params["deed"]
    if deed not in DEEDS:
        raise refuse("missing")
    require_operate(request)
    console = console_of(request)
    zone = console.settings.quiet_zone
    found = await console.reading.ask(lambda asked: _ask(asked, zone))
    call = next((each for each in found["calls"] if each["sid"] == sid), None)
    if call is None or (deed == "dequeue" and not call["queue"]):
        raise refuse("missing", "This call does not go on any more, or waits in no queue.")
    worker = await operating.worker(console.surroundings)
    return draw(
        request, "call_deed.html",
        {
            "title": DEEDS[deed], "deed": deed, "words": DEEDS[deed], "away": worker.away,
            "call": as_seen(request, call), "path": DEED.format(sid=sid, deed=deed),
        },
    )  # fmt: skip


async def do(request: Request) -> Response:
    """Do it, then show the calls."""
    form, deed = await form_of(request), request.path_params["deed"]
    if deed not in DEEDS:
        raise refuse("missing")
    answer = await operating.operate(
        console_of(request), identity_of(request), "console",
        {"op": deed, "call": request.path_params["sid"], "to": form.get("to", "")},
        request=form.get("request", ""),
    )  # fmt: skip
    return RedirectResponse(f"{PATH}?did={answer.get('uid', '')}", 303)


def _did(request: Request) -> str:
    uid = request.query_params.get("did", "")
    return uid if uid.startswith("act_") and uid[4:].isalnum() else ""


PAGE = Page(
    PATH, "Calls",
    (Route(PATH, calls), Route(DEED, confirm), Route(DEED, do, methods=["POST"])),
    nav="Calls", key="k", takes={"calls": ("did",), "confirm": ()},
)  # fmt: skip
