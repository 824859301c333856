"""Runs, actions and attempts in the JSON API."""

from typing import Any

from ringback.console.api.lists import PAGING, SPAN, given, part_of
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.outcomes import EFFECTS
from ringback.store.queries import filters, shapes

RUN_STATES = ("pending", "running", "waiting", "done", "failed", "skipped", "cancelled")
ACTION_STATES = (
    "planned", "deferred", "sending", "unknown", "accepted", "settled", "failed", "refused",
    "parked", "cancelled", "captured",
)  # fmt: skip
OUTCOMES = tuple(dict.fromkeys(status for each in EFFECTS.values() for status in each.order))
_RULE = Parameter("rule", "Only of this rule.")
_EVENT = Parameter("event", "Only of this event.")
_CODE = Parameter("code", "Only with this error code of Twilio.", "integer", least=1)
RUN_FILTERS = (
    Parameter("state", "Only in this state.", choices=RUN_STATES), _RULE, _EVENT, *SPAN,
)  # fmt: skip
ACTION_FILTERS = (
    Parameter("state", "Only in this state.", choices=ACTION_STATES), _RULE,
    Parameter("kind", "Only of this kind, as send_message."), _CODE, _EVENT,
    Parameter("run", "Only of this run."),
    Parameter("number", "Only with this number on either side."),
    Parameter("sid", "Only what Twilio calls this."),
    Parameter("outcome", "Only with this outcome.", choices=OUTCOMES), *SPAN,
)  # fmt: skip
ATTEMPT_FILTERS = (
    Parameter("action", "Only of this action."), _EVENT,
    Parameter("result", "Only with this result, as accepted."), _CODE, *SPAN,
)  # fmt: skip


async def runs(asked: Asked) -> dict[str, Any]:
    """The newest runs that fit."""
    chosen = filters.Runs(**given(asked, *(each.name for each in RUN_FILTERS)))
    return await part_of(asked, lambda q, size, at: q.runs_part(chosen, size, at), shapes.run)


async def actions(asked: Asked) -> dict[str, Any]:
    """The newest actions that fit."""
    chosen = filters.Actions(**given(asked, *(each.name for each in ACTION_FILTERS)))
    return await part_of(asked, lambda q, size, at: q.actions_part(chosen, size, at), shapes.action)


async def attempts(asked: Asked) -> dict[str, Any]:
    """The newest attempts that fit."""
    chosen = filters.Attempts(**given(asked, *(each.name for each in ATTEMPT_FILTERS)))
    return await part_of(
        asked, lambda q, size, at: q.attempts_part(chosen, size, at), shapes.attempt
    )


async def run(asked: Asked) -> dict[str, Any]:
    """One run."""
    uid = asked.values["id"]
    row = await asked.console.reading.ask(lambda q: q.run(uid))
    if row is None:
        raise refuse("missing", f"There is no run {uid[:40]}.")
    return shapes.run(row)


async def action(asked: Asked) -> dict[str, Any]:
    """One action."""
    uid = asked.values["id"]
    row = await asked.console.reading.ask(lambda q: q.action(uid))
    if row is None:
        raise refuse("missing", f"There is no action {uid[:40]}.")
    return shapes.action(row)


RESOURCES = (
    Resource(
        "runs", "Rules at work: one run is one rule handling one event.",
        (
            Endpoint("/runs", "List runs, the newest first.", runs, "RunList",
                     query=(*RUN_FILTERS, *PAGING), problems=("cursor",)),
            Endpoint("/runs/{id}", "Show one run.", run, "Run", problems=("missing",)),
        ),
    ),
    Resource(
        "actions", "What was sent, what became of it, and what needs a person.",
        (
            Endpoint("/actions", "List actions, the newest first.", actions, "ActionList",
                     query=(*ACTION_FILTERS, *PAGING), problems=("cursor",)),
            Endpoint("/actions/{id}", "Show one action.", action, "Action",
                     problems=("missing",)),
        ),
    ),
    Resource(
        "attempts", "The requests to Twilio that were made for actions.",
        (
            Endpoint("/attempts", "List attempts, the newest first.", attempts, "AttemptList",
                     query=(*ATTEMPT_FILTERS, *PAGING), problems=("cursor",)),
        ),
    ),
)  # fmt: skip
