"""Lists of the JSON API: items, where the next part begins, and how far was looked."""

from collections.abc import Callable, Mapping
from typing import Any

from ringback.console.api.cursors import cursor, place_of
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked
from ringback.runtime import REAL, iso
from ringback.store.queries.bounded_lists import Part
from ringback.store.queries.questions import Questions

PAGING = (
    Parameter("limit", "So many items at most.", "integer", least=1, most=200, default=50),
    Parameter("cursor", "Where to go on: `next` of the part before, with the same filters."),
)
SPAN = (
    Parameter("since", "From then on: a time, or a span back from now.", "time"),
    Parameter("until", "Before then.", "time"),
)

Shape = Callable[[Mapping[str, Any]], dict[str, Any]]
Ask = Callable[[Questions, int, int], Part]
"""The questions, the limit, and the row before which the part begins."""


async def part_of(asked: Asked, ask: Ask, shape: Shape) -> dict[str, Any]:
    """One part of a list, each row in its public shape."""
    settings, limit = asked.console.settings, int(asked.values["limit"])
    before = place_of(settings, asked.request)
    part = await asked.console.reading.ask(lambda questions: ask(questions, limit, before))
    return listed(
        [shape(row) for row in part.rows],
        cursor(settings, asked.request, part.before),
        part.looked_back_to,
    )


def listed(
    items: list[dict[str, Any]], following: str | None = None, looked_back_to: str = ""
) -> dict[str, Any]:
    """A list as every resource answers one."""
    return {
        "items": items, "next": following, "looked_back_to": looked_back_to or None,
        "counted_to": iso(REAL.now()),
    }  # fmt: skip


def given(asked: Asked, *names: str) -> dict[str, Any]:
    """The values of these parameters that were sent."""
    return {name: asked.values[name] for name in names if asked.values[name] is not None}
