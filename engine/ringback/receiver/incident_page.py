"""Incident page: a button by which whoever has the signed link of a notice acknowledges it.

A GET changes nothing, so that the previews of chat programs do not acknowledge; the button posts.
The page says of which kind the incident is and since when, and nothing of what it is about.
"""

import logging
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ringback.errors import RingbackError, UsageError
from ringback.incident_links import is_signed
from ringback.ipc import require_good
from ringback.receiver.node import Node

log = logging.getLogger(__name__)

_SECONDS = 5.0
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Incident</title></head>
<body><h1>{title}</h1><p>{text}</p>{form}</body></html>
"""
_FORM = '<form method="post"><button>I look after it</button></form>'


async def answer(node: Node | None, request: Request) -> Response:
    """The page of one incident; after a POST it is acknowledged, when it is still open."""
    uid, signature = request.path_params["uid"], request.path_params["signature"]
    if node is None:
        return _page(503, "Not now", "This node is starting. Try again in a moment.")
    try:
        if not is_signed(node.settings.data, uid, signature):
            return _page(404, "Not found", "There is no such incident.")
        asked = {"op": "incident_state", "uid": uid, "ack": request.method == "POST"}
        found = await node.link.ask(asked, _SECONDS)
        require_good(found)
    except UsageError:
        return _page(404, "Not found", "There is no such incident.")
    except (RingbackError, OSError) as error:
        log.error("the page of an incident: %s", error)
        return _page(503, "Not now", "That could not be noted. Try again in a moment.")
    return _shown(found)


def _shown(found: dict[str, str]) -> Response:
    text = f"Kind {found['kind']}, since {found['since']}."
    if found["state"] != "open":
        return _page(410, "The incident is over", text)
    if found["acked_at"]:
        return _page(200, "Acknowledged", f"{text} Somebody looks after it.")
    return _page(200, "An incident is open", text, _FORM)


def _page(status: int, title: str, text: str, form: str = "") -> Response:
    body = _PAGE.format(title=escape(title), text=escape(text), form=form)
    return HTMLResponse(body, status, headers=_HEADERS)
