"""Action ends: what is left to do when an action has come to its end.

Its event is to be recorded for the rules that listen to it, and the price of what it made is to be
read. Triggers note both with the change itself, whoever makes it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.actions import Action, HttpRequest
from ringback.events import ANSWERED, Event
from ringback.outcomes import Answered
from ringback.runtime import from_iso
from ringback.store.connection import Connection
from ringback.store.database import Database
from ringback.store.events import record_internal
from ringback.twilio.costs import NOTHING, Cost, Told, as_fields

_CHUNK = 500
_OVER = ("settled", "failed", "refused", "cancelled")


class ActionEnds:
    """The ends of actions whose events are still to be recorded, of the states subscribed to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def subscribe(self, states: Iterable[str]) -> None:
        """From now on note these ends of actions, and no others."""
        await self._database.write(_subscribe, states)

    async def pending(self) -> list[tuple[str, str]]:
        """The ends that have no event yet: the action and the state that it came to."""
        rows = await self._database.all("select action_uid, state from ends order by id")
        return [(row[0], row[1]) for row in rows]

    async def described(self, uids: Sequence[str]) -> list[dict[str, Any]]:
        """What became of these actions, at most 500 of them: what a line about each says."""
        columns = (
            "uid", "run_uid", "event_uid", "rule", "kind", "outcome", "reason", "error_code",
            "remote_sid", "planned_at", "settled_at",
        )  # fmt: skip
        rows = await self._database.all(
            f"select {', '.join(columns)} from actions where uid in "
            f"({','.join('?' * len(uids))}) order by id",
            tuple(uids),
        )
        return [dict(zip(columns, row, strict=True)) for row in rows]

    async def record(self, event: Event, action_uid: str, state: str) -> bool:
        """Record the event of an action's end, which is pending no longer. False when the event is
        known."""
        return await self._database.write(_record, event, action_uid, state)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A message or call that has ended, and whose price is to be read."""

    uid: str
    sid: str
    effect: str
    account_sid: str
    outcome: str
    planned: datetime
    ended: datetime


class Costs:
    """What messages and calls cost. A record is to be looked at from its action's end on, until its
    price is known or there is nothing more to hope for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, now: str, limit: int, *, far: str) -> list[Unpriced]:
        """Those to be looked at now, the longest due first. What is due later than `far` was put
        off by a clock that was wrong."""
        return await self._database.read(_due, now, limit, far)

    async def learn(self, told: Told) -> None:
        """What records say of their costs. What they leave out stays as it is known."""
        if fresh := await self._database.read(_news, told.made):
            await self._database.write(learn_costs, fresh)
        if charged := await self._database.read(_charged, told.received):
            await self._database.write(_learn_charged, charged)

    async def later(self, dues: Sequence[tuple[Unpriced, str | None]]) -> None:
        """When to look again at those that still have no price; None is never."""
        await self._database.write(_later, dues)

    async def of(self, action_uid: str) -> Cost:
        """What is known of the cost of an action."""
        row = await self._database.one(
            "select segments, price, price_unit from actions where uid = ?", (action_uid,)
        )
        return Cost(*row) if row else NOTHING


def _subscribe(connection: Connection, states: Iterable[str]) -> None:
    connection.execute("delete from listens")
    connection.executemany("insert into listens (state) values (?)", [(each,) for each in states])
    connection.execute("delete from ends where state not in (select state from listens)")


def _record(connection: Connection, event: Event, action_uid: str, state: str) -> bool:
    connection.execute("delete from ends where action_uid = ? and state = ?", (action_uid, state))
    return record_internal(connection, event)


@dataclass(frozen=True, slots=True)
class Asked:
    """A web request: the uid of its action, what it asks, and how deep in a chain it stands."""

    uid: str
    action: Action
    depth: int


