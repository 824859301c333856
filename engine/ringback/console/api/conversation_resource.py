"""Conversations in the JSON API: the list, what was said in one, and what a person does in it."""

from collections.abc import Mapping
from typing import Any

from ringback.console import operating
from ringback.console.api.answers import whole
from ringback.console.api.cursors import cursor, place_of
from ringback.console.api.lists import PAGING, listed
from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.conversing import WAYS, one, sides
from ringback.runtime import REAL
from ringback.store.queries import shapes

_PROBLEMS = ("missing",)


async def conversations(asked: Asked) -> dict[str, Any]:
    """The conversations that were active last."""
    wanted = {name: bool(asked.values[name]) for name in WAYS}
    part = await asked.console.conversations.part(
        wanted, asked.values["since"] or "", int(asked.values["limit"]),
        place_of(asked.console.settings, asked.request),
    )  # fmt: skip
    following = cursor(asked.console.settings, asked.request, part.before)
    return listed(part.rows, following, part.looked_back_to)


async def conversation(asked: Asked) -> dict[str, Any]:
    """One, with what is known of the person."""
    pair = await asked.console.conversations.named(asked.values["id"])
    return await asked.console.reading.ask(lambda questions: one(questions, pair, REAL.now()))


async def items(asked: Asked) -> dict[str, Any]:
    """What was said in it."""
    pair = await asked.console.conversations.named(asked.values["id"])
    limit = int(asked.values["limit"])
    before = place_of(asked.console.settings, asked.request)
    rows, older = await asked.console.reading.ask(
        lambda questions: questions.chat(pair.conversation, limit, before)
    )
    following = cursor(asked.console.settings, asked.request, older)
    return listed([shapes.chat_item(row) for row in rows], following)


async def write(asked: Asked) -> dict[str, Any]:
    """A text of a person."""
    return await _done(asked, {"op": "write", "body": asked.body["text"]})


async def forecast(asked: Asked) -> dict[str, Any]:
    """What the gate would say of a text."""
    pair = await asked.console.conversations.named(asked.values["id"])
    told = await operating.ask(
        asked.console.surroundings,
        {"op": "forecast_text", "body": asked.body["text"], **sides(pair)},
    )
    found = {**told["forecast"], "held": told["held"]}
    if whole(asked.console, asked.identity):
        return found
    return {**masked(found, beside=[found, {"conversation": pair.conversation}]), "masked": True}


async def consent(asked: Asked) -> dict[str, Any]:
    """Whether they may be texted."""
    wanted = {name: asked.body[name] for name in ("state", "reason")}
    return await _done(asked, {"op": "consent", **wanted})


async def mute(asked: Asked) -> dict[str, Any]:
    """Whether rules are offered their texts."""
    wanted = {name: asked.body[name] or "" for name in ("until", "reason")}
    return await _done(asked, {"op": "mute", **wanted})


async def _done(asked: Asked, operation: Mapping[str, Any]) -> dict[str, Any]:
    pair = await asked.console.conversations.named(asked.values["id"])
    return dict(
        await operating.operate(
            asked.console, asked.identity, "api", {**operation, **sides(pair)},
            request=asked.key, expect=asked.body.get("expect"),
        )
    )  # fmt: skip


_TEXT = Parameter("text", "What it says.", "long", required=True)
_ONE = "/conversations/{id}"
RESOURCES = (
    Resource(
        "conversations", "What was said with a person. One is named `con_…`, without a number. It "
        "is `unanswered` when nobody has answered their last text for 10 minutes.",
        (
            Endpoint(
                "/conversations", "List conversations, those that were active last first.",
                conversations, "ConversationList",
                query=(
                    Parameter("unanswered", "Only those whose last text nobody has answered for "
                              "10 minutes.", "flag"),
                    Parameter("optedout", "Only with those who have left.", "flag"),
                    Parameter("failing", "Only where our last text failed.", "flag"),
                    Parameter("since", "Only those with something from then on.", "time"), *PAGING,
                ),
                problems=("cursor",),
            ),
            Endpoint(_ONE, "Show one: consent, memory, what waits, and who has taken it over.",
                     conversation, "Conversation", problems=_PROBLEMS),
            Endpoint(_ONE + "/items", "List what was said in it, the newest first.", items,
                     "ChatItemList", query=PAGING, problems=("cursor", "missing")),
            Endpoint(_ONE + "/forecast", "What the gate would say of a text, and what it would "
                     "take. Nothing is sent.", forecast, "Forecast", method="POST", body=(_TEXT,),
                     role="operate", safe=True, personal=False, problems=_PROBLEMS),
            Endpoint(_ONE + "/messages", "Send a text of a person, through the gate.", write,
                     "Done", method="POST", body=(_TEXT,), role="operate", status=202,
                     problems=_PROBLEMS),
            Endpoint(_ONE + "/consent", "Say that they may be texted, or may not. Who has left by "
                     "a word of their own comes back by one.", consent, "Done", method="PUT",
                     body=(
                         Parameter("state", "Which.", choices=("in", "out"), required=True),
                         Parameter("reason", "Why.", required=True),
                     ),
                     role="operate", status=202, problems=_PROBLEMS),
            Endpoint(_ONE + "/mute", "Keep the rules from it, or give it back to them.", mute,
                     "Done", method="PUT",
                     body=(
                         Parameter("until", "Until then, a time with its zone; without, the rules "
                                   "have it again."),
                         Parameter("reason", "Why."),
                         Parameter("expect", "What is true of it, as `state` (`muted`, `not "
                                   "muted`): else 409 with what is.", "object"),
                     ),
                     role="operate", status=202, problems=_PROBLEMS),
        ),
    ),
)  # fmt: skip
