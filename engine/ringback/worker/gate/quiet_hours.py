"""Quiet hours: when it is night for a recipient. A number says where it belongs, not its owner.

So the zones of a number are a set, and a text is allowed only when it is day in all of them. Pure.
"""

from datetime import UTC, datetime, time, timedelta
from functools import cache, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

LONGEST_DAY = timedelta(hours=25)
"""The one on which clocks are set back."""


class Quiet:
    """The hours in which nobody is texted on our own initiative, as `21:00-08:00`; empty: none.

    `zone` stands in for numbers that do not tell theirs. Raises ValueError for a malformed span.
    """

    def __init__(self, span: str, zone: str = "") -> None:
        self._span = _parse(span)
        self._zone = ZoneInfo(zone) if zone else None

    def until(self, recipient: str, now: datetime) -> datetime | None:
        """When the quiet hours of this recipient end, None when it is not quiet there now.

        Day must have come in every zone. Where no hour of the day is day in all of them, the
        first of those hours counts in which it is night in the fewest.
        """
        if self._span is None:
            return None
        span, zones = self._span, self._zones(recipient)
        nights = _nights(span, zones, now)
        if not nights:
            return None
        mornings = {_morning(span, zone, now, days) for zone in zones for days in range(3)}
        fewest, moment = min(
            (_nights(span, zones, moment), moment)
            for moment in mornings
            if now < moment <= now + LONGEST_DAY
        )
        return moment if fewest < nights else None

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


def _nights(span: tuple[time, time], zones: list[ZoneInfo], moment: datetime) -> int:
    """In how many of the zones it is quiet."""
    start, end = span
    clocks = [moment.astimezone(zone).time() for zone in zones]
    if start < end:
        return sum(start <= clock < end for clock in clocks)
    return sum(clock >= start or clock < end for clock in clocks)


def _morning(span: tuple[time, time], zone: ZoneInfo, now: datetime, days: int) -> datetime:
    """When the quiet hours of a zone end, so many days from now."""
    day = now.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, span[1], tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=4096)
def zones_of(recipient: str) -> tuple[str, ...]:
    """The time zones that a number may belong to: those of its area, or all those of its country
    when it tells no area, as most mobile numbers outside of North America. Empty for what is no
    telephone number, such as a short code."""
    address = recipient.partition(":")[2] or recipient
    try:
        number = phonenumbers.parse(address)
    except phonenumbers.NumberParseException:
        return ()
    if phonenumbers.is_number_geographical(number) and (near := _zones_of_area(number)):
        return near
    region = phonenumbers.region_code_for_number(number)
    if region is None:
        region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return _zones_by_country().get(region, ())


def local_times(recipient: str, now: datetime) -> list[str]:
    """The time where a number belongs, as 14:05; where that may be several, the earliest and the
    latest. Empty where a number does not tell."""
    there = sorted(
        (now.astimezone(ZoneInfo(name)).replace(tzinfo=None) for name in zones_of(recipient)),
    )
    shown = [f"{moment:%H:%M}" for moment in there]
    return shown[:1] if shown[:1] == shown[-1:] else [shown[0], shown[-1]]


def _zones_of_area(number: phonenumbers.PhoneNumber) -> tuple[str, ...]:
    """The zones of an area code; empty when they are unknown, to it or to this machine."""
    from phonenumbers.timezone import time_zones_for_geographical_number  # 2 MB, only for this

    zones: tuple[str, ...] = tuple(time_zones_for_geographical_number(number))
    try:
        for zone in zones:
            ZoneInfo(zone)
    except (ValueError, ZoneInfoNotFoundError):
        return ()
    return zones


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
