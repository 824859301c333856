"""Events and traces in the JSON API."""

from typing import Any

from starlette.responses import PlainTextResponse, Response

from ringback.console.api.answers import whole
from ringback.console.api.lists import PAGING, SPAN, given, part_of
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.error_codes import explain_error, facts
from ringback.events import TRUST
from ringback.rules.language.phones import home, plain
from ringback.store.queries import filters, shapes
from ringback.store.queries.questions import Questions

SOURCES = ("webhook", "repair", "replay", "internal")
_FOUND = 20
LAST, _CODE = 4, 6
"""So many digits are the end of a number; so many at most an error code."""
_WHAT = Parameter(
    "what", "An id, a SID, a number or its last four digits, an error code, a rule.", required=True
)
FILTERS = (
    Parameter("type", "Only this type; `message.*` works too."),
    Parameter("number", "Only with this number on either side."),
    Parameter("sid", "Only about this message, call or recording."),
    *SPAN,
    Parameter("error", "Only with this error code of Twilio; 0: with any.", "integer"),
    Parameter("trust", "Only those that were proven so.", choices=TRUST),
    Parameter("source", "Only those that came so.", choices=SOURCES),
    Parameter("rule", "Only those that this rule fired on, or came to another `verdict` on."),
    Parameter(
        "verdict", "`fired`, `silent`, a verdict, or its first word, as `if`; of `rule`, or of any."
    ),
    Parameter("own", "Only what the node itself made, or only what it did not.", "flag"),
)


def wanted(values: dict[str, Any]) -> filters.Events:
    """The filters of a list of events from its parameters that were sent."""
    code = values.pop("error", None)
    return filters.Events(**values, error=code == 0, code=code or 0)


async def many(asked: Asked) -> dict[str, Any]:
    """The newest events that fit."""
    chosen = wanted(given(asked, *(each.name for each in FILTERS)))
    return await part_of(asked, lambda q, size, at: q.events_part(chosen, size, at), shapes.event)


async def one(asked: Asked) -> dict[str, Any]:
    """One event with every field that came."""
    uid = asked.values["id"]
    row = await asked.console.reading.ask(lambda q: q.event(uid))
    if row is None:
        raise refuse("missing", f"There is no event {uid[:40]}.")
    return shapes.event(row)


async def raw(asked: Asked) -> Response:
    """The body of a webhook, byte for byte, for those who see numbers whole."""
    if not whole(asked.console, asked.identity):
        raise refuse("role", "Numbers are masked for you, and a raw body has them.")
    uid = asked.values["id"]

    def ask(questions: Any) -> bytes | None:
        event = questions.event(uid)
        row = questions.raw(event) if event else None
        return bytes(row.body) if row else None

    body = await asked.console.reading.ask(ask)
    if body is None:
        raise refuse("missing", f"There is no event {uid[:40]}, or none that a webhook brought.")
    headers = {"content-disposition": 'attachment; filename="body.txt"'}
    return Response(body, headers=headers, media_type="text/plain; charset=utf-8")


async def trace(asked: Asked) -> dict[str, Any]:
    """The whole life of the last event behind an id or a SID."""
    what = asked.values["id"]

    def ask(questions: Any) -> dict[str, Any] | None:
        uids = questions.find(what, 1)
        tree = questions.trace(uids[-1], what) if uids else None
        return shapes.trace(tree, {}) if tree else None

    found = await asked.console.reading.ask(ask)
    if found is None:
        raise refuse("missing", f"Nothing is known about {what[:40]}.")
    return found


async def traced(asked: Asked) -> Any:
    """The whole life of an event, or the test that plays it again."""
    if asked.values["format"] != "pytest":
        return await trace(asked)
    if not whole(asked.console, asked.identity):
        raise refuse("role", "A test holds whole numbers and texts: unmask them first.")
    what = asked.values["id"]

    def ask(questions: Questions) -> str:
        return next(iter(questions.find(what, 1)), "")

    uid = await asked.console.reading.ask(ask)
    if not uid:
        raise refuse("missing", f"Nothing is known about {what[:40]}.")
    return PlainTextResponse(
        await asked.console.children.text(["trace", uid, "--pytest"]),
        headers={"content-disposition": f'attachment; filename="test_{uid[-6:].lower()}.py"'},
    )


async def find(asked: Asked) -> dict[str, Any]:
    """What an id, a SID, a number in any spelling, an error code or the name of a rule leads to."""
    what = asked.body["what"].strip()
    looks_like_one = what[:1] in "+(0123456789"
    number = plain(what, home(asked.console.settings.sender)) if looks_like_one else what
    code = int(what) if what.isascii() and what.isdecimal() and 4 < len(what) < 7 else 0

    end = what.isascii() and what.isdecimal() and len(what) == LAST

    def ask(questions: Questions) -> dict[str, Any]:
        uids = questions.find(number, _FOUND) if what and not end else []
        rows = [questions.event(uid) for uid in uids]
        rule = questions.rules_in_use().get(what)
        return {
            "events": [shapes.event(row) for row in rows if row],
            "rule": what if rule else None,
            "error": facts(explain_error(code)) if code else None,
        }  # fmt: skip

    chats = asked.console.conversations
    digits = "".join(letter for letter in number if letter.isdecimal()) if looks_like_one else ""
    if what.startswith("con_"):
        found = await chats.found(what)
    else:
        found = await chats.ending(digits, _FOUND) if end or len(digits) > _CODE else []
    return {**await asked.console.reading.ask(ask), "conversations": found}


_FORMAT = Parameter("format", "`pytest`: as a test that plays it again, with whole numbers.",
                    choices=("json", "pytest"), default="json")  # fmt: skip

RESOURCES = (
    Resource(
        "events", "What came in: every webhook and every internal event.",
        (
            Endpoint("/events", "List events, the newest first.", many, "EventList",
                     query=(*FILTERS, *PAGING), problems=("cursor",)),
            Endpoint("/events/{id}", "Show one event.", one, "Event", problems=("missing",)),
            Endpoint("/events/{id}/raw", "The body of its webhook, byte for byte.", raw,
                     media="text/plain", problems=("missing",)),
        ),
    ),
    Resource(
        "find", "Whatever is at hand, found.",
        (
            Endpoint("/find", "The events behind an id of ours, a SID or a number in any spelling, "
                     "and the conversations with a number, with its last four digits or of a name "
                     "`con_…`, 20 at most of each; a rule of that name; an error code.", find,
                     "Found", method="POST", body=(_WHAT,), safe=True),
        ),
    ),
    Resource(
        "traces", "Why something happened, or did not.",
        (
            Endpoint("/traces/{id}", "The whole life of an event, by an id of ours or a SID.",
                     traced, "Trace", query=(_FORMAT,), also="text/plain",
                     problems=("missing", "slow")),
        ),
    ),
)  # fmt: skip
