"""Silence watch: an incident for a busy number of ours to which nothing comes any more.

Silence of hours is held against the same hours of earlier days. Of a number that something comes to
all the time, minutes are enough.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from ringback.config import Settings
from ringback.events import Event, conversation_of
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.events import Quiet
from ringback.store.interface import Journal
from ringback.worker.gate.quiet_hours import zones_of
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.watch import silence

SILENT_SECONDS = 300.0
SUDDEN_SECONDS = 60.0
KIND = "silent"
_LATELY = timedelta(days=4)
"""What has come to no number within this is no new silence. A weekend lies within it."""
_INSTANT = timedelta(milliseconds=1)


@dataclass(slots=True)
class SilenceWatch:
    """Opens and resolves the incidents of silent numbers, and records `watch.silent` for each."""

    journal: Journal
    settings: Settings
    runtime: Runtime
    incidents: Incidents

    async def silent(self) -> int:
        """Look for numbers to which nothing comes at hours at which something should; how many
        there are."""
        now, events = self.runtime.now(), self.journal.events
        still = await self._still_silent(now)
        for quiet in await events.busy_numbers(iso(now - _LATELY), silence.BUSY):
            last = from_iso(quiet.last_at)
            if _key(quiet) in still or now - last < silence.LEAST_SILENCE:
                continue
            since = iso(silence.look_back(last, now))
            came = await events.arrivals(quiet.number, since, quiet.last_at)
            counts = {from_iso(at): count for at, count in came}
            missed = silence.missed(counts, last, now, self._zone(quiet.number))
            if missed:
                still.add(_key(quiet))
                await self._tell(quiet, f"on other days {missed:.0f} came at these hours")
        return len(still)

    async def suddenly_silent(self) -> int:
        """Look for numbers to which something comes all the time, and nothing for minutes; how
        many are silent."""
        now, events = self.runtime.now(), self.journal.events
        still = await self._still_silent(now)
        for quiet in await events.busy_numbers(iso(now - silence.HOUR), silence.ALWAYS):
            last = from_iso(quiet.last_at)
            if _key(quiet) in still or now - last < silence.LEAST_SUDDEN:
                continue
            came = await events.arrivals(quiet.number, iso(last - silence.HOUR), quiet.last_at)
            often = [count for _, count in came]
            if not silence.missed_soon(often, [sum(often)], now - last):
                continue
            days = [last - number * timedelta(days=1) for number in range(1, silence.DAYS + 1)]
            after = await events.arrivals_after(quiet.number, days, silence.HOUR)
            missed = silence.missed_soon(often, after, now - last)
            if missed:
                still.add(_key(quiet))
                await self._tell(quiet, f"otherwise {missed:.0f} come in so many minutes")
        return len(still)

    async def _still_silent(self, now: datetime) -> set[str]:
        """The keys of numbers that were silent and still are: it is over when something comes, and
        not when they have been silent for so long that it is nothing new."""
        still: set[str] = set()
        for key in await self.journal.incidents.open_keys(KIND):
            opened = await self.journal.incidents.opened(key)
            if opened is None:
                continue
            since, number = opened[0], key.removeprefix(f"{KIND}:")
            if now - from_iso(since) > silence.GIVEN_UP:
                await self.incidents.resolve(key, KIND, f"{number} is taken for given up")
            elif await self.journal.events.arrivals(number, since, iso(now)):
                await self.incidents.resolve(key, KIND, f"something comes to {number} again")
            else:
                still.add(key)
        return still

    def _zone(self, number: str) -> tzinfo:
        """By which clock people come to a number of ours."""
        names = (*zones_of(number)[:1], self.settings.quiet_zone)
        return next((ZoneInfo(name) for name in names if name), UTC)

    async def _tell(self, quiet: Quiet, missed: str) -> None:
        number, now = quiet.number, self.runtime.now()
        mend = f"see where its webhooks lead: `ringback connect {number} --dry-run`"
        text = f"nothing has come to {number} since {quiet.last_at}; {missed}"
        said = {"Number": number, "Since": quiet.last_at, "Text": text}
        event = Event(
            uid=self.runtime.uid("evt"), type="watch.silent", at=now, received_at=now,
            source="internal", sender=number, conversation=conversation_of(number, ""),
            dedupe_key=f"silent:{number}:{quiet.last_uid}", fields=said,
        )  # fmt: skip
        await self.journal.events.record_internal(event)
        await self.incidents.open(
            _key(quiet), KIND, f"{text}. {mend[:1].upper()}{mend[1:]}.",
            since=from_iso(quiet.last_at) + _INSTANT,
            more={"Number": number, "Fault": "unknown", "Mend": mend},
        )  # fmt: skip


def _key(quiet: Quiet) -> str:
    return f"{KIND}:{quiet.number}"
