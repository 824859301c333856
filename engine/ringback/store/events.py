"""Events: what came in and what we recorded ourselves, brought back whole."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ringback.error_codes import error_class
from ringback.events import REPLAY, Event
from ringback.runtime import from_iso, iso
from ringback.store.connection import OVERTAKING, Connection, Row, first_since, one_of
from ringback.store.database import Database
from ringback.store.log import LogReader, LogRow
from ringback.store.meta import OPEN_STATES, get_meta
from ringback.store.upkeep.event_counts import add_counts
from ringback.twilio.kinds import failed_document
from ringback.twilio.webhooks import JSON_ROUTES, events_from

_COLUMNS = (
    "log_id, uid, type, at, received_at, trust, source, account_sid, subject_sid, sender, "
    "recipient, conversation, status, error_code, tag, dedupe_key, depth, fields"
)

ERASED = "erased"
"""What was erased of the last days: JSON, the SIDs with the moments of their arrival."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A number of ours: how many texts and calls came within a span, and when the last one did."""

    number: str
    count: int
    last_at: str
    last_uid: str


class Events:
    """The events of the journal. The log has their bodies, the journal their identities.

    When the log has forgotten a body (retention), the parsed facts are still there and only
    `fields` is empty.
    """

    def __init__(self, database: Database, log: LogReader) -> None:
        self._database = database
        self._log = log

    async def get(self, uid: str) -> Event | None:
        """The event of this uid, whole, or None when the journal does not know it."""
        return await self._database.read(event, self._log, uid)

    async def log_row(self, uid: str) -> LogRow | None:
        """The row of the log that this event was parsed from."""
        return await self._database.read(log_row, self._log, uid)

    async def uid_of(self, event: Event) -> str | None:
        """The event that a delivery like this became, by whichever row it came first."""
        if asks_again(event):
            found = await self._database.read(_newest_request, event.subject_sid)
            return found[0] or None
        row = await self._database.one(
            "select uid from events where dedupe_key in (?, ?) and account_sid in ('', ?) "
            "order by id desc limit 1",
            (
                event.dedupe_key, others_key(event.dedupe_key, event.account_sid),
                event.account_sid,
            ),
        )  # fmt: skip
        return str(row[0]) if row else None

    async def left(self) -> list[tuple[str, list[str]]]:
        """The events that start runs or lie ready for some, in the order in which they were
        recorded, each with the runs that it is to wake."""
        rows = await self._database.all(
            "select e.id, e.uid, w.run_uid, w.id from wakes w join events e on e.uid = w.event_uid "
            "union all select distinct e.id, e.uid, '', 0 from runs r "
            "join events e on e.uid = r.event_uid where r.state = 'pending' "
            f"and {one_of(OPEN_STATES, 'r.state')} order by 1, 4"  # as the index says
        )
        found: dict[str, list[str]] = {}
        for _, event_uid, run_uid, _ in rows:
            found.setdefault(event_uid, []).extend([run_uid] if run_uid else [])
        return list(found.items())

    async def unmatched(self, limit: int) -> list[Event]:
        """Events of our own making that were recorded but have not been matched yet."""
        return await self._database.read(_unmatched, self._log, limit)

    async def unproven(self, limit: int, since: str = "~") -> list[Event]:
        """Claimed events that nobody has looked up yet, oldest first; behind them those that came
        since then (ISO) and could not be confirmed."""
        return await self._database.read(_unproven, self._log, limit, since)

    async def subject_sid(self, uid: str) -> str:
        """The SID of what an event is about; empty when it is about nothing of Twilio's."""
        row = await self._database.one("select subject_sid from events where uid = ?", (uid,))
        return str(row[0]) if row else ""

    async def last_uid(self) -> str:
        """The newest event on record; empty when there is none."""
        row = await self._database.one("select uid from events order by id desc limit 1")
        return str(row[0]) if row else ""

    async def known_subjects(self, sids: Sequence[str], types: Sequence[str]) -> set[str]:
        """Which of these messages or calls the journal has an event of, of one of these types
        (`call.%` is all of calls), with those that it was asked to forget."""
        return await self._database.read(_known_subjects, sids, types)

    async def open_calls(self, since: str, ends: Sequence[str]) -> str | None:
        """When the first call rang, since then, of whose end the journal has no event: of none of
        these types."""
        return await self._database.read(_open_calls, since, ends)

    async def reported(self, types: Sequence[str]) -> bool:
        """Whether a webhook has ever brought an event of one of these types."""
        row = await self._database.one(
            "select 1 from events where source = 'webhook' and type in "
            f"({','.join('?' * len(types))}) limit 1",
            tuple(types),
        )
        return row is not None

    async def last_received(self) -> str:
        """When the newest event from outside was recorded; empty when there is none."""
        row = await self._database.one(
            "select received_at from events where source not in ('internal', 'replay') "
            "order by id desc limit 1"
        )
        return str(row[0]) if row else ""

    async def busy_numbers(self, since: str, least: int) -> list[Quiet]:
        """Our numbers with at least so many texts and calls since that moment."""
        return await self._database.read(_busy_numbers, since, least)

    async def arrivals(self, number: str, since: str, until: str) -> list[tuple[str, int]]:
        """How many texts and calls came to a number of ours, by ten minutes: when the first of each
        came, and how many there were."""
        return await self._database.read(_arrivals, number, since, until)

    async def arrivals_after(
        self, number: str, moments: Sequence[datetime], span: timedelta
    ) -> list[int]:
        """How many texts and calls came to a number of ours within a span after each of these
        moments, without those from which on nothing is on record yet."""
        return await self._database.read(_arrivals_after, number, moments, span)

    async def record_internal(self, event: Event) -> bool:
        """Record an event of our own making, to be matched like any other. False when it is
        known."""
        return await self._database.write(record_internal, event)


