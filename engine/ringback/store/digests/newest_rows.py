"""Rows of a span, the newest first: what a list shows of the cohorts that figures count."""

from collections.abc import Callable, Iterator
from heapq import merge
from operator import itemgetter

from ringback.store.digests.changed_hours import ChangedHours
from ringback.store.digests.cohorts import CHUNK
from ringback.store.queries.files import Row

FIRST = 64
"""So many ids are read first, then twice as many each time, `CHUNK` at most: lists end early."""
_AT = itemgetter("at")


class NewestRows(ChangedHours):
    """The rows that figures count, one after the other. Whoever stops early has read no more than a
    chunk too many."""

    def newest_texts(self, begin: str, end: str, *, timed: bool) -> Iterator[Row]:
        """The texts of a span of stored times; when each left and arrived only with `timed`."""
        first, last = self._id_span("actions", "planned_at", begin, end)
        for start, stop in _parts(first, last):
            ours = self._texts_of(start, stop, begin, end, timed=timed)
            # Those of others are looked for as far back as those of ours: they may be none.
            floor = begin if start == first else self._planned(start, end)
            yield from merge(
                sorted(ours, key=_AT, reverse=True),
                self._others_back(max(begin, floor), end),
                key=_AT,
                reverse=True,
            )
            end = min(end, max(begin, floor))

    def _others_back(self, begin: str, end: str) -> Iterator[Row]:
        if begin < end:
            first, last = self._id_span("events", "received_at", begin, end)
            yield from _back(
                lambda start, stop: self._others_of(start, stop, begin, end), first, last
            )

    def _planned(self, first: int, end: str) -> str:
        """When the actions from an id on were planned; the `end` where there are none."""
        row = self._one(
            "select planned_at as at from actions where id >= ? order by id limit 1", (first,)
        )
        return str(row["at"]) if row else end

    def newest_left(self, begin: str, end: str) -> Iterator[Row]:
        """What left in a span."""
        return _back(
            lambda first, last: self._requests(first, last, begin, end),
            *self._id_span("attempts", "started_at", begin, end),
        )


def _back(read: Callable[[int, int], list[Row]], first: int, last: int) -> Iterator[Row]:
    """The rows with ids between two, from the last one on."""
    for start, stop in _parts(first, last):
        yield from sorted(read(start, stop), key=_AT, reverse=True)


def _parts(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Ids between two in parts, each from one up to another, the last part first."""
    end, size = last + 1, FIRST
    while end > first:
        start = max(end - size, first)
        yield start, end
        end, size = start, min(2 * size, CHUNK)
