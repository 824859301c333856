"""Incidents: what is wrong right now, each with the events of its beginning and its end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ringback.events import Event
from ringback.runtime import iso
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.events import record_internal
from ringback.store.operations.doings import Doing, carry_out

OPEN = "incidents indexed by incidents_open where state = 'open'"
"""Those that are open, without a look at all that there have been."""
_RANDOM = 16
"""How many letters at the end of a uid are random."""


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident to be opened. `since` is when it began, if that is not now; `more` are further
    fields of its event."""

    uid: str
    key: str
    kind: str
    text: str
    since: datetime | None = None
    more: Mapping[str, str] = field(default_factory=dict)


class Incidents:
    """The incidents of the journal, at most one that is open for each key."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.escalated = True
        """Whether anybody is to be told of those that are opened."""

    async def open(
        self,
        uid: str,
        key: str,
        kind: str,
        text: str,
        now: datetime,
        *,
        since: datetime | None = None,
        more: Mapping[str, str] | None = None,
    ) -> bool:
        """Open an incident and record the event of it, or count one more of an open one. True when
        it is new. `uid` is the incident's; its event gets one of the same moment. `since` is when
        it began, if that is not now; `more` are further fields of the event."""
        return await self._database.write(
            open_incident, NewIncident(uid, key, kind, text, since, more or {}), now,
            escalated=self.escalated,
        )  # fmt: skip

    async def resolve(self, event_uid: str, key: str, kind: str, text: str, now: datetime) -> bool:
        """Close the open incident of this key and record the event of it. False when none is open.
        `event_uid` is the event's."""
        return await self._database.write(_resolve, event_uid, key, kind, text, now)

    async def update(
        self, event_uid: str, key: str, kind: str, text: str, now: datetime, more: Mapping[str, str]
    ) -> bool:
        """Bring an open incident up to date, and record the event of it. False when none is open.
        Of one that is muted or acknowledged no event is recorded."""
        return await self._database.write(_update, event_uid, key, kind, text, now, more)

    async def decide(
        self, uid: str, now: datetime, *, ack: bool = False, by: str = "",
        mute: str | None = None, note: str = "", doing: Doing | None = None,
    ) -> bool:  # fmt: skip
        """What a person says to an incident: that they know of it (`by` says how), that no more is
        to be heard of it until then (a stored time; empty: it is to be heard of again), a note.
        False when there is none."""
        return await self._database.write(
            carry_out, doing, _decide, uid, iso(now), ack, by, mute, note
        )

    async def state(self, uid: str) -> dict[str, str] | None:
        """The state and kind of an incident, since when it is, and when somebody acknowledged it
        (empty: nobody has); None when there is none."""
        row = await self._database.one(
            "select state, kind, opened_at, coalesce(acked_at, '') from incidents where uid = ?",
            (uid,),
        )
        return dict(zip(("state", "kind", "since", "acked_at"), row, strict=True)) if row else None

    async def opened(self, key: str) -> tuple[str, Mapping[str, Any]] | None:
        """When the open incident of this key began, and the fields of its event; None when there is
        none."""
        row = await self._database.one(
            "select i.opened_at, e.fields from incidents i left join events e "
            "on e.subject_sid = i.uid and +e.type = 'incident.opened' "
            "where i.key = ? and i.state = 'open'",
            (key,),
        )
        return (str(row[0]), json.loads(row[1] or "{}")) if row else None

    async def quiet_keys(self, kind: str, before: str) -> list[str]:
        """The keys of the open incidents of a kind that nothing has been added to since (ISO)."""
        rows = await self._database.all(
            f"select key from {OPEN} and kind = ? and last_at < ? order by id",
            (kind, before),
        )
        return [row[0] for row in rows]

    async def open_kinds(self) -> dict[str, int]:
        """How many incidents of each kind are open."""
        rows = await self._database.all(f"select kind, count(*) from {OPEN} group by kind")
        return {row[0]: row[1] for row in rows}

    async def open_keys(self, kind: str) -> list[str]:
        """The keys of the open incidents of a kind."""
        rows = await self._database.all(f"select key from {OPEN} and kind = ? order by id", (kind,))
        return [row[0] for row in rows]


def open_incident(
    connection: Connection, new: NewIncident, now: datetime, *, escalated: bool = True
) -> bool:
    """`Incidents.open`, within a unit of work."""
    counted = connection.execute(
        "update incidents set count = count + 1, last_at = ?, text = ? "
        "where key = ? and state = 'open'",
        (iso(now), new.text, new.key),
    ).rowcount
    if counted:
        return False
    muted = _muted_until(connection, new.key, iso(now))
    connection.execute(
        "insert into incidents (uid, key, kind, state, text, opened_at, last_at, details, "
        "muted_until, step_due) values (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?)",
        (
            new.uid,
            new.key,
            new.kind,
            new.text,
            iso(new.since or now),
            iso(now),
            json.dumps(dict(new.more)),
            muted,
            iso(now) if escalated and not muted else None,
        ),
    )
    if muted:
        return True
    event_uid = opening_of(new.uid)
    fields = {"Key": new.key, "Kind": new.kind, "Text": new.text, **new.more}
    return _record(connection, "incident.opened", event_uid, new.uid, fields, now)


