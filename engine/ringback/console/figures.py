"""Figures of failures, deliveries and costs, for pages and for the JSON API alike."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from ringback.config import Settings
from ringback.console.counting import Counting
from ringback.console.problems import refuse
from ringback.console.reading import Reading
from ringback.console.sums import Wanted
from ringback.console.sums import summed as in_all
from ringback.rules.model import Budget
from ringback.runtime import REAL, iso
from ringback.store.digests.cohorts import tallies_of
from ringback.store.queries import delivery_groups, failure_groups, spend_sums
from ringback.store.queries.failed_texts import LATEST
from ringback.store.queries.files import Row
from ringback.store.queries.questions import Questions

_EVER = timedelta(days=9000)
READ = 20_000
"""So many rows of a span are counted at most, the newest of them: read in half a second, where a
question may take two."""
SAMPLE = 1_000
"""So many of the newest texts of a span are looked at where all of them are summed."""
SAMPLES = 300
"""So many of the newest failures are read beside their sums, for the last one of each group."""

_CHUNK = 200

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


FACETS = ("sender", "rule", "country", "line_type")
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
    newest = (await failed(reading, since, until, facets, samples)).rows
    return Counted(sorted(sums, key=lambda row: str(row["at"]), reverse=True), samples=newest)


async def with_problems(reading: Reading, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups by code, with what people said to each."""
    return await reading.ask(lambda asked: asked.with_problems(groups, REAL.now()))


async def require_group(reading: Reading, counting: Counting | None, code: int) -> None:
    """Raise a Refusal for a code with which nothing ever failed, as far as rows and counts are
    kept, and of which nobody said a thing."""
    (group,) = await with_problems(reading, [{"code": code, "last_at": ""}])
    if group["problem"] is None and not await _has_failed(reading, counting, code):
        raise refuse("missing", f"Nothing ever failed with {code}.")


async def _has_failed(reading: Reading, counting: Counting | None, code: int) -> bool:
    since = iso(REAL.now() - _EVER)
    if await reading.ask(lambda asked: asked.failures(since, 1, "", code)):
        return True
    return bool((await failure_sums(reading, counting, since, "", {"code": code}, ("code",))).rows)


async def text_sums(
    reading: Reading, counting: Counting | None, since: str, until: str,
    facets: Mapping[str, Any], split: Sequence[str], *, grain: str = "", always: bool = False,
) -> Counted | None:  # fmt: skip
    """Sums of the texts of a span by the words of `split` and `TEXT_WORDS`, and with a `grain` by
    `hour`, or by hour or `day`; None where the rows are to be read."""
    words, end = (*split, *TEXT_WORDS), until or iso(REAL.now())
    wanted = Wanted("texts", since, end, facets, words, bool(grain), grain == "hour", always)
    sums = await in_all(reading, counting, wanted)
    return None if sums is None else Counted([*sums], samples=[])


async def failed(
    reading: Reading, since: str, until: str, wanted: Mapping[str, Any], most: int | None = None
) -> Counted:
    """The texts and calls that failed, of the newest `most`."""
    limit, code = READ if most is None else most, wanted.get("code")
    rows = await reading.ask(lambda asked: asked.failures(since, limit + 1, until, code))
    return _picked(rows, failure_groups.WAYS, wanted, limit)


async def sent(
    reading: Reading, since: str, until: str, wanted: Mapping[str, Any], step: str = "texts",
    enough: int = 0,
) -> Counted:  # fmt: skip
    """The texts of ours that came so far. With `enough` no more than so many are looked for, and
    how long each took is not told."""

    def ask(asked: Questions) -> Counted:
        rows = asked.newest_texts(since, until or LATEST, timed=not enough)
        fitting = delivery_groups.STEPS[step]
        return _picked(rows, delivery_groups.WAYS, wanted, READ, fitting, enough)

    return await reading.ask(ask)


async def usual(
    reading: Reading, counting: Counting | None, since: str, until: str
) -> tuple[list[Mapping[str, Any]], bool]:
    """The texts of a span by facets, to compare those that failed with; and whether these are all
    of them, and not only the newest."""
    sums = await in_all(reading, counting, Wanted("texts", since, until, {}, FACETS))
    if sums is not None:
        return [*sums], True

    def ask(asked: Questions) -> Counted:
        rows = asked.newest_texts(since, until, timed=False)
        return _picked(rows, delivery_groups.WAYS, {}, SAMPLE)

    found = await reading.ask(ask)
    return found.rows, not found.looked_back_to


async def apart(work: Callable[..., T], *given: Any) -> T:
    """What takes a while, such as the countries of many numbers, outside of the loop of events."""
    return await asyncio.to_thread(work, *given)


def _picked(
    rows: Iterable[Row], ways: Mapping[str, Any], wanted: Mapping[str, Any], most: int,
    fits: Callable[[Mapping[str, Any]], bool] = lambda _: True, enough: int = 0,
) -> Counted:  # fmt: skip
    """Those that fit of the newest `most`, until there are `enough`."""
    found: list[Mapping[str, Any]] = []
    looked, last = 0, ""
    rows = iter(rows)
    while chunk := [*islice(rows, min(_CHUNK, most - looked + 1))]:
        cut = looked + len(chunk) > most
        kept = chunk[: most - looked]
        last, looked = str((kept or chunk)[-1]["at"]), looked + len(kept)
        found += failure_groups.narrowed([row for row in kept if fits(row)], ways, **wanted)
        if cut or (enough and len(found) >= enough):
            return Counted(found, last if cut else "")
    return Counted(found)


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


async def left(
    reading: Reading, counting: Counting | None, settings: Settings, since: str, by: str,
    until: str = "",
) -> Left:  # fmt: skip
    """What left since then, up to another time; without a time today."""
    now = REAL.now()
    begin = since or iso(spend_sums.midnight(now, settings.quiet_zone))
    wanted = Wanted("left", begin, until or iso(now), {}, (by, "figure", "unit"))
    sums = await in_all(reading, counting, wanted)
    most = READ if sums is None else SAMPLE

    def ask(asked: Questions) -> Left:
        rules = asked.budgets() if by == "rule" and not since else {}
        hourly = settings.total_per_hour and not since
        hour = asked.left_since(now - timedelta(hours=1), READ) if hourly else []
        rows = asked.left_since(datetime.fromisoformat(begin), most + 1)
        cut = str(rows[1]["at"]) if len(rows) > most else ""
        rows = [row for row in rows[len(rows) > most :] if not until or row["at"] < until]
        return Left(rows, hour, rules, cut, None if sums is None else tallies_of(sums, by))

    return await reading.ask(ask)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What left, of one kind, newest first, of the newest `most`; how many there are where that is
    summed, else None."""

    found: Counted
    most: int
    count: int | None


async def leaving(
    reading: Reading, counting: Counting | None, span: tuple[str, str], kind: str,
    facets: Mapping[str, Any], fits: Callable[[Mapping[str, Any]], bool], enough: int,
) -> Leaving:  # fmt: skip
    """What left of a kind (a figure of `LEFT`), for a list; at least `enough`, if there are so
    many. An empty kind is what only the rows tell, of the newest of them."""
    sums = await in_all(reading, counting, Wanted("left", *span, facets, ("figure",)))
    most = READ if kind or sums is None else SAMPLE

    def ask(asked: Questions) -> Counted:
        some = enough if kind and sums is not None else 0
        return _picked(asked.newest_left(*span), {}, {}, most, fits, some)

    found = await reading.ask(ask)
    if not kind or sums is None:
        return Leaving(found, most, None)
    return Leaving(found, most, sum(row["n"] for row in sums if row["figure"] == kind))


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
