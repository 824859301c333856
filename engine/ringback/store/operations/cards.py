"""Groups and cards: who is in a group, and what is known of a person, whatever number of ours they
write to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ringback.actions import Action, Broadcast, Remember, SetMember
from ringback.events import telephone
from ringback.store.connection import Connection
from ringback.store.consents import remember
from ringback.store.database import Database
from ringback.store.operations.broadcast_start import begin
from ringback.store.operations.doings import Doing, carry_out

NOTED = (Remember.kind, SetMember.kind, Broadcast.kind)
"""The kinds of actions that are done where they are written: `note`."""
THEIRS = "substr(conversation, instr(conversation, '/') + 1)"


@dataclass(frozen=True, slots=True)
class Card:
    """What is said of a person: the address, fields by their names, groups to be in and to leave.
    Empty fields say nothing, and None forgets one."""

    address: str
    fields: Mapping[str, str | None] = field(default_factory=dict)
    joins: Sequence[str] = ()
    leaves: Sequence[str] = ()


class Groups:
    """The groups and cards of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, cards: Sequence[Card], by: str, now: str, doing: Doing | None) -> int:
        """Take what cards say over. To say it twice changes nothing more. How many were new or
        have changed."""
        return await self._database.write(carry_out, doing, _write, cards, by, now) or 0

    async def size(self, name: str) -> int:
        """How many are in a group."""
        row = await self._database.one("select count(*) from group_members where name = ?", (name,))
        return int(row[0]) if row else 0


def note(connection: Connection, uid: str, action: Action, rule: str, now: str) -> None:
    """Do what an action says that is done, or begins, where it is written."""
    if isinstance(action, Remember):
        remember(connection, action.conversation, action.name, action.value, now)
        if action.value is None:  # else the card would tell it all the same
            theirs = telephone(action.conversation.partition("/")[2])
            _fill(connection, theirs, {action.name: None}, now)
    elif isinstance(action, SetMember):
        set_member(connection, action.group, action.who, rule, now, member=action.member)
    elif isinstance(action, Broadcast):
        begin(connection, uid, action, rule, now)


def set_member(
    connection: Connection, group: str, address: str, by: str, now: str, *, member: bool
) -> bool:
    """Put somebody into a group or take them out; False when they are in, or out, already."""
    number = telephone(address)
    if member:
        change = (
            "insert into group_members (name, number, address, at, by) values (?, ?, ?, ?, ?) "
            "on conflict (name, number) do nothing"
        )
        return bool(connection.execute(change, (group, number, address, now, by)).rowcount)
    gone = "delete from group_members where name = ? and number = ?"
    return bool(connection.execute(gone, (group, number)).rowcount)


def is_member(connection: Connection, group: str, number: str) -> bool:
    """Whether somebody is in a group: one look into an index."""
    found = "select 1 from group_members where name = ? and number = ?"
    return connection.execute(found, (group, number)).fetchone() is not None


def card_field(connection: Connection, number: str, name: str) -> str:
    """What a card says under a name, empty when nothing."""
    row = connection.execute("select fields from cards where number = ?", (number,)).fetchone()
    return str(json.loads(row[0]).get(name, "")) if row else ""


def _write(connection: Connection, cards: Sequence[Card], by: str, now: str) -> int | None:
    changed = 0
    for card in cards:
        number = telephone(card.address)
        new = _fill(connection, number, card.fields, now, make=not card.leaves)
        _override(connection, number, card.fields)
        for group in card.joins:
            new |= set_member(connection, group, card.address, by, now, member=True)
        for group in card.leaves:
            new |= set_member(connection, group, card.address, by, now, member=False)
        changed += new
    return changed or None  # what changed nothing is done, and noted all the same


def _fill(
    connection: Connection,
    number: str,
    fields: Mapping[str, str | None],
    now: str,
    *,
    make: bool = False,
) -> bool:
    """Take fields over into a card, which is made when there is something to write in it, or where
    `make` says so; whether that changed it."""
    row = connection.execute("select fields from cards where number = ?", (number,)).fetchone()
    kept: dict[str, str] = json.loads(row[0]) if row else {}
    fresh = {**kept, **{name: value for name, value in fields.items() if value}}
    fresh = {name: value for name, value in fresh.items() if fields.get(name, "") is not None}
    if fresh == kept and (row or not make):
        return False
    connection.execute(
        "insert into cards (number, fields, at) values (?, ?, ?) "
        "on conflict (number) do update set fields = excluded.fields, at = excluded.at",
        (number, json.dumps(fresh, ensure_ascii=False), now),
    )
    return True


def _override(connection: Connection, number: str, fields: Mapping[str, str | None]) -> None:
    """What is said of a person last counts: what conversations remember under the same names is
    forgotten."""
    said = [name for name, value in fields.items() if value or value is None]
    if not said:
        return
    for address in (number, f"whatsapp:{number}"):
        rows = connection.execute(
            f"select conversation, memory from contacts where {THEIRS} = ? and memory <> '{{}}'",
            (address,),
        ).fetchall()
        for conversation, text in rows:
            memory = json.loads(text)
            kept = {name: value for name, value in memory.items() if name not in said}
            if kept != memory:
                connection.execute(
                    "update contacts set memory = ? where conversation = ?",
                    (json.dumps(kept, ensure_ascii=False), conversation),
                )
