"""Read session: what several questions in a row ask of the past, without awaiting each.

Match judges a whole batch in one session, which a database over a network may run in a thread. A
session is good within the call that gave it and no longer.
"""

import json
from collections.abc import Collection, Iterable, Sequence

from ringback.events import Event
from ringback.rules.interpreter.progress import CAME_IN_TIME, TOO_FEW
from ringback.runtime import Runtime
from ringback.store import events, replays
from ringback.store.connection import Connection, one_of
from ringback.store.deliveries.escalations import Escalation, told_to
from ringback.store.events import KnownEvents
from ringback.store.facts import AheadGateFacts, JournalFacts, JournalGateFacts
from ringback.store.log import LogReader, LogRow
from ringback.store.meta import IS_OPEN, OPEN_STATES, in_account
from ringback.store.operations.list_turns import ListTurns
from ringback.store.operations.mutes import Mute, mute_of
from ringback.store.upkeep.blanking import key_digest

_CHUNK = 500
NEXT = 1000
"""How many events behind another one are looked at, whatever they are about."""


class ReadSession:
    """Questions over one connection, each answered at once."""

    def __init__(
        self, connection: Connection, log: LogReader, turns: ListTurns | None = None
    ) -> None:
        self._connection = connection
        self._log = log
        self._turns = turns

    def facts(self, runtime: Runtime) -> JournalFacts:
        """What conditions and texts may ask."""
        return JournalFacts(self._connection, runtime, self._turns)

    @property
    def gate(self) -> JournalGateFacts:
        """What the gate may ask."""
        return JournalGateFacts(self._connection, self._log)

    @property
    def gate_ahead(self) -> JournalGateFacts:
        """The same before the event is on record: see `AheadGateFacts`."""
        return AheadGateFacts(self._connection, self._log)

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
            "from runs where uid = ? and memory is not null "
            f"and {IS_OPEN}",
            (run_uid,),
        ).fetchone()
        event = self.event(row[0]) if row else None
        return (event, row[1], bool(row[2])) if event is not None else None

    def ready_for(self, run_uid: str) -> list[str]:
        """The events that a run has yet to take, oldest first."""
        rows = self._connection.execute(
            "select event_uid from wakes where run_uid = ? order by id", (run_uid,)
        )
        return [row[0] for row in rows]

    def later(self, keys: Iterable[str], *after: str) -> list[str]:
        """What came in these conversations, or about these subjects, after events, oldest first.
        Without any: what came next, whatever it is about; what comes behind so many found the run
        waiting."""
        places = [
            (f"and {'conversation' if '/' in key else 'subject_sid'} = ?", [key]) for key in keys
        ]
        found, marks = dict[int, str](), ",".join("?" * len(after))
        for where, key in places or [("", [])]:
            rows = self._connection.execute(
                "select id, uid from events where trust <> 'claimed' and source <> 'replay' "
                f"{where} and id > (select max(id) from events where uid in ({marks})) "
                "order by id limit ?",
                (*key, *after, -1 if key else NEXT),
            )
            found.update(rows)
        return [uid for _, uid in sorted(found.items())]

    def told_to(self, channels: Collection[str]) -> list[Escalation]:
        """The open incidents that one of these channels was told of, the newest first."""
        return told_to(self._connection, channels)

    def mute(self, conversation: str, now: str) -> Mute | None:
        """The mute of a conversation that holds at this moment."""
        return mute_of(self._connection, conversation, now)

    def verdicts(self, event_uid: str) -> dict[str, str]:
        """The verdict of each rule on an event."""
        row = self._connection.execute(
            "select verdicts from events where uid = ?", (event_uid,)
        ).fetchone()
        found: dict[str, str] = json.loads(row[0]) if row and row[0] else {}
        return found

    def not_begun(self, event_uid: str) -> dict[str, tuple[str, str]]:
        """The runs of an event that have not begun, by their rules: the uid and the key."""
        rows = self._connection.execute(
            "select rule, uid, key from runs where event_uid = ? and memory is null "
            "and state in ('pending', 'waiting')",
            (event_uid,),
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def copies(self, uid: str) -> list[str]:
        """The replays of an event, oldest first."""
        return events.copies(self._connection, uid)

    def known(self, found: Iterable[Event]) -> KnownEvents:
        """What is on record of these events."""
        return KnownEvents.read(self._connection, found)

    def claimed_twin(self, dedupe_key: str) -> Event | None:
        """The event of this identity, when all that is known of it is a claim."""
        row = self._connection.execute(
            "select uid from events where dedupe_key = ? and trust = 'claimed'", (dedupe_key,)
        ).fetchone()
        return self.event(row[0]) if row else None

    def proven_twin(self, uid: str) -> str:
        """The event that is proven under the identity which a claim stands for; empty when there is
        none."""
        row = self._connection.execute(
            "select b.uid from events a join events b on b.dedupe_key = "
            "substr(a.dedupe_key, 1, instr(a.dedupe_key || '~', '~') - 1) "
            "where a.uid = ? and b.uid <> a.uid and b.trust <> 'claimed'",
            (uid,),
        ).fetchone()
        return str(row[0]) if row else ""

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

    def depths_of(self, events: Sequence[Event]) -> dict[str, int]:
        """How deep the actions stand that made the messages and calls of these events, by SID."""
        told = {event.subject_sid: event.account_sid for event in events}
        sids = list(told)
        found: dict[str, int] = {}
        for start in range(0, len(sids), _CHUNK):
            chunk = sids[start : start + _CHUNK]
            rows = self._connection.execute(
                "select remote_sid, account_sid, max(depth) from actions where remote_sid <> '' "
                f"and remote_sid in ({','.join('?' * len(chunk))}) "
                "group by remote_sid, account_sid order by 3, 1, 2",
                chunk,
            )
            found.update(
                (sid, depth)
                for sid, account, depth in rows.fetchall()
                if in_account(self._connection, told[sid], account)
            )
        return found

    def rules_of(self, event_uid: str) -> set[str]:
        """The rules that have a run for this event."""
        rows = self._connection.execute("select rule from runs where event_uid = ?", (event_uid,))
        return {row[0] for row in rows}

    def last_firing(self, rule: str, key: str, ending: Collection[str] = ()) -> str | None:
        """When the event came that this rule last started a run of this key for: one that has an
        action, or has not ended and is none of those `ending` (uid), or was not idle
        (`was_idle`)."""
        row = self._connection.execute(
            "select e.received_at from runs r join events e on e.uid = r.event_uid "
            "where r.rule = ? and r.key in (?, ?) "
            f"and (({one_of(OPEN_STATES, 'r.state')} "
            f"and r.uid not in ({','.join('?' * len(ending))})) "
            "or (r.state = 'done' and r.reason <> ? and r.reason not like '%' || ?) "
            "or exists (select 1 from actions a where a.run_uid = r.uid)) "
            "order by r.id desc limit 1",
            (rule, key, key_digest(rule, key), *ending, TOO_FEW, CAME_IN_TIME),
        ).fetchone()
        return str(row[0]) if row else None

    def under_way(self, rule: str, key: str) -> list[str]:
        """The runs of a rule for a key that have not ended, oldest first."""
        rows = self._connection.execute(
            f"select uid from runs where rule = ? and key = ? and {IS_OPEN} order by id",
            (rule, key),
        )
        return [row[0] for row in rows]

    def collecting(self, rule: str, key: str) -> str:
        """The newest run of a rule for a key that still collects; empty when there is none."""
        row = self._connection.execute(
            "select uid from runs where rule = ? and key = ? "
            f"and {IS_OPEN} "
            "and (memory is null or json_extract(memory, '$.phase') = 'collect') "
            "order by id desc limit 1",
            (rule, key),
        ).fetchone()
        return str(row[0]) if row else ""