def _open_calls(connection: Connection, since: str, ends: Sequence[str]) -> str | None:
    row = connection.execute(
        "select min(at) from events e where type = 'call.received' and id >= ? and "
        "received_at >= ? and source <> 'replay' and not exists (select 1 from events f where "
        f"f.subject_sid = e.subject_sid and f.type in ({','.join('?' * len(ends))}))",
        (first_since(connection, "events", "received_at", since), since, *ends),
    ).fetchone()
    return str(row[0]) if row[0] else None


def _busy_numbers(connection: Connection, since: str, least: int) -> list[Quiet]:
    rows = connection.execute(
        "select recipient, count(*), max(received_at), max(uid) from events where id >= ? "
        "and type in ('message.received', 'call.received') and received_at >= ? "
        "and trust <> 'claimed' group by recipient having count(*) >= ? order by recipient",
        (first_since(connection, "events", "received_at", since), since, least),
    )
    return [Quiet(*row) for row in rows]


def event(connection: Connection, log: LogReader, uid: str) -> Event | None:
    """`Events.get`, within a unit of work."""
    row = connection.execute(f"select {_COLUMNS} from events where uid = ?", (uid,)).fetchone()
    return _event(row, log) if row else None


def copies(connection: Connection, uid: str) -> list[str]:
    """The replays of an event, oldest first."""
    rows = connection.execute(
        "select uid from events where dedupe_key > ? and dedupe_key < ? order by id",
        (f"{REPLAY}:{uid}:", f"{REPLAY}:{uid};"),  # the sign after the colon
    )
    return [row[0] for row in rows]


def log_row(connection: Connection, log: LogReader, uid: str) -> LogRow | None:
    """`Events.log_row`, within a unit of work."""
    row = connection.execute("select log_id from events where uid = ?", (uid,)).fetchone()
    return log.get(row[0]) if row and row[0] is not None else None


