"""Sums of a span with too many rows to be read: whole hours from the digest, its ends from the
journal.

What is summed looks like the rows of the journal, with how many there are of each (`n`), so that
the same functions count both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from ringback.console.counting import HOUR, Counting, chunks, span
from ringback.console.reading import Reading
from ringback.runtime import REAL, iso
from ringback.store.digests.cohorts import COUNTED, LEFT, LEFT_FIGURES
from ringback.store.digests.digest import MEASURES, Digest
from ringback.store.queries import delivery_groups, failure_groups
from ringback.store.queries.files import Row
from ringback.store.queries.questions import Questions

FEW: Mapping[str, int] = {"texts": 500, "failures": 1000, "left": 2000}
"""So many rows are read and not summed: then all of each is known."""
NOW = timedelta(minutes=1)
"""A span that ends so lately ends now."""
EDGE = 5000
"""An hour at an end of the span that holds more is taken whole."""
_WAYS: Mapping[str, Mapping[str, Any]] = {
    "texts": delivery_groups.WAYS, "failures": failure_groups.WAYS,
    "left": {word: itemgetter(word) for word in LEFT},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: texts or failures (`measure`) of a span, with these values of facets, by
    these words of a key (`split`); with `timed` also by hour or day. With `always` they are summed
    however few there are."""

    measure: str
    since: str
    until: str
    facets: Mapping[str, Any]
    split: Sequence[str]
    timed: bool = False
    hourly: bool = False
    always: bool = False

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row, or a key, has the values."""
        ways = _WAYS[self.measure]
        return all(
            ways[way](row) == value for way, value in self.facets.items() if value not in (None, "")
        )


async def summed(reading: Reading, counting: Counting | None, wanted: Wanted) -> list[Row] | None:
    """The sums; None where the rows themselves have to be read: they are few, they are asked for by
    a number, or the digest is not ready."""
    digest = counting.digest if counting is not None else None
    if digest is None or wanted.facets.get("number"):
        return None
    return await reading.ask(lambda asked: _summed(asked, digest, wanted))


def _summed(asked: Questions, digest: Digest, wanted: Wanted) -> list[Row] | None:
    begin, end = _hour(wanted.since, up=True), _hour(wanted.until, up=False)
    first, last = _hour(wanted.since, up=False), _hour(wanted.until, up=True)
    if begin > end or not (wanted.always or _many(digest, wanted.measure, first, last)):
        return None
    edges = []
    if first < begin:
        if digest.total(wanted.measure, first, begin) > EDGE:
            begin = first
        else:
            edges.append((wanted.since, span(begin)[0]))
    if last > end and wanted.until >= iso(REAL.now() - NOW):
        end = last  # the hour that goes on: what is in it is counted every few seconds
    elif last > end:
        if digest.total(wanted.measure, end, last) > EDGE:
            end = last
        else:
            edges.append((span(end)[0], wanted.until))
    rows = digest.rows(
        wanted.measure, begin, end, wanted.fits, wanted.split, timed=wanted.timed,
        hourly=wanted.hourly,
    )  # fmt: skip
    for edge in edges:
        rows += _edge(asked, wanted, *edge)
    return rows


def _many(digest: Digest, measure: str, begin: str, end: str) -> bool:
    """Whether there are too many in whole hours to be read."""
    if measure != "left":
        return digest.total(measure, begin, end) > FEW[measure]
    rows = digest.rows(measure, begin, end, lambda key: key["figure"] in LEFT_FIGURES, ())
    return sum(int(row["n"]) for row in rows) > FEW[measure]


def _edge(asked: Questions, wanted: Wanted, begin: str, end: str) -> list[Row]:
    """What lies between the end of a span and the next whole hour."""
    words, counts = MEASURES[wanted.measure], COUNTED[wanted.measure]
    found = []
    for row in (row for chunk in chunks(asked, wanted.measure, begin, end) for row in chunk):
        for key, n in counts(row).items():
            known = dict(zip(words, key, strict=True))
            if wanted.fits(known):
                at = row["at"] if wanted.timed else ""
                found.append({word: known[word] for word in wanted.split} | {"at": at, "n": n})
    return found


def _hour(at: str, *, up: bool) -> str:
    """The hour (`2026-03-04T17`) that a stored time is in, or the one that follows unless it is its
    beginning."""
    moment = datetime.fromisoformat(at)
    whole = moment.replace(minute=0, second=0, microsecond=0)
    return iso(whole + HOUR if up and whole < moment else whole)[:13]
