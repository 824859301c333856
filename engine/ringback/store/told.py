"""Was this told before? The same delivery has the same identity; a status that was fetched back has
another one than its webhook, and is the same news all the same."""

from collections.abc import Iterable
from sqlite3 import Connection

from ringback.events import Event
from ringback.store.matching import known_keys

REPAIR = "repair"
_CALL_STATUS = "cs:"
"""How identities of call statuses begin. They end with the number that the webhook has in the
order of its call; what is read from the API has none."""

Statuses = dict[tuple[str, str], dict[str, str]]
"""Of each call and type of event: the identities that were recorded, and their sources."""


class Told:
    """What has been told so far, as far as it matters for the events at hand."""

    def __init__(self, keys: Iterable[str] = (), statuses: Statuses | None = None) -> None:
        self._keys = set(keys)
        self._statuses: Statuses = statuses or {}

    @classmethod
    def read(cls, connection: Connection, events: Iterable[Event]) -> "Told":
        """What the journal knows of these events."""
        given = list(events)
        calls = {event.subject_sid for event in given if _is_status(event)}
        return cls(
            known_keys(connection, [event.dedupe_key for event in given]),
            _statuses(connection, sorted(calls)) if calls else None,
        )

    def under(self, event: Event) -> str:
        """The identity under which this event was told before; empty when it is news."""
        if event.dedupe_key in self._keys:
            return event.dedupe_key
        if _is_status(event):
            told = self._statuses.get((event.subject_sid, event.type), {})
            for key, source in told.items():
                if REPAIR in (source, event.source):
                    return key
        return ""

    def add(self, event: Event) -> None:
        """From now on this event is known."""
        self._keys.add(event.dedupe_key)
        if _is_status(event):
            told = self._statuses.setdefault((event.subject_sid, event.type), {})
            told[event.dedupe_key] = event.source


def _is_status(event: Event) -> bool:
    return event.dedupe_key.startswith(_CALL_STATUS)


def _statuses(connection: Connection, sids: list[str]) -> Statuses:
    found: Statuses = {}
    for start in range(0, len(sids), 500):
        chunk = sids[start : start + 500]
        marks = ",".join("?" * len(chunk))
        for sid, type_, key, source in connection.execute(
            f"select subject_sid, type, dedupe_key, source from events "
            f"where subject_sid in ({marks})",
            chunk,
        ):
            if key.startswith(_CALL_STATUS):
                found.setdefault((sid, type_), {})[key] = source
    return found