def opening_of(uid: str) -> str:
    """The uid of the event by which an incident was opened. Not the same random letters: the
    incident may have its own from another event."""
    return "evt" + uid[3:-_RANDOM] + uid[: -_RANDOM - 1 : -1]


def acknowledge(connection: Connection, uid: str, by: str, now: str) -> bool:
    """Somebody knows of an incident: nobody else is told of it, nor who is to be told by a notice
    that has not left yet. False when it was known."""
    _withdraw(connection, uid, "the incident was acknowledged", now)
    return bool(
        connection.execute(
            "update incidents set acked_at = ?, acked_by = ?, step_due = "
            "case state when 'open' then null else step_due end "
            "where uid = ? and acked_at is null",
            (now, by, uid),
        ).rowcount
    )


def _withdraw(connection: Connection, uid: str, why: str, now: str) -> None:
    """Cancel the notices of an open incident that have not left: sending is paused, say. Whom they
    were for counts as not told, so that nobody hears of the end alone."""
    rows = connection.execute(
        "update actions set state = 'cancelled', reason = :why, due_at = null, settled_at = :now "
        "where event_uid = :event and rule like 'escalation:%' "
        "and state in ('planned', 'deferred') "
        "and exists (select 1 from incidents where uid = :uid and state = 'open') returning uid",
        {"why": why, "now": now, "event": opening_of(uid), "uid": uid},
    )
    withdrawn = {row[0] for row in rows}
    if not withdrawn:
        return
    (told,) = connection.execute("select told from incidents where uid = ?", (uid,)).fetchone()
    left = [each for each in json.loads(told) if each["action"] not in withdrawn]
    connection.execute("update incidents set told = ? where uid = ?", (json.dumps(left), uid))


def _muted_until(connection: Connection, key: str, now: str) -> str | None:
    """Until when a person has muted this key; None when that is over, or nobody has."""
    row = connection.execute(
        "select muted_until from incidents where key = ? order by id desc limit 1", (key,)
    ).fetchone()
    return row[0] if row and row[0] and row[0] > now else None


def _update(
    connection: Connection, event_uid: str, key: str, kind: str, text: str, now: datetime,
    more: Mapping[str, str],
) -> bool:  # fmt: skip
    row = connection.execute(
        "select uid, count, acked_at from incidents where key = ? and state = 'open'", (key,)
    ).fetchone()
    if row is None:
        return False
    uid, count, acked = row
    connection.execute(
        "update incidents set count = count + 1, last_at = ?, text = ?, details = ? where uid = ?",
        (iso(now), text, json.dumps(dict(more)), uid),
    )
    if acked or _muted_until(connection, key, iso(now)):
        return True
    fields = {"Key": key, "Kind": kind, "Text": text, **more}
    return _record(connection, "incident.updated", event_uid, uid, fields, now, str(count + 1))


def _decide(
    connection: Connection, uid: str, now: str, ack: bool, by: str, mute: str | None, note: str
) -> bool:
    found = connection.execute("select 1 from incidents where uid = ?", (uid,)).fetchone()
    if found is None:
        return False
    if ack:
        acknowledge(connection, uid, by, now)
    if mute is not None:
        if mute:
            _withdraw(connection, uid, "the incident was muted", now)
        connection.execute(
            "update incidents set muted_until = ?, step_due = case when ? = 1 then null "
            "else step_due end where uid = ?",
            (mute or None, bool(mute), uid),
        )
    if note:
        connection.execute(
            "update incidents set note = note || case note when '' then '' else '\n' end || ? "
            "where uid = ?",
            (f"{now} {note}", uid),
        )
    return True


def _resolve(
    connection: Connection, event_uid: str, key: str, kind: str, text: str, now: datetime
) -> bool:
    row = connection.execute(
        "select uid from incidents where key = ? and state = 'open'", (key,)
    ).fetchone()
    if row is None:
        return False
    muted = _muted_until(connection, key, iso(now))
    _withdraw(connection, row[0], "the incident is over", iso(now))
    connection.execute(
        "update incidents set state = 'resolved', resolved_at = :now, step_due = "
        "case when told <> '[]' and :muted = 0 then :now end where uid = :uid",
        {"now": iso(now), "muted": bool(muted), "uid": row[0]},
    )
    if muted:
        return True
    fields = {"Key": key, "Kind": kind, "Text": text}
    return _record(connection, "incident.resolved", event_uid, row[0], fields, now)


def _record(
    connection: Connection,
    type_: str,
    event_uid: str,
    uid: str,
    fields: dict[str, str],
    now: datetime,
    number: str = "",
) -> bool:
    event = Event(
        uid=event_uid, type=type_, at=now, received_at=now, source="internal", subject_sid=uid,
        status=fields["Kind"], fields=fields,
        dedupe_key=":".join(filter(None, (type_, uid, number))),
    )  # fmt: skip
    return record_internal(connection, event)
