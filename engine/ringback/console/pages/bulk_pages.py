"""Pages of bulks: what one would be about before it begins, how far it is, what was left out."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import operating
from ringback.console.forms import form_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages.deeds import require_operate
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.store.operations.bulks import FILTERS, OPS
from ringback.store.queries.action_words import recipient, words

PATH = "/console/bulks"
ONE = "/console/bulks/{uid}"
ROWS = 50
MARK = "mark-"
"""How the names of boxes begin that stand for one action or run each."""
NARROWED = {
    table: tuple(name for name in names if name != "uids") for table, names in FILTERS.items()
}  # fmt: skip
OPEN = ("waiting", "running", "stopping")
TYPED = 20
"""Of more than so many the number has to be typed."""
WORDS = {
    "retry": "Send again", "cancel_action": "Cancel", "resolve": "Resolve", "approve": "Send",
    "broadcast": "Broadcast", "decline": "Decline", "wake_run": "Let go on", "cancel_run": "End",
}  # fmt: skip


async def bulks(request: Request) -> Response:
    """The newest bulks."""
    rows = await console_of(request).reading.ask(lambda asked: asked.bulks(ROWS))
    return draw(request, "bulks.html", {"title": "Bulks", "rows": rows, "words": WORDS})


async def preview(request: Request) -> Response:
    """What a bulk would be about. Nothing is done."""
    require_operate(request)
    form = await form_of(request)
    op = form.get("op", "")
    if op not in OPS:
        raise refuse("field", f"op is one of {', '.join(OPS)}.")
    names = (*NARROWED[OPS[op][0]], *(("outcome",) if op == "resolve" else ()))
    chosen: dict[str, Any] = {name: form[name] for name in names if form.get(name)}
    if form.get("marked"):
        chosen["uids"] = [
            name.removeprefix(MARK) for name, on in form.items() if name.startswith(MARK) and on
        ]
        if not chosen["uids"]:
            why = "Mark some of them first; a bulk of none does nothing."
            raise refuse("field", why, fields=(("marked", "there are none"),))
    if "code" in chosen:
        if not (chosen["code"].isascii() and chosen["code"].isdecimal()):
            raise refuse("field", "code is a number.", fields=(("code", "is no number"),))
        chosen["code"] = int(chosen["code"])
    found = await operating.operate(
        console_of(request), identity_of(request), "console",
        {"op": "bulk", "bulk": op, "filter": chosen}, request=form.get("request", ""),
    )  # fmt: skip
    first = [
        {"to": recipient(each), "text": words(each), "uid": each["uid"]}
        for each in found.get("first", ())
    ]
    values = as_seen(request, {**found, "first": first, "filter": chosen})
    return draw(
        request, "bulk_preview.html",
        {
            "title": "Bulk", "bulk": values, "word": WORDS[op], "typed": found["total"] > TYPED,
            "admin": may(identity_of(request), "admin"), "path": f"{PATH}/{found['uid']}/start",
        },
    )  # fmt: skip


async def bulk(request: Request) -> Response:
    """How far a bulk is."""
    uid = request.path_params["uid"]
    row = await console_of(request).reading.ask(lambda asked: asked.bulk(uid))
    if row is None:
        raise refuse("missing", "There is no bulk of this id.")
    return draw(
        request, "bulk.html",
        {
            "title": "Bulk", "bulk": as_seen(request, row), "word": WORDS[row["op"]],
            "open": row["state"] in OPEN, "path": f"{PATH}/{uid}/stop",
            "decides": may(identity_of(request), "operate"),
        },
    )  # fmt: skip


async def start(request: Request) -> Response:
    """Begin it, in ten seconds."""
    form, uid = await form_of(request), request.path_params["uid"]
    row = await console_of(request).reading.ask(lambda asked: asked.bulk(uid))
    if row is None:
        raise refuse("missing", "There is no bulk of this id.")
    if row["total"] > TYPED and form.get("count", "").strip() != str(row["total"]):
        why = f"Type {row['total']}: so many it is about."
        raise refuse("field", why, fields=(("count", f"has to be {row['total']}"),))
    return await _done(request, form, "bulk_start")


async def stop(request: Request) -> Response:
    """Stop it."""
    return await _done(request, await form_of(request), "bulk_stop")


async def _done(request: Request, form: Mapping[str, str], op: str) -> Response:
    uid = request.path_params["uid"]
    await operating.operate(
        console_of(request), identity_of(request), "console",
        {"op": op, "uid": uid}, request=form.get("request", ""),
    )  # fmt: skip
    return RedirectResponse(f"{PATH}/{uid}", 303)


PAGE = Page(
    PATH, "Bulks",
    (
        Route(PATH, bulks, methods=["GET"]), Route(PATH, preview, methods=["POST"]),
        Route(ONE, bulk, methods=["GET"]), Route(ONE + "/start", start, methods=["POST"]),
        Route(ONE + "/stop", stop, methods=["POST"]),
    ),
    takes={"bulks": (), "bulk": ()},
)  # fmt: skip
