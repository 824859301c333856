"""Move of a node's data between SQLite files and a PostgreSQL server, there or back.

Rows are copied in the order of their keys, each chunk in one transaction: who was killed goes on
behind the last row that arrived. At the end both sides are counted and compared row by row; only
then the source notes where its data went, and no node starts on it any more.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.errors import DataError, HeldError, UsageError
from ringback.store.connection import Connection
from ringback.store.meta import MOVED_TO, MOVING_FROM, get_meta, set_meta
from ringback.store.migrations import (
    journal_migrations,
    log_migrations,
    migrate_journal,
    migrate_log,
)
from ringback.store.postgres.schema import create
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep.progress_reports import Told, untold

CHUNK = 1000

_MARKS = (MOVING_FROM, MOVED_TO)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of log or journal: its columns, and those of its key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a move: its name in messages, and the connection to its log and its journal."""

    name: str
    log: Connection
    journal: Connection

    def of(self, table: Table) -> Connection:
        """The connection to a table."""
        return self.log if table.name == "log" else self.journal


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move has copied: rows by table, equal on both sides."""

    rows: Mapping[str, int]


@contextlib.contextmanager
def files(data: Path) -> Iterator[Side]:
    """The SQLite files of a folder, of today's shape; they are made when they are not there."""
    with (
        contextlib.closing(connect_writer(data / "log.db")) as log,
        contextlib.closing(connect_writer(data / "journal.db")) as journal,
    ):
        migrate_log(log)
        migrate_journal(journal)
        yield Side(str(data.resolve()), log, journal)


@contextlib.contextmanager
def server(url: str) -> Iterator[Side]:
    """The schema on a server; it is made when it is not there. Raises HeldError while a node uses
    it, StorageError when it cannot be reached."""
    with contextlib.closing(PostgresConnection(url, "move", PARTITION)) as connection:
        create(connection, PARTITION)
        others = connection.execute(
            "select application_name from pg_stat_activity where datname = current_database() and "
            "application_name like 'ringback:%' and pid <> pg_backend_pid() order by 1"
        ).fetchall()
        if others:
            names = ", ".join(sorted({row[0] for row in others}))
            raise HeldError(f"{connection.name}: is in use ({names}); stop the nodes first")
        yield Side(connection.name, connection, connection)


def move(source: Side, target: Side, told: Told = untold) -> Moved:
    """Copy everything, compare it, and note at the source where it went.

    Raises UsageError for a source that has moved elsewhere or a target that holds other data, and
    DataError when both differ at the end: the source is as it was then.
    """
    gone = get_meta(source.journal, MOVED_TO)
    if gone and gone != target.name:
        raise UsageError(f"{source.name}: has moved to {gone} already")
    tables = list(_tables())
    _begin(source, target, tables)
    total = sum(_count(source, table) for table in tables)
    done = 0
    for table in tables:
        done += _count(target, table)
        for copied in _copy(source, target, table):
            done += copied
            told(done, total)
    rows = {table.name: _same(source, target, table) for table in tables}
    if isinstance(target.journal, PostgresConnection):
        _move_identities(target.journal, tables)
    else:
        target.log.execute("pragma user_version = 1")  # `LogReader.had_journal`
    _write(source.journal, lambda: set_meta(source.journal, MOVED_TO, target.name))
    _write(target.journal, lambda: _forget(target.journal, MOVING_FROM))
    return Moved(rows)


def _tables() -> Iterator[Table]:
    for migrations in (log_migrations, journal_migrations):
        with contextlib.closing(migrations.model()) as model:
            names = model.execute(
                "select name from sqlite_master where type = 'table' "
                "and name <> '_sqlite_migrations' order by name"
            ).fetchall()
            for (name,) in names:
                columns = model.execute(f"pragma table_info({name})").fetchall()
                key = sorted((row[5], row[1]) for row in columns if row[5])
                yield Table(name, tuple(row[1] for row in columns), tuple(row[1] for row in key))


