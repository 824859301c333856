"""When is it night for a recipient? A number says where it belongs, not where its owner is.

So the zones of a number are a set, and a text is allowed only when it is day in all of them. Pure.
"""

from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

import phonenumbers


class Quiet:
    """The hours in which nobody is texted on our own initiative, as `21:00-08:00`; empty: none.

    `zone` stands in for numbers that do not tell theirs. Raises ValueError for a malformed span.
    """

    def __init__(self, span: str, zone: str = "") -> None:
        self._span = _parse(span)
        self._zone = ZoneInfo(zone) if zone else None

    def until(self, recipient: str, now: datetime) -> datetime | None:
        """When the quiet hours of this recipient end, None when it is not quiet there now."""
        if self._span is None:
            return None
        ends = [end for zone in self._zones(recipient) if (end := _end(self._span, zone, now))]
        if not ends:
            return None
        latest = max(ends)
        # Day must have come in every zone; the last to wake up may find the first at night again.
        later = self.until(recipient, latest)
        return later if later and later - now < timedelta(days=2) else latest

    def _zones(self, recipient: str) -> list[ZoneInfo]:
        names = zones_of(recipient)
        if names:
            return [ZoneInfo(name) for name in names]
        return [self._zone] if self._zone else [ZoneInfo("UTC")]


def _parse(span: str) -> tuple[time, time] | None:
    if not span.strip():
        return None
    start, dash, end = span.partition("-")
    if not dash:
        raise ValueError(f"quiet hours {span!r}: write them as 21:00-08:00")
    return time.fromisoformat(start.strip()), time.fromisoformat(end.strip())


def _end(span: tuple[time, time], zone: ZoneInfo, now: datetime) -> datetime | None:
    start, end = span
    local = now.astimezone(zone)
    clock = local.time()
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside:
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    return datetime.combine(day, end, tzinfo=zone).astimezone(UTC)


def zones_of(recipient: str) -> tuple[str, ...]:
    """The time zones that a number may belong to: all those of its country, which is what its
    prefix tells. Empty for what is no telephone number, such as a short code."""
    address = recipient.partition(":")[2] or recipient
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return ()
    region = phonenumbers.region_code_for_number(number)
    if region is None:
        region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return _zones_by_country().get(region, ())


@cache
def _zones_by_country() -> dict[str, tuple[str, ...]]:
    """Country code to zone names, from the table that comes with the time zone data."""
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}
