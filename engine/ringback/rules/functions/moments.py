"""Moments that people write: a date, a time or both, read in a time zone, strictly.

A moment that is read wrongly sends somebody to the wrong hour, so what is not one of these forms is
refused: a date with figures, in the order of a language, and a time of day.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from ringback.rules.language import scope
from ringback.rules.timing.calendar import zone
from ringback.runtime import from_iso

LONGEST = 60
_MONTH_FIRST = ("en", "en-us", "en-ph")
"""Languages in which 12/24 is Christmas Eve; elsewhere the day is first."""
_ISO_DATE = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})")
_DATE = re.compile(
    r"(?P<one>\d{1,2})(?P<sign>[./-])(?P<two>\d{1,2})(?:(?P=sign)(?P<year>\d{4}|\d\d)?)?"
)
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?:(?:[:.]|h ?)(?P<minute>\d\d)(?::(?P<second>\d\d))?)? ?"
    r"(?P<word>a\.?m\.?|p\.?m\.?|uhr|h)?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"(?:,| |T)+(?:at |um |a las |às |à )?", re.IGNORECASE)
_MEND = "write it like 2026-12-24 18:00"


def is_moment(text: str, zone_name: str, language: str = "") -> bool:
    """Whether `moment` reads this text."""
    try:
        moment(text, zone_name, language)
    except ValueError:
        return False
    return True


def moment(text: str, zone_name: str, language: str = "") -> datetime:
    """The moment that a text names, in UTC. A date without a year is the next such day, a time
    without a date the next such time, a date without a time its beginning.

    Raises ValueError for a text that is none of the forms, and for days that there are not.
    """
    given = " ".join(text.split())
    if len(given) > LONGEST:
        raise ValueError(f"a text of {len(given)} letters is no moment; {_MEND}")
    try:
        return _moment(given, zone_name, language)
    except OverflowError:
        raise ValueError(f"{text!r} is no moment; {_MEND}") from None


def _moment(given: str, zone_name: str, language: str) -> datetime:
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(?:Z|[+-]\d\d:?\d\d)", given):
        return from_iso(given).astimezone(UTC)
    here = scope.current().now.astimezone(zone(zone_name))
    day, rest = _day(given, here.date(), language)
    at = _time(rest, alone=day is None, whole=given)
    found = datetime.combine(day or here.date(), at or time(), here.tzinfo)
    if day is None and found <= here:
        found += timedelta(days=1)
    return found.astimezone(UTC)


def _day(text: str, today: date, language: str) -> tuple[date | None, str]:
    """The date at the beginning of a text, None without one, and what stands behind it."""
    if iso := _ISO_DATE.match(text):
        return date(int(iso["year"]), int(iso["month"]), int(iso["day"])), text[iso.end() :]
    found = _DATE.match(text) if language else None
    if found is None or (found["sign"] == "." and _TIME.fullmatch(text)):
        return None, text
    first, second = int(found["one"]), int(found["two"])
    month_first = found["sign"] != "." and language.lower() in _MONTH_FIRST
    month, day = (first, second) if month_first else (second, first)
    rest, year = text[found.end() :], found["year"]
    if year:
        return date(int(year) + (2000 if len(year) == 2 else 0), month, day), rest
    near = date(today.year, month, day)
    return near if near >= today else date(today.year + 1, month, day), rest


def _time(text: str, *, alone: bool, whole: str) -> time | None:
    """The time of day behind a date, or alone; None when nothing stands there."""
    between = _BETWEEN.match(text)
    rest = text[between.end() :] if between and not alone else text
    if not rest and not alone:
        return None
    found = _TIME.fullmatch(rest) if (alone or between) else None
    word = (found["word"] or "").lower().replace(".", "") if found else ""
    if found is None or not (found["minute"] or word):
        raise ValueError(f"{whole!r} is no moment; {_MEND}")
    if "." in rest and not word:  # the ninth of October, or ten past nine
        raise ValueError(f"{whole!r} may be a date or a time; write 9:10, or 9.10. for the date")
    hour = int(found["hour"])
    if word in ("am", "pm"):
        if not 1 <= hour <= 12:
            raise ValueError(f"{whole!r} is no moment: the hours of {word} are 1 to 12")
        hour = hour % 12 + (12 if word == "pm" else 0)
    return time(hour, int(found["minute"] or 0), int(found["second"] or 0))
