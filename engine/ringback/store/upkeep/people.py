"""Joining of people: what older versions kept under a second spelling of a number.

Everything about a person is kept under the one spelling that `person` gives. Batches of rows are
brought to it, each in a transaction of its own: a crash between two leaves the rest for the next
start.
"""

import json
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from ringback.events import conversation_of, person
from ringback.store.consents import SERVICE_OF
from ringback.store.sqlite.sqlite_files import checkpoint

BATCH = 20_000

_MAY_BE = "({0} glob '*+5[245]*' or {0} glob '*+229*')"
"""Of the countries whose numbers have two spellings; what asks nothing of Python stands first."""

_MERGE = """
insert into contacts
    (conversation, first_at, last_inbound_at, last_outbound_at, inbound, outbound, memory)
select place_of(conversation), first_at, last_inbound_at, last_outbound_at, inbound, outbound,
    memory from contacts where conversation = ?
on conflict (conversation) do update set
    first_at = min(first_at, excluded.first_at),
    last_inbound_at = nullif(max(
        coalesce(last_inbound_at, ''), coalesce(excluded.last_inbound_at, '')), ''),
    last_outbound_at = nullif(max(
        coalesce(last_outbound_at, ''), coalesce(excluded.last_outbound_at, '')), ''),
    inbound = inbound + excluded.inbound,
    outbound = outbound + excluded.outbound,
    memory = case when coalesce(last_inbound_at, '') > coalesce(excluded.last_inbound_at, '')
        then json_patch(excluded.memory, memory) else json_patch(memory, excluded.memory) end
"""
"""Two rows of one person become one. What was remembered where they wrote last counts."""

_AGREE = """
insert into consents (sender, recipient, state, source, at, event_uid)
select person_of(sender), person_of(recipient), state, source, at, event_uid from consents
where sender = ? and recipient = ?
on conflict (sender, recipient) do update set state = excluded.state, source = excluded.source,
    at = excluded.at, event_uid = excluded.event_uid
    where excluded.at > consents.at or (excluded.at = consents.at and excluded.state = 'out')
"""
"""The last word counts, and of two at once the refusal."""


def join_people(connection: Connection) -> None:
    """Bring what the journal keeps about people under their one spelling."""
    connection.create_function("place_of", 1, _place, deterministic=True)
    connection.create_function("person_of", 1, person, deterministic=True)
    for table, column in (("events", "conversation"), ("actions", "conversation"), ("runs", "key")):
        other = f"{_MAY_BE.format(column)} and place_of({column}) <> {column}"
        _each(
            connection,
            f"select id from {table} where id > ? and {other} order by id limit {BATCH}", (0,),
            f"update {table} set {column} = place_of({column}) where id = ?",
        )  # fmt: skip
    _waits(connection)
    other = f"{_MAY_BE.format('conversation')} and place_of(conversation) <> conversation"
    _each(
        connection,
        f"select conversation from contacts where conversation > ? and {other} "
        f"order by conversation limit {BATCH}", ("",),
        _MERGE, "delete from contacts where conversation = ?",
    )  # fmt: skip
    _each(
        connection,
        "select sender, recipient from consents where (sender, recipient) > (?, ?) and "
        f"({_MAY_BE.format('sender')} or {_MAY_BE.format('recipient')}) and "
        "(person_of(sender) <> sender or person_of(recipient) <> recipient) "
        f"order by sender, recipient limit {BATCH}", ("", ""),
        _AGREE, "delete from consents where sender = ? and recipient = ?",
    )  # fmt: skip
    _each(
        connection,
        f"select key from meta where key > ? and key like '{SERVICE_OF}%' and "
        f"person_of(substr(key, {len(SERVICE_OF) + 1})) <> substr(key, {len(SERVICE_OF) + 1}) "
        f"order by key limit {BATCH}", ("",),
        f"insert or ignore into meta (key, value) select '{SERVICE_OF}' || "
        f"person_of(substr(key, {len(SERVICE_OF) + 1})), value from meta where key = ?",
        "delete from meta where key = ?",
    )  # fmt: skip


def _place(text: str) -> str:
    """A conversation in the one spelling of its two sides; any other key unchanged."""
    ours, slash, theirs = text.partition("/")
    return conversation_of(ours, theirs) if slash and "/" not in theirs else text


def _each(connection: Connection, find: str, first: Sequence[Any], *changes: str) -> None:
    """Make changes to all rows that are found behind the last one, by their keys."""
    last = first
    while rows := connection.execute(find, last).fetchall():
        _at_once(connection, rows, *changes)
        last = rows[-1]


def _waits(connection: Connection) -> None:
    """What runs that have not ended wait for."""
    runs = connection.execute(
        "select uid, memory from runs where state in ('pending', 'running', 'waiting') "
        f"and {_MAY_BE.format('memory')} and json_valid(memory)"
    ).fetchall()
    found = [(_moved(json.loads(memory)), uid) for uid, memory in runs]
    if found:
        _at_once(connection, found, "update runs set memory = ? where uid = ?")


def _moved(state: dict[str, Any]) -> str:
    if isinstance(state.get("wait"), dict):
        state["wait"]["key"] = _place(str(state["wait"].get("key", "")))
    if isinstance(state.get("kept"), list):
        state["kept"] = [[_place(str(place)), *rest] for place, *rest in state["kept"]]
    return json.dumps(state)


def _at_once(connection: Connection, rows: Sequence[Any], *changes: str) -> None:
    connection.execute("begin immediate")
    try:
        for change in changes:
            connection.executemany(change, rows)
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    checkpoint(connection)
