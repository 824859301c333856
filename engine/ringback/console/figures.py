"""Figures of failures, deliveries and costs, for pages and for the JSON API alike."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ringback.config import Settings
from ringback.console.counting import Counting
from ringback.console.reading import Reading
from ringback.console.sums import Wanted
from ringback.console.sums import summed as in_all
from ringback.rules.model import Budget
from ringback.runtime import REAL, iso
from ringback.store.digests.cohorts import tallies_of
from ringback.store.queries import delivery_groups, failure_groups, spend_sums
from ringback.store.queries.files import Row
from ringback.store.queries.questions import Questions

READ = 20_000
"""So many rows of a span are counted at most, the newest of them: read in half a second, where a
question may take two."""
SAMPLE = 5_000
SAMPLES = 300
"""So many of the newest failures are read beside their sums, for the last one of each group."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of a span that fit, newest first, or sums of them. `looked_back_to` is empty when
    all of the span were looked at; else the time of the oldest that was."""

    rows: list[Mapping[str, Any]]
    looked_back_to: str = ""
    samples: list[Mapping[str, Any]] | None = None
    """The newest rows, where `rows` are sums; else None."""


def a_day_ago() -> str:
    """The beginning of the span where none is named."""
    return iso(REAL.now() - timedelta(days=1))


TEXT_WORDS = ("state", "outcome", "sid", "took")
"""What steps and times are made of."""


async def failure_sums(
    reading: Reading, counting: Counting | None, since: str, until: str,
    facets: Mapping[str, Any], split: Sequence[str], *, hourly: bool = False,
    samples: int = SAMPLES,
) -> Counted:  # fmt: skip
    """The failures of a span, or, where there are many, sums of them by the words of `split`, by
    hour or day, with the newest as `samples`."""
    wanted = Wanted("failures", since, until or iso(REAL.now()), facets, split, True, hourly)
    sums = await in_all(reading, counting, wanted)
    if sums is None:
        return await failed(reading, since, until, facets)
    rows = await reading.ask(lambda asked: asked.failures(since, samples))
    newest = _counted(rows, until, failure_groups.WAYS, facets).rows
    return Counted(sorted(sums, key=lambda row: str(row["at"]), reverse=True), samples=newest)


async def with_problems(reading: Reading, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups by code, with what people said to each."""
    return await reading.ask(lambda asked: asked.with_problems(groups, REAL.now()))


async def text_sums(
    reading: Reading, counting: Counting | None, since: str, until: str,
    facets: Mapping[str, Any], split: Sequence[str], *, timed: bool = False, hourly: bool = False,
) -> Counted | None:  # fmt: skip
    """Sums of the texts of a span by the words of `split` and `TEXT_WORDS`; None where the rows are
    to be read."""
    words = (*split, *TEXT_WORDS)
    wanted = Wanted("texts", since, until or iso(REAL.now()), facets, words, timed, hourly)
    sums = await in_all(reading, counting, wanted)
    return None if sums is None else Counted([*sums], samples=[])


async def failed(reading: Reading, since: str, until: str, wanted: Mapping[str, Any]) -> Counted:
    """The texts and calls that failed."""
    rows = await reading.ask(lambda asked: asked.failures(since, READ + 1))
    return _counted(rows, until, failure_groups.WAYS, wanted)


async def sent(reading: Reading, since: str, until: str, wanted: Mapping[str, Any]) -> Counted:
    """The texts of ours."""
    rows = await reading.ask(lambda asked: asked.sent_texts(since, READ + 1))
    return await apart(_counted, rows, until, delivery_groups.WAYS, wanted)


async def usual(reading: Reading, since: str) -> list[Row]:
    """The newest texts of a span, `SAMPLE` at most, to compare those that failed with."""
    return await reading.ask(lambda asked: asked.sent_texts(since, SAMPLE))


async def apart(work: Callable[..., T], *given: Any) -> T:
    """What takes a while, such as the countries of many numbers, outside of the loop of events."""
    return await asyncio.to_thread(work, *given)


def _counted(
    rows: list[Row], until: str, ways: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Counted:
    within = [row for row in rows[:READ] if not until or row["at"] < until]
    return Counted(
        failure_groups.narrowed(within, ways, **wanted),
        str(rows[READ - 1]["at"]) if len(rows) > READ else "",
    )


@dataclass(frozen=True, slots=True)
class Left:
    """What left in a span and in the last hour, and the budgets of rules; and how far was looked,
    when that is not all."""

    rows: list[Row]
    hour: list[Row]
    budgets: Mapping[str, Budget]
    looked_back_to: str = ""
    tallies: Mapping[str, spend_sums.Tally] | None = None
    """The sums of all that left, where `rows` are its newest alone."""


async def left_in_all(
    reading: Reading, counting: Counting | None, found: Left, span: tuple[str, str], by: str
) -> Left:
    """The same with the sums of the whole span, where not all of it was read."""
    if not found.looked_back_to:
        return found
    wanted = Wanted("left", *span, {}, (by, "figure", "unit"))
    sums = await in_all(reading, counting, wanted)
    return found if sums is None else replace(found, tallies=tallies_of(sums, by))


async def left(reading: Reading, settings: Settings, since: str, by: str) -> Left:
    """What left since then; without a time today."""
    now = REAL.now()
    begin = datetime.fromisoformat(since or iso(spend_sums.midnight(now, settings.quiet_zone)))

    def ask(asked: Questions) -> Left:
        rules = asked.budgets() if by == "rule" and not since else {}
        hour = [] if since else asked.left_since(now - timedelta(hours=1), READ)
        rows = asked.left_since(begin, READ + 1)
        cut = str(rows[1]["at"]) if len(rows) > READ else ""
        return Left(rows[len(rows) > READ :], hour, rules, cut)

    return await reading.ask(ask)


def summed(settings: Settings, found: Left, by: str, *, today: bool) -> list[dict[str, Any]]:
    """What left as sums, those of today with what is left of the budgets."""
    whole = Budget(settings.total_per_day, settings.segments_per_day, settings.price_per_day)
    budgets = {spend_sums.ALL: whole, **found.budgets} if whole != Budget() else found.budgets
    way = spend_sums.WAYS[by]
    tried = spend_sums.tallied(found.hour, way).get(spend_sums.ALL, spend_sums.Tally())
    return spend_sums.lines(
        found.tallies or spend_sums.tallied(found.rows, way), by, budgets if today else {},
        settings.segment_price, (settings.total_per_hour, tried) if today else None,
    )  # fmt: skip
