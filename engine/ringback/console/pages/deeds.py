"""Deeds on one action or run: what a person may do, the page that confirms, and what it did.

What leaves for Twilio, or cannot be taken back, has a page of its own that shows what will go to
whom. What can be taken back is done at once, and the line that says so offers the way back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import operating
from ringback.console.forms import form_of, until_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.rules.model import WAITS_FOR_YES
from ringback.runtime import REAL, iso
from ringback.store.queries.action_words import recipient, words

PATH = "/console/actions/{uid}/{deed}"
RUN_PATH = "/console/runs/{uid}/{deed}"
DECIDE = "/console/decide"


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing to do: the operation with its words, the label of its button, the states of an
    action that it fits (a draft's is `draft`), and the deed that takes it back."""

    op: str
    label: str
    states: tuple[str, ...]
    wanted: Mapping[str, Any]
    leaves: bool = False
    confirm: bool = False
    undo: str = ""


DEEDS: Mapping[str, Deed] = {
    "approve": Deed("approve", "Yes, send it", ("draft",), {}, leaves=True, confirm=True),
    "decline": Deed("decline", "No", ("draft",), {}, undo="retry"),
    "sent": Deed("resolve", "It was sent", ("parked", "unknown"), {"outcome": "sent"},
                 confirm=True),
    "not-sent": Deed("resolve", "It was not sent", ("parked", "unknown"),
                     {"outcome": "not_sent"}, undo="retry"),
    "again": Deed("retry", "Send it now, it may arrive twice", ("parked", "unknown"),
                  {"may_duplicate": True}, leaves=True, confirm=True),
    "retry": Deed("retry", "Retry", ("failed", "refused", "cancelled", "deferred"), {},
                  leaves=True, confirm=True),
    "later": Deed("postpone", "Put it off", ("deferred",), {}, confirm=True),
    "cancel": Deed("cancel_action", "Cancel", ("planned", "deferred"), {}, undo="retry"),
}  # fmt: skip


