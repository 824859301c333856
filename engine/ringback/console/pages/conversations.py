"""Conversations: who wrote or called last, and one as a chat with what the rules made of it."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import operating, tones
from ringback.console.conversing import WAYS, sides
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages import conversation_deeds
from ringback.console.pages.conversation_deeds import ONE, PATH
from ringback.console.problems import Refusal, refuse
from ringback.console.seen import as_seen
from ringback.console.story import why_not
from ringback.error_codes import explain_error
from ringback.runtime import REAL, iso
from ringback.store.console.pairs import Pair
from ringback.store.queries import shapes
from ringback.store.queries.questions import Questions

ROWS = 50
ITEMS = 40
DOINGS = 30
WORDS = {
    "unanswered": "unanswered for 10 minutes", "optedout": "they have left",
    "failing": "our last text failed",
}  # fmt: skip
TICKS = {"accepted": "✓", "queued": "✓", "sending": "✓", "sent": "✓", "delivered": "✓✓",
         "read": "✓✓", "failed": "✗", "undelivered": "✗"}  # fmt: skip


async def conversations(request: Request) -> Response:
    """The list, the latest first."""
    wrong = [name for name in WAYS if request.query_params.get(name, "") not in ("", "true")]
    if wrong:
        says = f"is true or left away, not {request.query_params[wrong[0]][:40]}"
        raise refuse("field", f"{wrong[0]} {says}.", fields=((wrong[0], says),))
    chosen = {name: request.query_params.get(name) == "true" for name in WAYS}
    before = request.query_params.get("before", "")
    if before and not (before.isdecimal() and len(before) < 16):
        raise refuse("cursor", "This is no place in the list.")
    part = await console_of(request).conversations.part(chosen, "", ROWS, int(before or 0))
    given = {name: "true" for name, on in chosen.items() if on}
    others = {
        name: "?" + urlencode({n: v for n, v in given.items() if n != name} if name in given
                              else {**given, name: "true"})
        for name in WAYS
    }  # fmt: skip
    return draw(
        request, "conversations.html",
        {
            "title": "Conversations", "chosen": chosen, "words": WORDS, "others": others,
            **as_seen(request, {"rows": part.rows}), "query": urlencode(given),
            "flags": "".join(f" --{name}" for name in given), "older": part.before,
            "before": before, "looked_back_to": part.looked_back_to, "behind": part.behind,
            "tones": tones,
        },
    )  # fmt: skip


async def conversation(request: Request) -> Response:
    """One as a chat, with what is known of the person beside it."""
    console = console_of(request)
    pair = await console.conversations.named(request.path_params["con"])
    before = request.query_params.get("before", "")
    if before and not (before.isdecimal() and len(before) < 16):
        raise refuse("cursor", "This is no place in the conversation.")
    decides = may(identity_of(request), "operate")
    found = await console.reading.ask(lambda asked: _ask(asked, pair, int(before or 0)))
    seen = as_seen(request, {**found, "now": await _forecast(request, pair)})
    beat = request.scope.get("ringback.beat")
    paths = {
        name: f"{PATH}/{pair.uid}/{name}" for name in ("write", "messages", "consent", "mute")
    }  # fmt: skip
    return draw(
        request, "conversation.html",
        {
            "title": "Conversation", **seen, "uid": pair.uid, "paths": paths, "tones": tones,
            "ticks": TICKS, "explain": explain_error, "why": _why, "before": before,
            "decides": decides, "done": await conversation_deeds.done(request),
            "away": "" if beat is None or not beat.away else operating.AWAY,
            "hours": conversation_deeds.HOURS,
        },
    )  # fmt: skip


async def _forecast(request: Request, pair: Pair) -> Mapping[str, Any]:
    """What the gate would say of a text to them now; nothing when nobody answers."""
    beat = request.scope.get("ringback.beat")
    if beat is not None and beat.away:
        return {}
    question = {"op": "forecast_text", "body": "Hello", **sides(pair)}
    try:
        async with asyncio.timeout(operating.STATUS_SECONDS):
            return await operating.ask(console_of(request).surroundings, question)
    except (Refusal, TimeoutError):
        return {}


def _ask(asked: Questions, pair: Pair, before: int) -> dict[str, Any]:
    rows, older = asked.chat(pair.conversation, ITEMS, before)
    items = [shapes.chat_item(row) for row in rows]
    first = items[-1]["at"] if items and older else ""
    last = items[0]["at"] if items and before else "9"
    said = [
        {"side": "person", "at": row["at"], "who": row["who"], "op": row["op"],
         "wanted": row["wanted"], "outcome": row["outcome"], "reason": row["reason"]}
        for row in asked.doings(subject=pair.uid, limit=DOINGS)
        if row["op"] != "write" and first <= row["at"] <= last
    ]  # fmt: skip
    items = sorted([*items[::-1], *said], key=lambda each: str(each["at"]))
    ours, _, theirs = pair.conversation.partition("/")
    contact, now = asked.contact(pair.conversation), iso(REAL.now())
    words = asked.words(ours, theirs)
    return {
        "conversation": pair.conversation, "sender": ours, "recipient": theirs, "items": items,
        "older": older, "memory": contact["memory"], "waits": contact["waits"],
        "heard": contact.get("inbound", 0), "wrote": contact.get("outbound", 0),
        "consents": words, "out": bool(words) and words[0]["state"] == "out",
        "muted": asked.muted(pair.conversation, now),
    }  # fmt: skip


def _why(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rules that stayed silent at a text, each with why."""
    return [
        (name, why_not({"verdict": verdict, "lines": ()}))
        for name, verdict in item["silent"].items()
    ]


PAGE = Page(
    PATH, "Conversations",
    (Route(PATH, conversations), *conversation_deeds.ROUTES, Route(ONE, conversation)),
    nav="Conversations", key="c",
    takes={"conversations": (*WAYS, "before"), "conversation": ("before", "did")},
)  # fmt: skip