def _begin(source: Side, target: Side, tables: Sequence[Table]) -> None:
    coming, gone = get_meta(target.journal, MOVING_FROM), get_meta(target.journal, MOVED_TO)
    if coming == source.name:
        return
    if get_meta(source.journal, MOVED_TO) == target.name:
        raise UsageError(f"{source.name}: has moved to {target.name} already")
    rows = any(_count(target, each) for each in tables if each.name != "meta")
    if gone != source.name and (coming or gone or rows):
        raise UsageError(f"{target.name}: holds the data of a node; name an empty place")

    def begin() -> None:
        for table in tables:  # on the way back: what has moved from here is replaced
            target.of(table).execute(f"delete from {table.name}")
        set_meta(target.journal, MOVING_FROM, source.name)

    _write(target.journal, begin)


def _where(table: Table) -> str:
    return f"where key not in {_MARKS!r}" if table.name == "meta" else "where 1 = 1"


def _count(side: Side, table: Table) -> int:
    asked = f"select count(*) from {table.name} {_where(table)}"
    return int(side.of(table).execute(asked).fetchone()[0])


def _copy(source: Side, target: Side, table: Table) -> Iterator[int]:
    """Copy what the target lacks; yields how many rows each chunk had."""
    key, columns = ", ".join(table.key), ", ".join(table.columns)
    newest = ", ".join(f"{name} desc" for name in table.key)
    last = target.of(table).execute(
        f"select {key} from {table.name} {_where(table)} order by {newest} limit 1"
    ).fetchone()  # fmt: skip
    put = f"insert into {table.name} ({columns}) values ({', '.join('?' * len(table.columns))})"
    places = [table.columns.index(name) for name in table.key]
    while True:
        behind = f"and ({key}) > ({', '.join('?' * len(table.key))})" if last is not None else ""
        rows = source.of(table).execute(
            f"select {columns} from {table.name} {_where(table)} {behind} order by {key} limit ?",
            (*(last or ()), CHUNK),
        ).fetchall()  # fmt: skip
        if not rows:
            return
        into = target.of(table)
        clean = [tuple(map(_kept, row)) for row in rows]
        _write(into, lambda into=into, clean=clean: into.executemany(put, clean))
        last = tuple(rows[-1][place] for place in places)
        yield len(rows)


def _kept(value: Any) -> Any:
    """A value as both databases can keep it: PostgreSQL's text holds no NUL."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _same(source: Side, target: Side, table: Table) -> int:
    """How many rows a table has on both sides. Raises DataError when they are not the same."""
    one, other = _digest(source, table), _digest(target, table)
    if one != other:
        raise DataError(
            f"{table.name}: {one[0]} rows in {source.name}, {other[0]} in {target.name}, and they "
            "are not the same; empty the target and move again"
        )
    return one[0]


def _digest(side: Side, table: Table) -> tuple[int, str]:
    key, columns = ", ".join(table.key), ", ".join(table.columns)
    found, count, last = hashlib.blake2b(digest_size=16), 0, tuple[Any, ...]()
    places = [table.columns.index(name) for name in table.key]
    while True:
        behind = f"and ({key}) > ({', '.join('?' * len(table.key))})" if last else ""
        rows = side.of(table).execute(
            f"select {columns} from {table.name} {_where(table)} {behind} order by {key} limit ?",
            (*last, CHUNK),
        ).fetchall()  # fmt: skip
        if not rows:
            return count, found.hexdigest()
        for row in rows:
            found.update(repr(tuple(map(_kept, row))).encode())
        count += len(rows)
        last = tuple(rows[-1][place] for place in places)


def _move_identities(connection: PostgresConnection, tables: Sequence[Table]) -> None:
    """New rows get ids behind those that came."""
    for table in tables:
        if table.key == ("id",):
            connection.execute(
                f"select setval(pg_get_serial_sequence('{table.name}', 'id'), "
                f"(select coalesce(max(id), 0) + 1 from {table.name}), false)"
            )


def _forget(connection: Connection, key: str) -> None:
    connection.execute("delete from meta where key = ?", (key,))


def _write(connection: Connection, work: Any) -> None:
    """Run `work` in a transaction of its own. Raises what it raises, undone."""
    connection.execute("begin")
    try:
        work()
        connection.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("rollback")
        raise
