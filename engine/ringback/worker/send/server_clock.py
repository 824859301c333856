"""Twilio's clock. Our own wall clock may be wrong, and may be set while we work.

What was sent is found again by when Twilio says that it made the record. So the moments that are
held against its records are in its time: the `Date` of its last answer, carried on by a clock
that nobody can set. While the two walls agree, ours is used. What was heard outlives the process.
"""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path

from ringback.runtime import Runtime, from_iso, iso
from ringback.store.attempts import Departure

AGREE = timedelta(seconds=5)
"""Two clocks that are no further apart than this show the same time."""
FRESH_SECONDS = 1.0


class ServerClock:
    """Twilio's clock, as far as it was heard."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._said: datetime | None = None
        self._at = 0.0
        self._noted: timedelta | None = None
        self.news = asyncio.Event()
        """Something was heard that the next process should know."""

    @property
    def heard(self) -> bool:
        """Whether an answer has shown the time yet."""
        return self._said is not None

    def restore(self, noted: str) -> None:
        """Take up what an earlier process heard, while the machine has not been restarted since."""
        with suppress(ValueError, KeyError, TypeError):
            heard = json.loads(noted)
            if heard["start"] == _machine_start() and heard["at"] <= self._runtime.uptime():
                self._said, self._at = from_iso(heard["said"]), float(heard["at"])

    def note(self) -> str:
        """What the next process should know, for its `restore`; empty when nothing was heard."""
        self.news.clear()
        if self._said is None:
            return ""
        self._noted = self._runtime.now() - self._theirs(self._said)
        return json.dumps({"said": iso(self._said), "at": self._at, "start": _machine_start()})

    def hear(self, date: str) -> None:
        """An answer came with this `Date` (RFC 9110, 5.6.7), empty when it had none."""
        now = self._runtime.uptime()
        if not date or (self._said is not None and 0 <= now - self._at < FRESH_SECONDS):
            return
        try:
            said = parsedate_to_datetime(date)
        except ValueError:
            return
        self._said = said if said.tzinfo else said.replace(tzinfo=UTC)
        self._at = now
        wrong = self._runtime.now() - self._said
        if self._noted is None or abs(wrong - self._noted) > AGREE:
            self.news.set()

    def now(self) -> datetime:
        """The moment at Twilio; our own while nothing was heard, or while both agree."""
        ours = self._runtime.now()
        if self._said is None:
            return ours
        theirs = self._theirs(self._said)
        return ours if abs(theirs - ours) <= AGREE else theirs

    def departure(self) -> Departure:
        """This moment, for a request that leaves now."""
        return Departure(iso(self.now()), self._runtime.uptime(), _machine_start())

    def starts(self, departure: Departure) -> tuple[datetime, ...]:
        """When, at Twilio, a request may have left.

        Since the same start of the machine its uptime tells, whatever the wall clock showed. After
        another start only the noted moment is left. It may be of a wrong clock of ours, before
        Twilio was heard: then the time by which that clock is wrong still, if it is, counts too.
        Empty when all of it would lie in the future: then nobody knows when it was.
        """
        now = self.now()
        if departure.uptime is not None and departure.machine_start == _machine_start():
            passed = self._runtime.uptime() - departure.uptime
            if passed >= 0:
                return (now - timedelta(seconds=passed),)
        noted = from_iso(departure.at)
        wrong = self._runtime.now() - now
        moments = (noted, noted - wrong) if wrong else (noted,)
        return tuple(moment for moment in moments if moment <= now + AGREE)

    def _theirs(self, said: datetime) -> datetime:
        return said + timedelta(seconds=self._runtime.uptime() - self._at)


@cache
def _machine_start() -> str:
    """Which start of the machine this is; its uptime means nothing to another one. Empty where the
    system does not say: then two are distinguished by an uptime that went back."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
