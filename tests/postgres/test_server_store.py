"""The store on a real PostgreSQL: its tables, what a connection says, what log and journal keep."""

import contextlib
from pathlib import Path

import pytest

from ringback.errors import StorageError
from ringback.store.connection import Connection, IntegrityError, attempted
from ringback.store.journal import open_store
from ringback.store.log import Entry
from ringback.store.migrations import journal_migrations
from ringback.store.postgres.schema import create
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION
from ringback.store.postgres.server_log import open_log


def connected(url: str) -> PostgresConnection:
    """A connection to a database that has its tables."""
    connection = PostgresConnection(url, "test", PARTITION)
    create(connection, PARTITION)
    return connection


def test_the_tables_are_those_of_sqlite(postgres_url: str) -> None:
    """Every table and column of a SQLite journal is there under its name; making them twice changes
    nothing."""
    with contextlib.closing(connected(postgres_url)) as server:
        create(server, PARTITION)
        with contextlib.closing(journal_migrations.model()) as model:
            names = model.execute(
                "select name from sqlite_master where type = 'table' and name not like '%sqlite%'"
            ).fetchall()
            for (name,) in names:
                columns = [row[1] for row in model.execute(f"pragma table_info({name})")]
                found = server.execute(f"select * from {name}")
                rows = model.execute(f"select * from {name}").fetchall()
                assert [column.name for column in found.description] == columns
                assert [row[0] for row in found] == [row[0] for row in rows]


def test_a_row_is_asked_by_number_and_by_name(postgres_url: str) -> None:
    with contextlib.closing(connected(postgres_url)) as server:
        row = server.execute(
            "select key as k, 'a?b:c%' as literal, :n as number from (select :key as key) as t",
            {"key": "x", "n": 5},
        ).fetchone()
        assert row.keys() == ["k", "literal", "number"]
        assert (row["k"], row[1], row["NUMBER"], list(row)) == (
            "x",
            "a?b:c%",
            5,
            ["x", "a?b:c%", 5],
        )


@pytest.mark.parametrize(
    ("asked", "answer"),
    [("max(1, 2)", 2), ("min('b', 'a')", "a"), ("max('a', null)", None), ("instr('abc', 'c')", 3),
     ("json_extract('{\"a\": {\"b\": 2}}', '$.a.b')", "2"),
     ("json_extract('{\"a\": true}', '$.b')", None), ("json_extract('{\"a\": true}', '$.a')", "1"),
     ("json_extract('{\"a\": null}', '$.a')", None), ("sum(2)", 2), ("avg(3)", 3.0),
     ("moment('2026-01-01T00:00:00.000Z', interval '5 minutes')", "2026-01-01T00:05:00.000Z"),
     ("json_valid('{')", False), ("substr('abc', 2, 1)", "b")],
)  # fmt: skip
def test_what_sqlite_has_built_in(postgres_url: str, asked: str, answer: object) -> None:
    with contextlib.closing(connected(postgres_url)) as server:
        assert server.execute(f"select {asked}").fetchone()[0] == answer


def test_a_broken_constraint_undoes_one_statement(postgres_url: str) -> None:
    """What stood before it in the transaction stands."""

    def put(connection: Connection) -> None:
        connection.execute("insert into meta (key, value) values ('a', '')")

    with contextlib.closing(connected(postgres_url)) as server:
        server.execute("begin")
        put(server)
        with pytest.raises(IntegrityError), attempted(server):
            put(server)
        server.execute("commit")
        assert server.execute("select count(*) from meta where key = 'a'").fetchone()[0] == 1


async def test_what_was_recorded_is_read_by_the_worker(postgres_url: str, tmp_path: Path) -> None:
    """Bodies are bytes, whatever is in them."""
    log = open_log(postgres_url)
    entry = Entry(
        "2026-01-01T00:00:00.000Z", "message", "signed", "webhook", "", "form", b"a\0\xff"
    )
    assert [await log.append(entry) for _ in range(3)] == [1, 2, 3]
    store = open_store(tmp_path, postgres_url)
    rows = await store.journal.log.after(1, 10)
    assert [(row.id, row.body) for row in rows] == [(2, b"a\0\xff"), (3, b"a\0\xff")]
    store.close()
    log.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StorageError, match=r"postgresql://127\.0\.0\.1:1/x") as found:
        PostgresConnection("postgresql://user:secret@127.0.0.1:1/x", "test", PARTITION)
    assert "secret" not in str(found.value)
