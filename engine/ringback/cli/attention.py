"""List of what waits for a person: what has stopped, parked actions, incidents of late."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from ringback.cli.control import worker_status
from ringback.cli.finding import BAD, OK, WARN, Finding
from ringback.cli.project_context import clock_of
from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.gateway.client import Gateway
from ringback.runtime import iso

MOST = 200
SHOWN = 5


async def at_work(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """What a running worker says: whether messages and calls leave, and what it cannot do. Of one
    that is away, what it left unfinished."""
    status = await worker_status(settings.data)
    if not status:
        for incident in _open_incidents(settings):
            yield Finding("sending", WARN, incident["text"], "start the node: it goes on with it")
        return
    stopped = status.get("stopped", ())
    for each in stopped:
        yield Finding("sending", BAD, each["says"], each["mend"])
    if status.get("held"):
        yield Finding("sending", WARN, f"held: {status['held']}", "see `ringback resume`")
    elif status.get("paused"):
        yield Finding("sending", WARN, "paused by a person", "see `ringback resume`")
    elif not stopped:
        yield Finding("sending", OK, "nothing holds it back")
    for name, (since, why) in status.get("failing", {}).items():
        yield Finding("watch", WARN, f"{name} has failed since {since}: {why}", "mend what it says")
    if doubted := status.get("doubted"):
        says = f"not confirmed so far: {doubted[0]}, looked at again; the last one: {doubted[1]}"
        yield Finding("claims", WARN, says, "`ringback trace` of the event says why")
    for name, count in status.get("missed", {}).items():
        mend = "let it do less, or use a rule, which misses nothing"
        yield Finding("plugins", WARN, f"{name} is too slow and has missed {count} events", mend)


def _open_incidents(settings: Settings) -> list[dict[str, Any]]:
    from ringback.store.data_place import DataPlace
    from ringback.store.queries.questions import Questions

    try:
        with Questions(DataPlace(settings.data, settings.database_url)) as asked:
            return asked.open_incidents("sending")
    except RingbackError:  # there is none yet, or the look at the databases has said what is wrong
        return []


async def matters(settings: Settings, gateway: Gateway | None) -> AsyncIterator[Finding]:
    """The actions that a person has to decide about, and the incidents of the last day that are
    not over."""
    from ringback.store.data_place import DataPlace
    from ringback.store.queries.questions import Questions

    since = iso(clock_of(settings.data) - timedelta(days=1))
    try:
        with Questions(DataPlace(settings.data, settings.database_url)) as asked:
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
