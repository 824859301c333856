"""Bulks: one decision about many things, which are listed when it is previewed and worked in steps.

What arrives afterwards is not in it; what somebody has decided about meanwhile is skipped, counted
and named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ringback.errors import Conflict
from ringback.rules.model import WAITS_FOR_YES
from ringback.store.connection import Connection, named
from ringback.store.database import Database
from ringback.store.operations.doings import By, Doing, carry_out

MOST = 10_000
"""A bulk is about so many things at most."""
NAMED = 200
"""So many can be named one by one."""
OPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "retry": ("actions", ("failed", "refused", "cancelled")),
    "cancel_action": ("actions", ("planned", "deferred")),
    "resolve": ("actions", ("parked", "unknown")),
    "approve": ("actions", ("parked",)),
    "decline": ("actions", ("parked",)),
    "wake_run": ("runs", ("waiting",)),
    "cancel_run": ("runs", ("waiting", "pending")),
}
"""What a bulk may do: to rows of which table, in which states."""
FILTERS = {
    "actions": ("state", "rule", "kind", "code", "since", "uids"),
    "runs": ("state", "rule", "since", "uids"),
}  # fmt: skip
_CLAUSES = {"code": "+error_code = ?", "rule": "+rule = ?", "kind": "+kind = ?",
            "state": "state = ?", "uids": "uid in (select value from json_each(?))"}  # fmt: skip
_BEGAN = {"actions": "+planned_at >= ?", "runs": "+started_at >= ?"}


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk as the journal holds it. `wanted` is its filter with the choices of the operation."""

    id: int
    uid: str
    op: str
    wanted: Mapping[str, Any]
    until_id: int
    state: str
    total: int
    done: int
    refused: int
    skipped: int
    by: By
    began_at: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a bulk, and the state in which it was previewed."""

    n: int
    uid: str
    was: str


class Bulks:
    """The bulks of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def preview(self, bulk: Bulk, now: str) -> tuple[Bulk, bool]:
        """List what a bulk is about. The bulk as it is kept, and whether there would be more."""
        return await self._database.write(_preview, bulk, now)

    async def get(self, uid: str) -> Bulk | None:
        """One bulk."""
        return await self._database.read(_get, uid)

    async def start(self, uid: str, begins: str, doing: Doing | None = None) -> bool:
        """Let a bulk that was previewed begin at that time. False when it is none."""
        return await self._database.write(carry_out, doing, _start, uid, begins)

    async def stop(self, uid: str, now: str, doing: Doing | None = None) -> bool:
        """Stop a bulk: what is not done stays as it is. False when it is over."""
        return await self._database.write(carry_out, doing, _stop, uid, now)

    async def due(self, now: str) -> Bulk | None:
        """The oldest bulk that is to be worked at."""
        row = await self._database.one(
            "select uid from bulks where state in ('waiting', 'running') and began_at <= ? "
            "and op <> 'broadcast' order by id limit 1",
            (now,),
        )
        return await self.get(row[0]) if row else None

    async def next_items(self, bulk: Bulk, limit: int) -> list[Item]:
        """The next things to do."""
        rows = await self._database.all(
            "select n, uid, was from bulk_items where bulk = ? and state = '' order by n limit ?",
            (bulk.id, limit),
        )
        return [Item(*row) for row in rows]

    async def items(self, bulk: Bulk) -> list[str]:
        """The names of all things of a bulk."""
        rows = await self._database.all(
            "select uid from bulk_items where bulk = ? order by n", (bulk.id,)
        )
        return [str(row[0]) for row in rows]

    async def note(self, bulk: Bulk, ended: Sequence[tuple[Item, str, str]], now: str) -> None:
        """What became of things (`done`, `refused`, `skipped`, and why). A bulk of which nothing is
        left is over."""
        await self._database.write(_note, bulk, ended, now)


