"""Stream of the JSON API: what comes, as server-sent events, from the journal.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.listeners import Listener, Live, Push
from ringback.console.page import rendered
from ringback.console.problems import refuse
from ringback.console.rows import EventRow, row_of
from ringback.console.seen import as_seen, rows_seen
from ringback.printed_json import printed_json
from ringback.store.queries import shapes

STILL_SECONDS = 15.0
PUSH_SECONDS = 0.25
TOPICS = ("events", "poke")


async def stream(asked: Asked) -> StreamingResponse:
    """What comes, until whoever listens goes away."""
    wanted = str(asked.values.get("topics") or "events,poke").split(",")
    for topic in wanted:
        if topic not in TOPICS:
            raise refuse("field", f"No topic {topic!r}: {', '.join(TOPICS)}.")
    live = asked.console.live
    if live.ended.is_set():
        raise refuse("busy", "This console ends.")
    return StreamingResponse(
        _told(asked, live, wanted), media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )  # fmt: skip


async def _told(asked: Asked, live: Live, topics: list[str]) -> AsyncIterator[str]:
    request, full = asked.request, bool(asked.values.get("full"))
    draw = _rows if asked.values.get("rows") == "html" else _objects
    fits = _filter(asked.values)
    async with live.listening(asked.identity.name, full=full) as listener:
        yield "retry: 2000\n\n"
        after = _after(request, asked.values)
        if after and "events" in topics:
            events, gap = await live.since(after)
            if gap:
                yield "event: gap\ndata: {}\n\n"
            elif events:
                missed = await live.whole(events)
                yield _event("events", draw(request, missed, fits), missed.last)
        while True:
            push = await _next(live, listener)
            if push is None:
                if listener.enough:
                    yield "event: enough\ndata: {}\n\n"
                return
            if not push.last:
                yield ": still here\n\n"
                continue
            if "events" in topics and push.events:
                data = draw(request, push, fits)
                lost, listener.lost = listener.lost, 0
                yield _event("events", {**data, "dropped": data["dropped"] + lost}, push.last)
            if "poke" in topics:
                yield _event("poke", push.beat or {})


async def _next(live: Live, listener: Listener) -> Push | None:
    """What comes next, an empty push when nothing does for a while, None at the end."""
    ended = asyncio.ensure_future(live.ended.wait())
    came = asyncio.ensure_future(listener.queue.get())
    try:
        await asyncio.wait({ended, came}, timeout=STILL_SECONDS, return_when="FIRST_COMPLETED")
        if ended.done():
            return None
        return came.result() if came.done() else Push(0)
    finally:
        ended.cancel()
        came.cancel()


def _after(request: Request, values: Mapping[str, Any]) -> int:
    given = request.headers.get("last-event-id") or str(values.get("after") or "")
    return int(given) if given.isdecimal() and len(given) < 16 else 0


def _filter(values: Mapping[str, Any]) -> Callable[[EventRow], bool]:
    kind, rule = str(values.get("type") or ""), str(values.get("rule") or "")
    error, own = bool(values.get("error")), values.get("own")

    def fits(row: EventRow) -> bool:
        return (
            (
                not kind
                or row.type == kind
                or (kind.endswith("*") and row.type.startswith(kind[:-1]))
            )
            and (not rule or rule in row.fired)
            and (not error or row.error_code > 0)
            and (own is not False or row.source != "internal")
        )

    return fits


def _objects(request: Request, push: Push, fits: Callable[[EventRow], bool]) -> dict[str, Any]:
    """The events of a push as the API shows them."""
    found = [e for e in push.events if fits(row_of(e, push.came.get(e["uid"], [])))]
    items = as_seen(request, {"items": [shapes.event(each) for each in found]})["items"]
    return {"items": items, "dropped": push.dropped}


def _rows(request: Request, push: Push, fits: Callable[[EventRow], bool]) -> dict[str, Any]:
    """The events of a push as rows of the page."""
    rows = rows_seen(request, push.events, push.came)
    shown = [row for row in rows if fits(row)]
    html = [{"id": row.uid, "html": rendered(request, "row.html", {"row": row})} for row in shown]
    return {"rows": html, "dropped": push.dropped, "count": len(rows) + push.dropped}


def _event(name: str, data: Mapping[str, Any], number: int = 0) -> str:
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {name}\ndata: {printed_json(data)}\n\n"


RESOURCE = Resource(
    "stream", "What comes, as server-sent events.",
    (
        Endpoint(
            "/stream", "Events and changes as they come, as server-sent events.", stream,
            query=(
                Parameter("topics", "`events`, `poke` (that something has changed), or both."),
                Parameter("type", "Only events of this type; `message.*` works too."),
                Parameter("rule", "Only events that this rule fired on."),
                Parameter("error", "Only events with an error code.", kind="flag"),
                Parameter("own", "With `false` no events that the node itself made.", kind="flag"),
                Parameter("full", "Every event, where else a busy second is cut.", kind="flag"),
                Parameter("after", "Begin behind this `id`, at most 10,000 back.", "integer"),
                Parameter("rows", "`html`: rows as the page shows them."),
            ),
            media="text/event-stream",
        ),
    ),
)  # fmt: skip