RUN_DEEDS: Mapping[str, Deed] = {
    "wake": Deed("wake_run", "Go on now", ("waiting",), {}, confirm=True),
    "later": Deed("postpone", "Put it off", ("waiting",), {}, confirm=True),
    "end": Deed("cancel_run", "End it", ("pending", "waiting"), {}, confirm=True),
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A deed that fits an action now."""

    name: str
    label: str
    path: str
    confirm: bool


def offers(row: Mapping[str, Any]) -> list[Offer]:
    """What a person may do with an action."""
    draft = row["state"] == "parked" and row["reason"] == WAITS_FOR_YES
    state = "draft" if draft else row["state"]
    return [
        Offer(name, deed.label, path_of(row["uid"], name), deed.confirm)
        for name, deed in DEEDS.items()
        if state in deed.states
    ]


def run_offers(row: Mapping[str, Any]) -> list[Offer]:
    """What a person may do with a run."""
    return [
        Offer(name, deed.label, RUN_PATH.format(uid=row["uid"], deed=name), deed.confirm)
        for name, deed in RUN_DEEDS.items()
        if row["state"] in deed.states and (name not in ("wake", "later") or row["due_at"])
    ]


def path_of(uid: str, name: str) -> str:
    """Where a deed on an action is confirmed and done."""
    return PATH.format(uid=uid, deed=name)


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """An action as the pages of decisions show it."""
    now = iso(REAL.now())
    names = (
        "uid", "kind", "rule", "state", "reason", "tries", "outcome", "remote_sid", "planned_at",
        "send_by", "polls", "draft", "event_uid", "conversation",
    )  # fmt: skip
    return {name: row[name] for name in names} | {
        "to": recipient(row), "text": words(row), "offers": offers(row),
        "late": bool(row["send_by"]) and row["send_by"] < now,
        "attempts": [
            {name: each[name] for name in ("n", "started_at", "http_status", "result", "detail")}
            for each in row["attempts"]
        ],
    }  # fmt: skip


def button(row: Mapping[str, Any], name: str) -> str:
    """What the button of a confirmation says: the deed, in full."""
    if not DEEDS[name].leaves:
        return DEEDS[name].label
    known = {"message": "Send 1 text", "call": "Place 1 call"}
    what = known.get(row["effect"], f"Do it: {row['kind'].replace('_', ' ')}")
    return f"{what}, perhaps a second time" if name == "again" else what


async def confirm(request: Request) -> Response:
    """What will go to whom, and what the gate says of it."""
    row, name = await _found(request)
    console = console_of(request)
    worker = await operating.worker(console.surroundings)
    told: Mapping[str, Any] = {}
    if DEEDS[name].leaves and not worker.away:
        question = {"op": "forecast", "uids": [row["uid"]]}
        told = await operating.ask(console.surroundings, question)
    forecasts: Mapping[str, Any] = told.get("forecasts", {})
    editable = _editable(request, row) if name == "approve" else ""
    return draw(
        request, "deed.html",
        as_seen(request, {
            "title": DEEDS[name].label, "item": shown(row), "name": name, "deed": DEEDS[name],
            "editable": editable,
            "button": button(row, name), "away": worker.away, "held": told.get("held", ""),
            "forecast": forecasts.get(row["uid"]), "path": path_of(row["uid"], name),
            "back": _back(request.query_params.get("back", "")),
        }),
    )  # fmt: skip


def _editable(request: Request, row: Mapping[str, Any]) -> str:
    """The text of a draft that may be changed by who sees all of it; empty for any other action."""
    params = row["params"] if isinstance(row["params"], dict) else {}
    body = str(params.get("body") or "") if row["kind"] == "send_message" else ""
    return body if as_seen(request, {"body": body})["body"] == body else ""


async def confirm_run(request: Request) -> Response:
    """What a run waits for, before it goes on or ends."""
    deed = RUN_DEEDS.get(request.path_params["deed"])
    if deed is None:
        raise refuse("missing")
    require_operate(request)
    uid, console = request.path_params["uid"], console_of(request)
    row = await console.reading.ask(lambda asked: asked.run(uid))
    if row is None:
        raise refuse("missing", "There is no run of this id.")
    worker = await operating.worker(console.surroundings)
    names = ("uid", "rule", "state", "reason", "due_at", "started_at", "event_uid")
    return draw(
        request, "run_deed.html",
        {
            "title": deed.label, "deed": deed, "away": worker.away,
            "run": as_seen(request, {name: row[name] for name in names}),
            "path": RUN_PATH.format(uid=uid, deed=request.path_params["deed"]),
        },
    )  # fmt: skip


async def do_run(request: Request) -> Response:
    """Do it, then show the trace of the run."""
    form, deed = await form_of(request), RUN_DEEDS.get(request.path_params["deed"])
    if deed is None:
        raise refuse("missing")
    uid, console = request.path_params["uid"], console_of(request)
    answer = await operating.operate(
        console, identity_of(request), "console",
        {"op": deed.op, "uid": uid, **_until(deed, form)},
        request=form.get("request", ""), expect=expected(form),
    )  # fmt: skip
    return RedirectResponse(f"/console/t/{uid}?did={answer.get('doing', '')}", 303)


async def switch(request: Request) -> Response:
    """Hold every effect, or let effects out again; then the page that it was said on."""
    form, op = await form_of(request), request.path_params["op"]
    if op not in ("pause", "resume"):
        raise refuse("missing")
    await operating.operate(
        console_of(request), identity_of(request), "console", {"op": op},
        request=form.get("request", ""),
    )  # fmt: skip
    following = form.get("next", "")
    ours = following.startswith("/console/") and following.isascii() and "\\" not in following
    return RedirectResponse(following if ours else "/console/", 303)


async def do(request: Request) -> Response:
    """Do it, then show the page that it concerns, as it is now."""
    form, uid = await form_of(request), request.path_params["uid"]
    deed = _deed(request)
    if form.get("back", "") not in ("", "trace"):
        raise refuse(
            "field",
            "There is no way back of this name.",
            fields=(("back", "is trace or left away"),),
        )
    if request.path_params["deed"] == "again" and form.get("count", "").strip() != "1":
        why = "Type 1: so many may arrive twice."
        raise refuse("field", why, fields=(("count", "has to be 1"),))
    sid = {"sid": form["sid"].strip()} if form.get("sid", "").strip() else {}
    answer = await operating.operate(
        console_of(request), identity_of(request), "console",
        {
            "op": deed.op, "uid": uid, **deed.wanted, **sid, **_until(deed, form),
            **await _changed(request, form),
        },
        request=form.get("request", ""), expect=expected(form),
    )  # fmt: skip
    where = await _where(request, form.get("back", ""), uid)
    return RedirectResponse(f"{where}?did={answer.get('doing', '')}", 303)


async def _changed(request: Request, form: Mapping[str, str]) -> dict[str, str]:
    """The words of a draft, when the form has others than it had."""
    if request.path_params["deed"] != "approve" or "body" not in form:
        return {}
    uid = request.path_params["uid"]
    row = await console_of(request).reading.ask(lambda asked: asked.decidable(uid))
    body = form["body"].replace("\r\n", "\n").strip()
    known = str(row["params"].get("body") or "").strip() if row else body
    return {} if body == known else {"body": body}


def _until(deed: Deed, form: Mapping[str, str]) -> dict[str, str]:
    """Until when something is put off. Raises a Refusal."""
    if deed.op != "postpone":
        return {}
    until = until_of(form.get("until", ""), form.get("request", ""))
    if not until:
        raise refuse("field", "Say until when.", fields=(("until", "is required"),))
    return {"until": until}


def expected(form: Mapping[str, str]) -> dict[str, Any]:
    """What was true of an action when the page was made."""
    found: dict[str, Any] = {"state": form["state"]} if form.get("state") else {}
    tries = form.get("tries", "")
    counted = tries.isascii() and tries.isdecimal() and len(tries) < 10
    return found | ({"tries": int(tries)} if counted else {})


async def doing_before(request: Request) -> Mapping[str, Any] | None:
    """The row of what the page before this one did; None for nothing."""
    uid = request.query_params.get("did", "")
    if not uid.startswith("op_"):
        return None
    return await console_of(request).reading.ask(lambda asked: asked.doing(uid))


async def done(request: Request) -> Mapping[str, Any] | None:
    """What the page before this one did, and the path that takes it back; None for nothing."""
    row = await doing_before(request)
    if row is None:
        return None
    undo = ""
    for deed in DEEDS.values():
        same = all(row["wanted"].get(name) == value for name, value in deed.wanted.items())
        if deed.op == row["op"] and same and deed.undo:
            undo = path_of(row["subject"], deed.undo)
    names = ("op", "subject", "was", "became", "outcome", "who", "at")
    return {name: row[name] for name in names} | {"undo": undo}


async def _found(request: Request) -> tuple[Mapping[str, Any], str]:
    _deed(request)
    require_operate(request)
    uid = request.path_params["uid"]
    row = await console_of(request).reading.ask(lambda asked: asked.decidable(uid))
    if row is None:
        raise refuse("missing", "There is no action of this id.")
    return row, request.path_params["deed"]


def require_operate(request: Request) -> None:
    """Raise a Refusal unless whoever asks may decide."""
    if not may(identity_of(request), "operate"):
        raise refuse("role", "Your role looks on; to decide wants the role `operate`.")


def _deed(request: Request) -> Deed:
    deed = DEEDS.get(request.path_params["deed"])
    if deed is None:
        raise refuse("missing")
    return deed


def _back(given: str) -> str:
    return "trace" if given == "trace" else ""


async def _where(request: Request, back: str, uid: str) -> str:
    if back != "trace":
        return DECIDE
    row = await console_of(request).reading.ask(lambda asked: asked.decidable(uid))
    return f"/console/t/{row['event_uid']}" if row else DECIDE


ROUTES: Sequence[Route] = (
    Route(PATH, confirm, methods=["GET"]),
    Route(PATH, do, methods=["POST"]),
    Route(RUN_PATH, confirm_run, methods=["GET"]),
    Route(RUN_PATH, do_run, methods=["POST"]),
    Route("/console/node/{op}", switch, methods=["POST"]),
)
PAGE = Page(DECIDE, "Deed", tuple(ROUTES), takes={"confirm": ("back",), "confirm_run": ("back",)})
