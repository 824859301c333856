"""Cron schedules: when a line comes true next, in its own time zone."""

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from ringback.rules.timing.calendar import zone


def bad_cron(line: str) -> str:
    """What is wrong with a cron line, empty when nothing is."""
    if len(line.split()) != 5:
        return "a schedule has five parts: minute hour day month weekday, like '0 9 * * mon-fri'"
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return str(error)
    except StopIteration:
        return "this never comes true"
    return ""


def next_time(line: str, zone_name: str, moment: datetime) -> datetime | None:
    """The first time after the moment at which the line is true, UTC; None when there is none."""
    try:
        found: datetime = next(CronSim(line, moment.astimezone(zone(zone_name))))
    except StopIteration:
        return None
    return found.astimezone(UTC)
