"""List of what waits for a person: parked actions, and what the worker has found wrong of late."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from ringback.cli.doctor_checks import WARN, Finding
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.gateway.client import Gateway
from ringback.runtime import iso

MOST = 200
SHOWN = 5


async def matters(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """The actions that a person has to decide about, and the incidents of the last day that are
    not over."""
    from ringback.store.queries import Questions

    since = iso(datetime.now(UTC) - timedelta(days=1))
    try:
        with Questions(settings.data) as asked:
            parked = asked.actions(state="parked", limit=MOST)
            opened = asked.events(type="incident.opened", since=since, limit=MOST)
            over = {
                row["subject_sid"]
                for row in asked.events(type="incident.resolved", since=since, limit=MOST)
            }
    except RingbackError:  # there is none yet, or the look at the databases has said what is wrong
        return
    if parked:
        many = f"{len(parked)}{' or more' if len(parked) == MOST else ''}"
        says = f"{many} parked: nobody but a person can decide about them"
        yield Finding("actions", WARN, says, "`ringback actions list --state parked`")
    still = [row for row in opened if row["subject_sid"] not in over]
    for row in still[:SHOWN]:
        says = f"{row['fields'].get('Text')} ({row['received_at']})"
        yield Finding(
            "incidents", WARN, says, f"`ringback trace {row['uid']}` shows who heard of it"
        )
    if len(still) > SHOWN:
        says = f"{len(still) - SHOWN} more of the last day"
        yield Finding("incidents", WARN, says, "`ringback events list --type 'incident.*'`")
