"""Read session: what several questions in a row ask of the past, without awaiting each.

Match judges a whole batch in one session, which a database over a network may run in a thread. A
session is good within the call that gave it and no longer.
"""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from ringback.events import Event
from ringback.runtime import Runtime
from ringback.store import events, replays
from ringback.store.events import KnownEvents
from ringback.store.facts import JournalFacts, JournalGateFacts
from ringback.store.log import LogReader, LogRow

_CHUNK = 500


class ReadSession:
    """Questions over one connection, each answered at once."""

    def __init__(self, connection: Connection, log: LogReader) -> None:
        self._connection = connection
        self._log = log

    def facts(self, runtime: Runtime) -> JournalFacts:
        """What conditions and texts may ask."""
        return JournalFacts(self._connection, runtime)

    @property
    def gate(self) -> JournalGateFacts:
        """What the gate may ask."""
        return JournalGateFacts(self._connection, self._log)

    def event(self, uid: str) -> Event | None:
        """The event of this uid, whole, or None when the journal does not know it."""
        return events.event(self._connection, self._log, uid)

    def whole_event(self, uid: str) -> Event:
        """A stored event with everything that was said in it. Raises UsageError when there is none,
        and when what was said is no longer kept."""
        return replays.whole(self._connection, self._log, uid)

    def log_row(self, uid: str) -> LogRow | None:
        """The row of the log that this event was parsed from."""
        return events.log_row(self._connection, self._log, uid)

    def waiting(self, run_uid: str) -> tuple[Event, str, bool] | None:
        """Of a run that waits: the event that it began with, its memory, and whether events lie
        ready for it; None when it does not wait or its event is not kept."""
        row = self._connection.execute(
            "select event_uid, memory, exists (select 1 from wakes where run_uid = uid) "
            "from runs where uid = ? and memory is not null",
            (run_uid,),
        ).fetchone()
        event = self.event(row[0]) if row else None
        return (event, row[1], bool(row[2])) if event is not None else None

    def copies(self, uid: str) -> list[str]:
        """The replays of an event, oldest first."""
        return events.copies(self._connection, uid)

    def known(self, found: Iterable[Event]) -> KnownEvents:
        """What is on record of these events."""
        return KnownEvents.read(self._connection, found)

    def claimed_twin(self, dedupe_key: str) -> str | None:
        """The event of this identity, when all that is known of it is a claim."""
        row = self._connection.execute(
            "select uid from events where dedupe_key = ? and trust = 'claimed'", (dedupe_key,)
        ).fetchone()
        return str(row[0]) if row else None

    def depths(self, tags: Sequence[str]) -> dict[str, int]:
        """How deep in a chain of our own doing the actions behind these attempt tags stand."""
        found: dict[str, int] = {}
        for start in range(0, len(tags), _CHUNK):
            chunk = tags[start : start + _CHUNK]
            found.update(
                self._connection.execute(
                    "select t.tag, a.depth from attempts t join actions a on a.uid = t.action_uid "
                    f"where t.tag in ({','.join('?' * len(chunk))})",
                    chunk,
                )
            )
        return found

    def rules_of(self, event_uid: str) -> set[str]:
        """The rules that have a run for this event."""
        rows = self._connection.execute("select rule from runs where event_uid = ?", (event_uid,))
        return {row[0] for row in rows}

    def last_firing(self, rule: str, key: str) -> str | None:
        """When the event came that this rule last started a run of this key for."""
        row = self._connection.execute(
            "select e.received_at from runs r join events e on e.uid = r.event_uid "
            "where r.rule = ? and r.key = ? and r.state <> 'skipped' order by r.id desc limit 1",
            (rule, key),
        ).fetchone()
        return str(row[0]) if row else None

    def under_way(self, rule: str, key: str) -> list[str]:
        """The runs of a rule for a key that have not ended, oldest first."""
        rows = self._connection.execute(
            "select uid from runs where rule = ? and key = ? "
            "and state in ('pending', 'running', 'waiting') order by id",
            (rule, key),
        )
        return [row[0] for row in rows]

    def collecting(self, rule: str, key: str) -> str:
        """The newest run of a rule for a key that still collects; empty when there is none."""
        row = self._connection.execute(
            "select uid from runs where rule = ? and key = ? "
            "and state in ('pending', 'running', 'waiting') "
            "and (memory is null or json_extract(memory, '$.phase') = 'collect') "
            "order by id desc limit 1",
            (rule, key),
        ).fetchone()
        return str(row[0]) if row else ""
