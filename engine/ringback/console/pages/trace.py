"""Trace: why something happened or did not, in one sentence, six stations and a time picture."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import operating, plot, stations, story, tones
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages import deeds
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.console.times import between, span, zone_of
from ringback.error_codes import explain_error
from ringback.store.queries import shapes
from ringback.store.queries.questions import Questions

MOST_SILENT = 3


async def trace(request: Request) -> Response:
    """The page."""
    what = request.path_params["what"]
    if what.lstrip("+").isdecimal():
        raise refuse("missing", "A number does not stand in an address: use the search.")

    def ask(asked: Questions) -> tuple[dict[str, Any], bool, int]:
        uids = asked.find(what, 1)
        tree = asked.trace(uids[-1], what) if uids else None
        if tree is None:
            raise refuse("missing", "Nothing is known of this id, or it is no longer kept.")
        shown = shapes.trace(tree, {})
        others = sum(1 for name in tree["lines"] if name not in shapes.verdicts(tree))
        return shown, tree["event"]["verdicts"] is not None, others

    whole, matched, others = await console_of(request).reading.ask(ask)
    found = as_seen(request, whole)
    event = found["event"]
    lanes = stations.lanes_of(found)
    start = event["received_at"]

    beat = request.scope.get("ringback.beat")
    pair = await console_of(request).conversations.of(whole["event"]["conversation"])

    def after(at: str | None) -> str:
        return f"+{span(max(between(start, at), 0.0))}" if at else ""

    values = {
        "title": event["type"], "con": pair.uid if pair else "", "trace": found, "event": event,
        "text": shapes.said(event["fields"]) if isinstance(event["fields"], dict) else "",
        "ours": event["conversation"].partition("/")[0],
        "sentence": story.sentence(found, zone_of(request)[1], matched=matched),
        "fired": [
            {**rule, "lines": stations.lines_of(rule, event)}
            for rule in found["rules"] if rule["fired"]
        ],
        "silent": stations.silent_of(found), "most_silent": MOST_SILENT, "others": others,
        "lanes": lanes[: stations.MOST_LANES], "folded": lanes[stations.MOST_LANES :],
        "when": plot.time_picture(bars) if (bars := stations.bars_of(found)) else "",
        "bars": bars, "after": after, "tones": tones, "is_late": stations.is_late,
        "explain": explain_error, "did": lambda action: story.did(found, action),
        "decides": may(identity_of(request), "operate"), "done": await deeds.done(request),
        "offered": deeds.offers, "run_offered": deeds.run_offers,
        "away": "" if beat is None or not beat.away else operating.AWAY,
        "open": not matched or any(
            lane.action and lane.action["state"] in
            ("planned", "deferred", "sending", "unknown", "accepted") for lane in lanes
        ) or any(lane.run["state"] in ("pending", "running", "waiting") for lane in lanes),
    }  # fmt: skip
    return draw(request, "trace.html", values)


PAGE = Page(
    "/console/t/",
    "Trace",
    (Route("/console/t/{what}", trace, methods=["GET"]),),
    takes={"trace": ("did",)},
)
