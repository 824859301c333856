"""Pairs: the conversations of a journal by their last activity, and by names without a number.

The journal finds a conversation by its two numbers alone. This file, `pairs.db`, is made from it by
the console and follows it; it is thrown away and made anew whenever it does not fit the journal, so
nothing in it is lost with it. It costs the worker nothing.
"""

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ringback.private_files import make_file
from ringback.store.connection import Connection
from ringback.store.data_place import DataPlace, is_lost, open_journal
from ringback.store.meta import get_meta
from ringback.store.operations.consent_words import KEY, name_of
from ringback.store.sqlite.sqlite_files import BUSY_SECONDS, translated

NAME = "pairs.db"
SHAPE = 1
STEP = 5000
FORGET_SECONDS = 600.0
CLAIMS = 200
"""So many of the newest claims are looked at again: somebody may have proven them."""
_TABLES = """
create table pairs (
    conversation text primary key, uid text not null unique, reversed text not null,
    first_at text not null, last_at text not null, turn integer not null unique
) strict;
create index pairs_reversed on pairs (reversed);
create table marks (name text primary key, value text not null) strict;
create table claims (uid text primary key) strict;
"""
_COLUMNS = "conversation, uid, first_at, last_at, turn"
_PUT = (
    "insert into pairs (conversation, uid, reversed, first_at, last_at, turn) "
    "values (?, ?, ?, ?, ?, ?) on conflict (conversation) do update set turn = excluded.turn, "
    "last_at = max(last_at, excluded.last_at), first_at = min(first_at, excluded.first_at)"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation, its name outside, and its first and last activity. `turn` orders all."""

    conversation: str
    uid: str
    first_at: str
    last_at: str
    turn: int


class Pairs:
    """The conversations of a place, for one thread, which opens the files when it first asks. With
    `kept` false the file is copied into memory and left as it is: its writer is the console.
    Raises StorageError and DataError."""

    def __init__(self, where: Path | DataPlace, *, kept: bool = True) -> None:
        self._place = DataPlace.of(where)
        self._kept = kept
        self._path = self._place.data / NAME
        self._forgets_at = 0.0
        self._opened: tuple[sqlite3.Connection, Connection] | None = None

    def close(self) -> None:
        """Close the files."""
        for each in self._opened or ():
            each.close()
        self._opened = None

    def follow(self, seconds: float) -> bool:
        """Take over what the journal holds, for at most so long. False when there is more."""
        end = time.monotonic() + seconds
        with translated(self._path):
            own, journal = self._files()
            self._prove(own, journal)
            self._look_at_claims(own, journal)
            while True:
                steps = [self._step(own, journal, *each) for each in _SOURCES]
                if not any(steps):
                    self._forget(own, journal)
                    return True
                if time.monotonic() > end:
                    return False

    def newest(self, limit: int, before: int = 0) -> list[Pair]:
        """The conversations that were active last, behind this turn."""
        return self._all(
            f"select {_COLUMNS} from pairs where turn < ? order by turn desc limit ?",
            (before or 2**62, limit),
        )

    def named(self, uid: str) -> Pair | None:
        """The conversation of this name."""
        return next(iter(self._all(f"select {_COLUMNS} from pairs where uid = ?", (uid,))), None)

    def ending(self, digits: str, limit: int) -> list[Pair]:
        """The conversations with a number that ends in these digits."""
        back = digits[::-1]
        return self._all(
            f"select {_COLUMNS} from pairs where reversed >= ? and reversed < ? limit ?",
            (back, f"{back}:", limit),
        )

    def of(self, conversations: Sequence[str]) -> list[Pair]:
        """These conversations, as far as they are known."""
        holes = ", ".join("?" * len(conversations))
        return self._all(
            f"select {_COLUMNS} from pairs where conversation in ({holes})", conversations
        )

    def _all(self, sql: str, values: Sequence[object]) -> list[Pair]:
        with translated(self._path):
            own, _ = self._files()
            return [Pair(*row) for row in own.execute(sql, values)]

    def _files(self) -> tuple[sqlite3.Connection, Connection]:
        """This file and the journal; anew when another journal lies in its place."""
        there = self._path.exists() or not self._kept
        if self._opened is not None and there and not is_lost(self._opened[1]):
            return self._opened
        self.close()
        with contextlib.ExitStack() as stack:
            journal = stack.enter_context(contextlib.closing(open_journal(self._place)))
            if self._kept:
                make_file(self._path)
            own = stack.enter_context(
                contextlib.closing(
                    sqlite3.connect(
                        self._path if self._kept else ":memory:", timeout=BUSY_SECONDS,
                        isolation_level=None,
                    )
                )
            )  # fmt: skip
            if not self._kept:
                _copy(self._path, own)
            own.execute("pragma synchronous = off")  # whatever is lost is made anew
            if own.execute("pragma user_version").fetchone()[0] != SHAPE:
                _empty(own)
            stack.pop_all()
        self._opened = own, journal
        return self._opened

    def _prove(self, own: sqlite3.Connection, journal: Connection) -> None:
        """Begin anew when the journal is another one than was followed: its key is another, or the
        row that was read last is not there any more and others are."""
        key = get_meta(journal, KEY)
        same = _mark(own, "key") == key
        for table, *_ in _SOURCES:
            noted = _mark(own, table)
            if not noted or not same:
                continue
            last, _, uid = noted.partition(" ")
            row = journal.execute(f"select uid from {table} where id = ?", (int(last),)).fetchone()
            if row is None:
                newest = journal.execute(f"select max(id) from {table}").fetchone()[0]
                same = newest is None or newest > int(last)
            else:
                same = row[0] == uid
        if not same:
            _empty(own)
            _note(own, "key", key)

    def _step(self, own: sqlite3.Connection, journal: Connection, table: str, columns: str) -> bool:
        last = int(_mark(own, table).partition(" ")[0] or 0)
        rows = journal.execute(
            f"select id, uid, conversation, {columns} from {table} where id > ? "
            "order by id limit ?",
            (last, STEP),
        ).fetchall()
        if not rows:
            return False
        found: dict[str, tuple[str, str]] = {}
        for _, uid, conversation, at, counts, claimed in rows:
            if not counts or not conversation or conversation.endswith("/"):
                continue
            if claimed:
                own.execute("insert or ignore into claims (uid) values (?)", (uid,))
                continue
            first, _ = found.pop(conversation, (at, at))
            found[conversation] = min(first, at), at
        own.execute("begin immediate")
        self._put(own, found)
        _note(own, table, f"{rows[-1][0]} {rows[-1][1]}")
        own.execute("commit")
        return len(rows) == STEP

    def _forget(self, own: sqlite3.Connection, journal: Connection) -> None:
        """Forget, now and then, those that were active last who are kept in the journal no more."""
        now = time.monotonic()
        if now < self._forgets_at:
            return
        self._forgets_at = now + FORGET_SECONDS
        oldest = journal.execute("select received_at from events order by id limit 1").fetchone()
        rows = own.execute(
            "select conversation, last_at from pairs order by turn limit ?", (STEP,)
        ).fetchall()
        find = "select 1 from contacts where conversation = ?"
        gone = [
            (pair,)
            for pair, last_at in rows
            if oldest and last_at < oldest[0] and not journal.execute(find, (pair,)).fetchone()
        ]
        own.executemany("delete from pairs where conversation = ?", gone)

    def _put(self, own: sqlite3.Connection, found: dict[str, tuple[str, str]]) -> None:
        key = _mark(own, "key")
        turn = own.execute("select coalesce(max(turn), 0) from pairs").fetchone()[0]
        rows = (
            (pair, name_of(key, pair), _reversed(pair), first, last, turn + number)
            for number, (pair, (first, last)) in enumerate(found.items(), 1)
        )
        own.executemany(_PUT, rows)

    def _look_at_claims(self, own: sqlite3.Connection, journal: Connection) -> None:
        claims = own.execute(
            "select uid from claims order by uid desc limit ?", (CLAIMS,)
        ).fetchall()
        found: dict[str, tuple[str, str]] = {}
        gone = []
        for (uid,) in claims:
            row = journal.execute(
                "select conversation, received_at, trust from events where uid = ?", (uid,)
            ).fetchone()
            if row is not None and row[2] == "claimed":
                continue
            gone.append((uid,))
            if row is not None and row[0]:
                found[row[0]] = row[1], row[1]
        if gone:
            own.execute("begin immediate")
            self._put(own, found)
            own.executemany("delete from claims where uid = ?", gone)
            own.execute("commit")


_SOURCES = (
    ("events", "received_at, type in ('message.received', 'call.received') "
     "and source not in ('replay', 'internal'), trust = 'claimed'"),
    ("actions", "planned_at, effect <> '' and state <> 'captured', 0"),
)  # fmt: skip
"""What is followed: texts and calls of theirs, and of ours."""


def _copy(path: Path, own: sqlite3.Connection) -> None:
    """Take over what the file holds, as far as it can be read."""
    with contextlib.suppress(sqlite3.Error):  # it is made of the journal all the same
        there = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", BUSY_SECONDS, uri=True)
        with contextlib.closing(there):
            there.backup(own)


def _empty(own: sqlite3.Connection) -> None:
    """Make the tables anew, with nothing in them."""
    own.execute("begin immediate")
    for table in ("pairs", "marks", "claims"):
        own.execute(f"drop table if exists {table}")
    for statement in _TABLES.split(";\n"):
        own.execute(statement)
    own.execute(f"pragma user_version = {SHAPE}")
    own.execute("commit")


def _mark(own: sqlite3.Connection, name: str) -> str:
    row = own.execute("select value from marks where name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""


def _note(own: sqlite3.Connection, name: str, value: str) -> None:
    own.execute("insert or replace into marks (name, value) values (?, ?)", (name, value))


def _reversed(conversation: str) -> str:
    theirs = conversation.partition("/")[2]
    return "".join(letter for letter in reversed(theirs) if letter.isdecimal())
