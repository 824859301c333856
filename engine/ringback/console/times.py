"""Times on pages: in the reader's zone, with its name, and spans in words."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from starlette.requests import HTTPConnection

from ringback.runtime import from_iso

COOKIE = "rb-zone"


def zone_of(request: HTTPConnection) -> tuple[str, tzinfo]:
    """The zone that a script of ours has noted in a cookie; else UTC."""
    name = request.cookies.get(COOKIE, "").replace("%2F", "/")
    if name and len(name) < 60 and not name.startswith(("/", ".")):
        try:
            return name, ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            pass
    return "UTC", UTC


def short_name(zone: tzinfo) -> str:
    """What a zone is called in short, as CET; its distance to UTC where it has no name."""
    name = datetime.now(zone).strftime("%Z")
    return name if name[:1].isalpha() else f"UTC{name}"


def clock(at: str, zone: tzinfo, *, day: bool = False) -> str:
    """A stored time as a clock shows it: to the millisecond, or to the second with its date."""
    moment = from_iso(at).astimezone(zone)
    if day:
        return moment.strftime("%d %b %Y %H:%M:%S")
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def date(at: str, zone: tzinfo) -> str:
    """The date of a stored time."""
    return from_iso(at).astimezone(zone).strftime("%d %b %Y")


def between(first: str, last: str) -> float:
    """Seconds from one stored time to another."""
    return (from_iso(last) - from_iso(first)).total_seconds()


def span(seconds: float) -> str:
    """How long something took, in the unit that fits: `41 ms`, `3.1 s`, `2 min`, `3 days`."""
    if seconds < 0.9995:
        return f"{max(round(seconds * 1000), 0)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} days"


def ago(at: str, now: datetime) -> str:
    """How long ago that was."""
    return f"{span(max((now - from_iso(at)).total_seconds(), 0.0))} ago"