def tell_run(connection: Connection, asked: Asked, state: str, answer: Answered, now: str) -> None:
    """Tell the run that waits for the answer to a web request of what came of it, once it has come
    to its end: as an event of our own, in the unit of work that ends it."""
    waits = asked.action.answer if isinstance(asked.action, HttpRequest) else ""
    if not waits or state not in _OVER:
        return
    moment = from_iso(now)
    event = Event(
        f"evt_{asked.uid.partition('_')[2]}", ANSWERED, moment, moment, trust="signed",
        source="internal", subject_sid=waits, status=str(answer.status or ""),
        dedupe_key=f"{ANSWERED}:{asked.uid}", depth=asked.depth, fields=answer.fields(),
    )  # fmt: skip
    record_internal(connection, event)


def _due(connection: Connection, now: str, limit: int, far: str) -> list[Unpriced]:
    ask = (
        "select uid, remote_sid, effect, account_sid, outcome, planned_at, "
        "coalesce(settled_at, price_due) from actions where price_due {} ? "
        "order by price_due, id limit ?"
    )
    rows = connection.execute(ask.format("<="), (now, limit)).fetchall()
    rows += connection.execute(ask.format(">"), (far, limit)).fetchall()
    return [
        Unpriced(uid, sid, effect, account, outcome, from_iso(planned), from_iso(ended))
        for uid, sid, effect, account, outcome, planned, ended in rows[:limit]
    ]


def _news(connection: Connection, told: Mapping[str, Cost]) -> dict[str, Cost]:
    """What of this is not on record of the actions that these SIDs are of."""
    sids, fresh = list(told), dict[str, Cost]()
    for start in range(0, len(sids), _CHUNK):
        chunk = sids[start : start + _CHUNK]
        rows = connection.execute(
            "select remote_sid, segments, price, price_unit from actions where remote_sid in "
            f"({','.join('?' * len(chunk))}) and remote_sid <> '' and effect <> ''",
            chunk,
        )
        for sid, segments, price, unit in rows:
            says = told[sid]
            more = says.price is not None and (says.price, says.unit or unit) != (price, unit)
            if more or says.segments not in (None, segments):
                fresh[sid] = says
    return fresh


def _charged(connection: Connection, told: Mapping[str, Cost]) -> list[tuple[str, str]]:
    """What of this is not on record of the texts and calls that came in: the fields, in JSON, and
    the event (uid) that they are of."""
    sids, fresh = list(told), list[tuple[str, str]]()
    for start in range(0, len(sids), _CHUNK):
        chunk = sids[start : start + _CHUNK]
        rows = connection.execute(
            "select uid, subject_sid, coalesce(json_extract(fields, '$.Price'), '') "
            f"from events where subject_sid in ({','.join('?' * len(chunk))}) "
            "and trust <> 'claimed' and (type = 'message.received' or type like 'call.%') "
            "order by id desc",
            chunk,
        )
        for sid, (uid, price) in {row[1]: (row[0], row[2]) for row in rows}.items():
            if told[sid].price != price:
                fresh.append((json.dumps(as_fields(told[sid])), uid))
    return fresh


def _learn_charged(connection: Connection, charged: Sequence[tuple[str, str]]) -> None:
    connection.executemany(
        "update events set fields = json_patch(coalesce(fields, '{}'), ?) where uid = ?", charged
    )


def learn_costs(connection: Connection, told: Mapping[str, Cost]) -> None:
    """`Costs.learn`, within a unit of work."""
    for sid, cost in told.items():
        if cost.known:
            connection.execute(
                "update actions set segments = coalesce(?, segments), "
                "price = coalesce(?, price), price_unit = coalesce(nullif(?, ''), price_unit), "
                "price_due = case when cast(? as real) is null then price_due end "
                "where remote_sid = ? and remote_sid <> '' and effect <> ''",
                (cost.segments, cost.price, cost.unit, cost.price, sid),
            )


def _later(connection: Connection, dues: Sequence[tuple[Unpriced, str | None]]) -> None:
    connection.executemany(
        "update actions set price_due = ? where uid = ? and remote_sid = ? "
        "and price_due is not null",
        [(due, each.uid, each.sid) for each, due in dues],
    )
