"""Figures in the JSON API: failures, deliveries and costs, by what they have in common."""

from datetime import datetime, timedelta
from typing import Any

from ringback.console.api.lists import SPAN, given, listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.rules.model import Budget
from ringback.runtime import REAL, iso
from ringback.store.queries import delivery_groups, failure_groups, spend_sums
from ringback.store.queries.files import Row

READ = 50_000
"""So many rows of a span are counted at most, the newest of them."""
ALL = "all"
_SINCE = Parameter("since", "From then on: a time, or a span back from now; 24h without.", "time")
_NUMBER = Parameter("number", "Only with this number on either side.")
_RULE = Parameter("rule", "Only of this rule.")
_CODE = Parameter("code", "Only with this error code of Twilio.", "integer", least=1)
FAILURE_QUERY = (
    _SINCE, SPAN[1],
    Parameter("by", "What they have in common: `code` without.", "list",
              tuple(failure_groups.WAYS)),
    _CODE, _NUMBER, _RULE,
)  # fmt: skip
DELIVERY_QUERY = (
    _SINCE, SPAN[1],
    Parameter("by", "What they have in common: `sender,country` without; `all`: one sum.", "list",
              (*delivery_groups.WAYS, ALL)),
    Parameter("grain", "By hour or by day besides.", choices=("hour", "day")),
    _NUMBER, _RULE,
)  # fmt: skip
COST_QUERY = (
    Parameter("since", "From then on; without, from the midnight at which budgets begin anew.",
              "time"),
    Parameter("by", "By rule or by sender.", choices=tuple(spend_sums.WAYS), default="rule"),
)  # fmt: skip


async def failures(asked: Asked) -> dict[str, Any]:
    """Failed texts and calls, counted by what they have in common."""
    rows, cut = await failed(asked)
    chosen = failure_groups.narrowed(rows, **given(asked, "code", "number", "rule"))
    return listed(
        failure_groups.grouped(chosen, asked.values["by"] or ["code"]), looked_back_to=cut
    )


async def failure(asked: Asked) -> dict[str, Any]:
    """One group by code, with what its failures have in common besides."""
    key = asked.values["key"]
    if not (key.isascii() and key.isdecimal() and len(key) < 8):
        raise refuse("missing", f"There is no group {key[:40]}; a group is named by its code.")
    rows, cut = await failed(asked)
    chosen = failure_groups.narrowed(rows, **given(asked, "number", "rule"))
    chosen = [row for row in chosen if row["code"] == int(key)]
    groups = failure_groups.grouped(chosen, ["code"])
    if not groups:
        raise refuse("missing", f"Nothing failed with {key} in this span.")
    ways = ("sender", "rule", "country", "line_type", "hour")
    return {
        **groups[0], "looked_back_to": cut or None,
        "split": {way: failure_groups.grouped(chosen, [way]) for way in ways},
    }  # fmt: skip


async def failed(asked: Asked) -> tuple[list[Row], str]:
    """The failures of a span, and how far was looked when they are not all."""
    since = asked.values["since"] or _a_day_ago()
    rows = await asked.console.reading.ask(lambda q: q.failures(since, READ + 1))
    return _until(rows[:READ], asked), _cut(rows)


async def deliveries(asked: Asked) -> dict[str, Any]:
    """Texts of ours, counted by how far they came."""
    since = asked.values["since"] or _a_day_ago()
    by = asked.values["by"] or ["sender", "country"]
    grain = asked.values["grain"]
    ways = ([grain] if grain else []) + [way for way in by if way not in (ALL, grain)]
    rows = await asked.console.reading.ask(lambda q: q.sent_texts(since, READ + 1))
    chosen = failure_groups.narrowed(_until(rows[:READ], asked), **given(asked, "number", "rule"))
    return listed(delivery_groups.counted_by(chosen, ways), looked_back_to=_cut(rows))


async def costs(asked: Asked) -> dict[str, Any]:
    """What left and what it cost, and what is left of the budgets of today."""
    settings, since, by = asked.console.settings, asked.values["since"], asked.values["by"]
    now = REAL.now()
    begin = datetime.fromisoformat(since) if since else spend_sums.midnight(
        now, settings.quiet_zone
    )  # fmt: skip

    def ask(questions: Any) -> tuple[list[Row], list[Row], dict[str, Budget]]:
        rules = questions.budgets() if by == "rule" and not since else {}
        hour = [] if since else questions.left_since(now - timedelta(hours=1))
        return questions.left_since(begin), hour, rules

    rows, hour, budgets = await asked.console.reading.ask(ask)
    if not since:
        whole = Budget(settings.total_per_day, settings.segments_per_day, settings.price_per_day)
        budgets = {spend_sums.ALL: whole, **budgets} if whole != Budget() else budgets
    way = spend_sums.WAYS[by]
    tried = spend_sums.tallied(hour, way).get(spend_sums.ALL, spend_sums.Tally())
    return listed(
        spend_sums.lines(
            spend_sums.tallied(rows, way), by, budgets, settings.segment_price,
            None if since else (settings.total_per_hour, tried),
        )
    )  # fmt: skip


def _a_day_ago() -> str:
    return iso(REAL.now() - timedelta(days=1))


def _until(rows: list[Row], asked: Asked) -> list[Row]:
    until = asked.values["until"]
    return [row for row in rows if row["at"] < until] if until else rows


def _cut(rows: list[Row]) -> str:
    return str(rows[READ - 1]["at"]) if len(rows) > READ else ""


RESOURCES = (
    Resource(
        "failures", "Texts and calls that failed, by what they have in common.",
        (
            Endpoint("/failures", "Count failures.", failures, "FailureGroupList",
                     query=FAILURE_QUERY, personal=False),
            Endpoint("/failures/{key}", "One group, by its error code; 0: without one.", failure,
                     "FailureDetail", query=(_SINCE, SPAN[1], _NUMBER, _RULE), personal=False,
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
