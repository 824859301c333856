"""Deeds on one conversation: write into it, take it over from the rules, say what they agreed to.

A text that is to go out has a page before that shows what the gate says of it, and what it takes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import operating
from ringback.console.conversing import sides
from ringback.console.forms import form_of, until_of
from ringback.console.identity import identity_of
from ringback.console.page import console_of, draw
from ringback.console.pages.deeds import doing_before, require_operate
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.store.console.pairs import Pair

PATH = "/console/conversations"
ONE = PATH + "/{con}"
HOURS = ("1", "4", "24", "168")


async def write(request: Request) -> Response:
    """What a text would be, before it goes out. It is posted: what people say stands in no
    address."""
    form, pair = await form_of(request), await _pair(request)
    require_operate(request)
    body = _body(form)
    if not body:
        raise refuse("field", "The text is empty.", fields=(("body", "is empty"),))
    console = console_of(request)
    told = await operating.ask(
        console.surroundings, {"op": "forecast_text", "body": body, **sides(pair)}
    )
    ours, _, theirs = pair.conversation.partition("/")
    values = as_seen(
        request,
        {
            "conversation": pair.conversation, "sender": ours, "recipient": theirs,
            "forecast": told["forecast"], "held": told.get("held", ""),
        },
    )  # fmt: skip
    return draw(
        request, "write.html",
        {
            "title": "Send a text", **values, "body": body, "uid": pair.uid,
            "path": f"{PATH}/{pair.uid}/messages", "again": f"{PATH}/{pair.uid}/write",
        },
    )  # fmt: skip


async def send(request: Request) -> Response:
    """Let it go out, then show the conversation."""
    form, pair = await form_of(request), await _pair(request)
    return await _do(request, pair, form, {"op": "write", "body": _body(form)})


async def consent(request: Request) -> Response:
    """Say that they may be texted, or may not."""
    form, pair = await form_of(request), await _pair(request)
    wanted = {name: form.get(name, "") for name in ("state", "reason")}
    return await _do(request, pair, form, {"op": "consent", **wanted})


async def mute(request: Request) -> Response:
    """Keep the rules from it for some hours, or give it back to them."""
    form, pair = await form_of(request), await _pair(request)
    hours = form.get("hours", "")
    if hours and hours not in HOURS:
        says = f"is one of {', '.join(HOURS)}, not {hours[:40]}"
        raise refuse("field", f"hours {says}.", fields=(("hours", says),))
    until = until_of(f"{hours}h", form.get("request", "")) if hours else None
    wanted = {"op": "mute", "until": until, "reason": form.get("reason", "")}
    return await _do(request, pair, form, wanted)


async def done(request: Request) -> Mapping[str, Any] | None:
    """What the page before this one did, in a word."""
    row = await doing_before(request)
    if row is None:
        return None
    return {name: row[name] for name in ("op", "who", "at", "wanted")} | {
        "state": row["answer"].get("state", ""), "until": row["answer"].get("until") or "",
    }  # fmt: skip


async def _do(
    request: Request, pair: Pair, form: Mapping[str, str], operation: Mapping[str, Any]
) -> Response:
    answer = await operating.operate(
        console_of(request), identity_of(request), "console",
        {**operation, **sides(pair)}, request=form.get("request", ""),
    )  # fmt: skip
    return RedirectResponse(f"{PATH}/{pair.uid}?did={answer.get('doing', '')}", 303)


def _body(form: Mapping[str, str]) -> str:
    """The text of a form, whose lines end as forms have them."""
    return form.get("body", "").replace("\r\n", "\n").strip()


async def _pair(request: Request) -> Pair:
    return await console_of(request).conversations.named(request.path_params["con"])


ROUTES: Sequence[Route] = (
    Route(ONE + "/write", write, methods=["POST"]),
    Route(ONE + "/messages", send, methods=["POST"]),
    Route(ONE + "/consent", consent, methods=["POST"]),
    Route(ONE + "/mute", mute, methods=["POST"]),
)