def _arrivals(connection: Connection, number: str, since: str, until: str) -> list[tuple[str, int]]:
    first = first_since(connection, "events", "received_at", since)
    last = first_since(connection, "events", "received_at", until) + 2 * OVERTAKING
    rows = connection.execute(
        "select min(received_at), count(*) from events where id >= ? and id <= ? "
        "and received_at >= ? and received_at <= ? "
        "and type in ('message.received', 'call.received') and recipient = ? "
        "and trust <> 'claimed' group by substr(received_at, 1, 15) order by 1",
        (first, last, since, until, number),
    )
    return [(row[0], row[1]) for row in rows]


def _arrivals_after(
    connection: Connection, number: str, moments: Sequence[datetime], span: timedelta
) -> list[int]:
    row = connection.execute("select received_at from events order by id limit 1").fetchone()
    first = row[0] if row else ""
    return [
        sum(count for _, count in _arrivals(connection, number, iso(moment), iso(moment + span)))
        for moment in moments
        if first and first <= iso(moment)
    ]


def _known_subjects(connection: Connection, sids: Sequence[str], types: Sequence[str]) -> set[str]:
    found = set(json.loads(get_meta(connection, ERASED, "{}"))).intersection(sids)
    for start in range(0, len(sids), 500):
        chunk = sids[start : start + 500]
        marks = ",".join("?" * len(chunk))
        rows = connection.execute(
            f"select distinct subject_sid from events where subject_sid in ({marks}) "
            f"and ({' or '.join('type like ?' for _ in types)})",
            (*chunk, *types),
        )
        found.update(row[0] for row in rows)
    return found


def _unmatched(connection: Connection, log: LogReader, limit: int) -> list[Event]:
    rows = connection.execute(
        f"select {_COLUMNS} from events where verdicts is null order by id limit ?", (limit,)
    )
    return [_event(row, log) for row in rows.fetchall()]


def _unproven(connection: Connection, log: LogReader, limit: int, since: str) -> list[Event]:
    rows = connection.execute(
        f"select {_COLUMNS} from events where trust = 'claimed' "
        "and (json_extract(verdicts, '$.proof') is null or received_at >= ?) "
        "order by json_extract(verdicts, '$.proof') is not null, id limit ?",
        (since, limit),
    )
    return [_event(row, log) for row in rows.fetchall()]


def _event(row: Row, log: LogReader) -> Event:
    known = dict(zip(_COLUMNS.split(", "), row, strict=True))
    log_id, fields = known.pop("log_id"), known.pop("fields")
    added = json.loads(fields) if fields else {}
    parsed = _parsed(log, log_id, known) if log_id is not None else None
    if parsed is not None:
        return replace(
            parsed, uid=known["uid"], depth=known["depth"], trust=known["trust"],
            error_code=known["error_code"], error_class=error_class(known["error_code"]),
            fields=MappingProxyType({**parsed.fields, **added}) if added else parsed.fields,
        )  # fmt: skip
    known["at"], known["received_at"] = from_iso(known["at"]), from_iso(known["received_at"])
    return Event(
        **known,
        error_class=error_class(known["error_code"]),
        fields=added,
    )


def _parsed(log: LogReader, log_id: int, known: dict[str, Any]) -> Event | None:
    source = log.get(log_id)
    return of_row(source, known["dedupe_key"]) if source else None


def of_row(row: LogRow, dedupe_key: str) -> Event | None:
    """The event of this identity as its row of the log has it: of Event Streams, one of several.
    None when what was said in it has been forgotten."""
    if row.route in JSON_ROUTES:
        found = _of_batch(row)
        return next(iter(found.values()), None) if len(found) == 1 else found.get(dedupe_key)
    return events_from(row, lambda: "")[0]


@lru_cache(maxsize=2)
def _of_batch(row: LogRow) -> dict[str, Event]:
    """The events of a batch by their identities. Whoever asks for one often asks for the next."""
    return {each.dedupe_key: each for each in reversed(events_from(row, lambda: ""))}


