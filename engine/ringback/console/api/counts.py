"""Figures in the JSON API: failures, deliveries and costs, by what they have in common."""

from collections.abc import Mapping
from typing import Any

from ringback.console import figures
from ringback.console.api.answers import whole
from ringback.console.api.lists import SPAN, given, listed
from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.store.operations.problems import BACK, STATES
from ringback.store.queries import delivery_groups, failure_groups, spend_sums

FACETS = ("rule", "sender", "country", "line_type")
SPLIT = (*FACETS, "hour")
ALL = "all"
_TIMES = ("hour", "day")
_SINCE = Parameter("since", "From then on: a time, or a span back from now; 24h without.", "time")
_NUMBER = Parameter("number", "Only with this number on either side.")
FACET_PARAMETERS = (
    Parameter("rule", "Only of this rule."),
    Parameter("sender", "Only from this number or messaging service."),
    Parameter("country", "Only to this country, in two letters."),
    Parameter("line_type", "Only to numbers of this line type, as mobile."),
)  # fmt: skip
_CODE = Parameter("code", "Only with this error code of Twilio.", "integer", least=1)
FAILURE_QUERY = (
    _SINCE, SPAN[1],
    Parameter("by", "What they have in common: `code` without.", "list",
              tuple(failure_groups.WAYS)),
    Parameter("state", "Only groups by code that stand so.", choices=(*STATES, BACK)),
    _CODE, _NUMBER, *FACET_PARAMETERS,
)  # fmt: skip
DELIVERY_QUERY = (
    _SINCE, SPAN[1],
    Parameter("by", "What they have in common: `sender,country` without; `all`: one sum.", "list",
              (*delivery_groups.WAYS, ALL)),
    Parameter("grain", "By hour or by day besides.", choices=("hour", "day")),
    _NUMBER, *FACET_PARAMETERS,
)  # fmt: skip
COST_QUERY = (
    Parameter("since", "From then on; without, from the midnight at which budgets begin anew.",
              "time"),
    Parameter("by", "By rule or by sender.", choices=tuple(spend_sums.WAYS), default="rule"),
)  # fmt: skip


async def failures(asked: Asked) -> dict[str, Any]:
    """Failed texts and calls, counted by what they have in common."""
    by = asked.values["by"] or ["code"]
    found = await _failed(asked, "code", *FACETS)
    groups = await figures.apart(failure_groups.grouped, found.rows, by, found.samples)
    if by == ["code"]:
        state = asked.values["state"]
        groups = await _with_problems(asked, groups)
        groups = [each for each in groups if not state or _state(each) == state]
    elif asked.values["state"]:
        why = "state goes with groups by code."
        raise refuse("field", why, fields=(("state", "wants by=code"),))
    return listed(groups, looked_back_to=found.looked_back_to)


async def _with_problems(asked: Asked, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups with what people said to each, as whoever asks may see it. The groups themselves name
    no person."""
    found = await figures.with_problems(asked.console.reading, groups)
    if whole(asked.console, asked.identity):
        return found
    return [each | {"problem": masked(each["problem"])} for each in found]


def _state(group: Mapping[str, Any]) -> str:
    return str(group["problem"]["state"]) if group["problem"] else "open"


async def failure(asked: Asked) -> dict[str, Any]:
    """One group by code, with what its failures have in common besides."""
    key = _code(asked)
    found = await _failed(asked, *FACETS, code=int(key))
    groups = failure_groups.grouped(found.rows, ["code"], found.samples)
    groups = await _with_problems(asked, groups)
    if not groups:
        raise refuse("missing", f"Nothing failed with {key} in this span.")
    return {
        **groups[0], "looked_back_to": found.looked_back_to or None,
        "split": {way: failure_groups.grouped(found.rows, [way], found.samples) for way in SPLIT},
    }  # fmt: skip


async def standing(asked: Asked) -> dict[str, Any]:
    """What people said to a group by code, whenever its texts and calls failed."""
    group = {"code": int(_code(asked)), "last_at": ""}
    (found,) = await figures.with_problems(asked.console.reading, [group])
    return found


async def require_group(asked: Asked) -> None:
    """Raise a Refusal for a group by code that there never was."""
    console = asked.console
    await figures.require_group(console.reading, console.counting, int(_code(asked)))


def _code(asked: Asked) -> str:
    """The error code that the path names. Raises a Refusal."""
    key = str(asked.values["key"])
    if not (key.isascii() and key.isdecimal() and len(key) < 8):
        raise refuse("missing", f"There is no group {key[:40]}; a group is named by its code.")
    return key


async def _failed(asked: Asked, *names: str, **more: Any) -> figures.Counted:
    since, until = asked.values["since"] or figures.a_day_ago(), asked.values["until"] or ""
    wanted = given(asked, "number", *names) | more
    console, split = asked.console, ("code", *FACETS)
    return await figures.failure_sums(
        console.reading, console.counting, since, until, wanted, split, hourly=True
    )


async def deliveries(asked: Asked) -> dict[str, Any]:
    """Texts of ours, counted by how far they came."""
    by, grain = asked.values["by"] or ["sender", "country"], asked.values["grain"]
    ways = ([grain] if grain else []) + [way for way in by if way not in (ALL, grain)]
    since, until = asked.values["since"] or figures.a_day_ago(), asked.values["until"] or ""
    wanted = given(asked, "number", *FACETS)
    reading, counting = asked.console.reading, asked.console.counting
    split = [way for way in ways if way not in _TIMES]
    times = "hour" if "hour" in ways else "day" if "day" in ways else ""
    found = await figures.text_sums(
        reading, counting, since, until, wanted, split, grain=times
    ) or await figures.sent(reading, since, until, wanted)
    return listed(delivery_groups.counted_by(found.rows, ways), looked_back_to=found.looked_back_to)


async def costs(asked: Asked) -> dict[str, Any]:
    """What left and what it cost, and what is left of the budgets of today."""
    console, since, by = asked.console, asked.values["since"] or "", asked.values["by"]
    found = await figures.left(console.reading, console.counting, console.settings, since, by)
    lines = figures.summed(console.settings, found, by, today=not since)
    return listed(lines, looked_back_to="" if found.tallies else found.looked_back_to)


RESOURCES = (
    Resource(
        "failures", "Texts and calls that failed, by what they have in common.",
        (
            Endpoint("/failures", "Count failures.", failures, "FailureGroupList",
                     query=FAILURE_QUERY, personal=False),
            Endpoint("/failures/{key}", "One group, by its error code; 0: without one.", failure,
                     "FailureDetail", query=(_SINCE, SPAN[1], _NUMBER, *FACET_PARAMETERS),
                     personal=False,
                     problems=("missing",)),
        ),
    ),
    Resource(
        "delivery", "How far texts came, and how long that took.",
        (
            Endpoint("/delivery", "Count texts by how far they came.", deliveries,
                     "DeliveryGroupList", query=DELIVERY_QUERY, personal=False),
        ),
    ),
    Resource(
        "costs", "What left, and what it cost.",
        (
            Endpoint("/costs", "Sum up what left, and what is left of the budgets.", costs,
                     "CostList", query=COST_QUERY, personal=False),
        ),
    ),
)  # fmt: skip