def _preview(connection: Connection, bulk: Bulk, now: str) -> tuple[Bulk, bool]:
    known = _get(connection, bulk.uid)
    if known is not None:  # the same request again
        if (known.op, known.wanted, known.by.who) != (bulk.op, dict(bulk.wanted), bulk.by.who):
            raise Conflict(f"{bulk.uid} was another bulk already; make a new request", {})
        return known, known.total == MOST
    connection.execute(
        "delete from bulk_items where bulk in (select id from bulks where state = 'previewed' "
        "and began_at < ?)",
        (now[:10],),
    )
    connection.execute("delete from bulks where state = 'previewed' and began_at < ?", (now[:10],))
    table, states = OPS[bulk.op]
    one = "+" if bulk.wanted.get("uids") else ""  # found by their names, not by their states
    clauses, values = [f"{one}state in ({','.join('?' * len(states))})"], list[Any](states)
    for name in FILTERS[table]:
        if bulk.wanted.get(name) not in (None, ""):
            clauses.append(_BEGAN[table] if name == "since" else _CLAUSES[name])
            given = bulk.wanted[name]
            values.append(json.dumps(given) if name == "uids" else given)
    if bulk.op in ("approve", "decline"):
        clauses.append("+reason = ?")
        values.append(WAITS_FOR_YES)
    elif bulk.op == "resolve":
        clauses.append("+reason <> ?")
        values.append(WAITS_FOR_YES)
    rows = connection.execute(
        f"select id, uid, state from {table} where {' and '.join(clauses)} order by id limit ?",
        (*values, MOST + 1),
    ).fetchall()
    more, rows = len(rows) > MOST, rows[:MOST]
    until = max((row[0] for row in rows), default=0)
    key = connection.execute(
        "insert into bulks (uid, op, wanted, until_id, state, total, done, refused, skipped, by, "
        "began_at) values (?, ?, ?, ?, 'previewed', ?, 0, 0, 0, ?, ?) returning id",
        (bulk.uid, bulk.op, json.dumps(dict(bulk.wanted)), until, len(rows),
         json.dumps({name: getattr(bulk.by, name) for name in By.__slots__}), now),
    ).fetchone()[0]  # fmt: skip
    connection.executemany(
        "insert into bulk_items (bulk, n, uid, was) values (?, ?, ?, ?)",
        [(key, n, row[1], row[2]) for n, row in enumerate(rows, 1)],
    )
    found = _get(connection, bulk.uid)
    assert found is not None
    return found, more


def _get(connection: Connection, uid: str) -> Bulk | None:
    found = connection.execute(
        "select id, uid, op, wanted, until_id, state, total, done, refused, skipped, by, began_at "
        "from bulks where uid = ?",
        (uid,),
    )
    kept = named(found)
    if kept is None:
        return None
    wanted, by = json.loads(kept.pop("wanted")), By(**json.loads(kept.pop("by")))
    return Bulk(**kept, wanted=wanted, by=by)


def _start(connection: Connection, uid: str, begins: str) -> bool:
    return bool(
        connection.execute(
            "update bulks set state = 'waiting', began_at = ? "
            "where uid = ? and state = 'previewed' and total > 0",
            (begins, uid),
        ).rowcount
    )


def _stop(connection: Connection, uid: str, now: str) -> bool:
    return bool(
        connection.execute(
            "update bulks set state = case op when 'broadcast' then 'stopping' else 'stopped' end, "
            "ended_at = case op when 'broadcast' then null else ? end "
            "where uid = ? and state in ('waiting', 'running')",
            (now, uid),
        ).rowcount
    )


def _note(
    connection: Connection, bulk: Bulk, ended: Sequence[tuple[Item, str, str]], now: str
) -> None:
    connection.executemany(
        "update bulk_items set state = ?, reason = ? where bulk = ? and n = ? and state = ''",
        [(state, reason, bulk.id, item.n) for item, state, reason in ended],
    )
    counts = dict(
        connection.execute(
            "select state, count(*) from bulk_items where bulk = ? group by state", (bulk.id,)
        ).fetchall()
    )
    over = not counts.get("")
    connection.execute(
        "update bulks set done = ?, refused = ?, skipped = ?, "
        "state = case when state not in ('waiting', 'running') then state "
        "when ? = 1 then 'done' else 'running' end, "
        "ended_at = case when ? = 1 and ended_at is null then ? else ended_at end where id = ?",
        (counts.get("done", 0), counts.get("refused", 0), counts.get("skipped", 0), over, over,
         now, bulk.id),
    )  # fmt: skip
