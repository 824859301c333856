"""Counter of hours: a thread that keeps the digest of the journal up to date.

It counts the hours of the past once, the newest first, then follows the journal: what has come
names the hours that it tells of, and these are counted again. What changes without a trace there
(a send that is given up after its time) is met by counting an hour again after a day and after
four. It reads in short statements, and rests three times as long as it works.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ringback.errors import RingbackError
from ringback.runtime import REAL, iso
from ringback.store.data_place import DataPlace
from ringback.store.digests.changed_hours import TABLES
from ringback.store.digests.cohorts import COUNTED, Counts
from ringback.store.digests.digest import DAYS, MEASURES, Digest
from ringback.store.queries.questions import Questions

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
REST = 3.0
"""It rests so many times as long as it worked."""
LONG = 0.2
"""An hour that took so many seconds is not counted again at once, but after `WAITS` times as long:
so a busy hour takes a sixth of a core at most, and its figures are as old as that."""
WAITS = 5
KEPT = timedelta(days=8)
"""Hours that are older are not counted again: their rows may be gone."""
AGES = tuple(timedelta(hours=hours) for hours in (0, 1, 3, 24, 96))
"""How old an hour is when it is counted again: prices come later than what they are for."""
HOUR = timedelta(hours=1)


class Counting:
    """Keeps the digest of a journal in a thread of its own, from `start` to `close`."""

    def __init__(
        self, where: Path | DataPlace, *, every: float = EVERY_SECONDS, rest: float = REST
    ) -> None:
        self._place, self._every, self._rest = DataPlace.of(where), every, rest
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="digest", daemon=True)
        self._took: dict[tuple[str, str], tuple[float, float]] = {}
        self._looked = ""
        self.digest: Digest | None = None
        """None until all of the past are counted; then it answers."""
        self.ready = threading.Event()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, and wait for the thread."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0):
            try:
                if self._place.has_journal():
                    with (
                        contextlib.closing(Questions(self._place)) as asked,
                        contextlib.closing(Digest(self._place.data, asked.identity())) as digest,
                    ):
                        self._keep(asked, digest)
            except RingbackError as error:
                log.warning("the digest is not kept: %s", error)
            self._ended.wait(self._every)

    def _keep(self, asked: Questions, digest: Digest) -> None:
        if not digest.mark("events"):
            digest.follow({name: str(at) for name, at in asked.newest_ids().items()}, ())
        self._looked = ""
        try:
            while not self._ended.is_set() and asked.current():
                self._turn(asked, digest)
                self.digest = digest
                self.ready.set()
                self._ended.wait(self._every)
        finally:
            self.digest = None  # before it is closed

    def _turn(self, asked: Questions, digest: Digest) -> None:
        """Count what is not counted yet, and what has changed."""
        more = True
        while more and not self._ended.is_set():
            began = time.monotonic()
            found = asked.changed({name: int(digest.mark(name) or 0) for name in TABLES})
            digest.follow({name: str(at) for name, at in found.marks.items()}, found.hours)
            more = found.more
            self._pause(began)
        oldest = asked.oldest()
        if not oldest:
            return
        now = REAL.now()
        if iso(now)[:13] != self._looked:  # what is lacking changes with the hour
            for measure, hours in _lacking(digest, oldest, now):
                if self._ended.is_set():
                    return
                self._count(asked, digest, measure, hours)
            self._looked = iso(now)[:13]
        due = digest.due()
        known = {measure: digest.counted(measure) for measure, _ in due}
        for measure, hour in due:
            if not self._ended.is_set() and (
                hour >= iso(now - KEPT)[:13] or hour not in known[measure]
            ):
                self._count(asked, digest, measure, [hour])
        digest.forget(iso(now - timedelta(days=DAYS))[:10])

    def _count(self, asked: Questions, digest: Digest, measure: str, hours: Sequence[str]) -> None:
        """Count hours of one day, the first one first; what takes long not again at once."""
        ended, took = self._took.get((measure, hours[0]), (0.0, 0.0))
        if took > LONG and time.monotonic() < ended + WAITS * took:
            return
        whole, now = time.monotonic(), iso(REAL.now())
        found = {hour: Counts() for hour in hours}
        counts = COUNTED[measure]
        began = time.monotonic()
        for rows in chunks(asked, measure, span(hours[0])[0], span(hours[-1])[1]):
            for row in rows:
                tally = found.get(str(row["at"])[:13])
                if tally is not None:
                    for key, n in counts(row).items():
                        tally[key] += n
            self._pause(began)
            if self._ended.is_set():
                return
            began = time.monotonic()
        digest.put(measure, found, now)
        self._took[measure, hours[0]] = time.monotonic(), time.monotonic() - whole
        if len(self._took) > 1000:
            self._took.clear()

    def _pause(self, began: float) -> None:
        self._ended.wait((time.monotonic() - began) * self._rest)


def chunks(
    asked: Questions, measure: str, begin: str, end: str
) -> Iterator[list[dict[str, object]]]:
    """The rows of a span, in chunks."""
    between = {
        "texts": asked.texts_between, "failures": asked.failures_between,
        "left": asked.left_between,
    }  # fmt: skip
    return between[measure](begin, end)


def span(hour: str) -> tuple[str, str]:
    """The stored times at which an hour (`2026-03-04T17`) begins and ends."""
    begin = datetime.fromisoformat(f"{hour}:00:00+00:00")
    return iso(begin), iso(begin + HOUR)


def _lacking(digest: Digest, oldest: str, now: datetime) -> list[tuple[str, list[str]]]:
    """The hours that have not been counted since they ended, or since they were a day or four days
    old, by day, the newest day first."""
    found: dict[tuple[str, str], list[str]] = {}
    first = max(datetime.fromisoformat(oldest), now - timedelta(days=DAYS))
    for measure in MEASURES:
        counted = digest.counted(measure)
        hour = first.replace(minute=0, second=0, microsecond=0)
        while hour <= now:
            name, end = iso(hour)[:13], hour + HOUR
            last = max((iso(end + age) for age in AGES if end + age <= now), default="")
            known = counted.get(name, "")
            if not known or (now - hour < KEPT and known < last):
                found.setdefault((name[:10], measure), []).append(name)
            hour += HOUR
    return [(measure, found[day, measure]) for day, measure in sorted(found, reverse=True)]