def record_internal(connection: Connection, event: Event) -> bool:
    """Write an event of our own making, to be matched like any other. False when it is known."""
    written = bool(
        connection.execute(
            "insert into events (uid, type, at, received_at, trust, source, account_sid, "
            "subject_sid, sender, recipient, conversation, status, error_code, tag, verdicts, "
            "dedupe_key, depth, fields) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,null,?,?,?) "
            "on conflict (dedupe_key) do nothing",
            (
                event.uid, event.type, iso(event.at), iso(event.received_at), event.trust,
                event.source, event.account_sid, event.subject_sid, event.sender, event.recipient,
                event.conversation, event.status, event.error_code, event.tag, event.dedupe_key,
                event.depth, json.dumps(dict(event.fields), ensure_ascii=False),
            ),
        ).rowcount
    )  # fmt: skip
    if written:
        add_counts(connection, (event,))
    return written


class KnownEvents:
    """What is on record so far, as far as it matters for the events at hand."""

    def __init__(
        self, accounts: dict[str, str] | None = None, requests: dict[str, str] | None = None
    ) -> None:
        self._accounts = dict(accounts or {})
        self._requests = dict(requests or {})

    @classmethod
    def read(cls, connection: Connection, events: Iterable[Event]) -> "KnownEvents":
        """What the journal knows of these events."""
        given = list(events)
        again = dict.fromkeys(event.subject_sid for event in given if asks_again(event))
        requests = {sid: key for sid in again if (key := _newest_request(connection, sid)[1])}
        keys = [*(event.dedupe_key for event in given), *requests.values()]
        known = cls(known_keys(connection, keys), requests)
        others = [own.dedupe_key for event in given if (own := known.own(event)) is not event]
        known._accounts.update(known_keys(connection, others))
        return known

    def own(self, event: Event) -> Event:
        """The event under an identity that is its own. A SID belongs to one account: what another
        one says under the same SID is another event, and hides nothing. A call that is asked for
        once more, by its fallback address, is the request that was asked for before."""
        if asks_again(event) and event.subject_sid in self._requests:
            event = replace(event, dedupe_key=self._requests[event.subject_sid])
        before = self._accounts.get(event.dedupe_key, "")
        if not before or event.account_sid in ("", before):
            return event
        return replace(event, dedupe_key=others_key(event.dedupe_key, event.account_sid))

    def knows(self, event: Event) -> bool:
        """Whether this event is on record."""
        return event.dedupe_key in self._accounts

    def add(self, event: Event) -> None:
        """From now on this event is known."""
        self._accounts[event.dedupe_key] = event.account_sid
        if event.type == "call.received":
            self._requests[event.subject_sid] = event.dedupe_key


def asks_again(event: Event) -> bool:
    """Whether Twilio asks for a call once more, at its fallback address."""
    return event.type == "call.received" and failed_document(event.fields) is not None


def _newest_request(connection: Connection, call_sid: str) -> tuple[str, str]:
    """The uid and the identity of the last request for the document of a call; empty for none."""
    row = connection.execute(
        "select uid, dedupe_key from events where subject_sid = ? and type = 'call.received' "
        "and source <> ? order by id desc limit 1",
        (call_sid, REPLAY),
    ).fetchone()
    return (row[0], row[1]) if row else ("", "")


def others_key(dedupe_key: str, account_sid: str) -> str:
    """The identity of an event that came from one account when another had it already."""
    return f"{dedupe_key}@{account_sid}"


def known_keys(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    """Which of these identities the journal has seen already, each with its account."""
    found: dict[str, str] = {}
    for start in range(0, len(keys), 500):
        chunk = keys[start : start + 500]
        marks = ",".join("?" * len(chunk))
        found.update(
            connection.execute(
                f"select dedupe_key, account_sid from events where dedupe_key in ({marks})", chunk
            )
        )
    return found
