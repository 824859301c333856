"""Reads of the journal database: each commit that was waited for is seen, in every turn."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ringback.store.connection import Connection
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.sqlite.sqlite_files import connect_writer

COUNT = "select count(*) from meta where key like 'test:%'"


@pytest.fixture(params=[True, False], ids=["threaded", "at once"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SqliteDatabase]:
    with closing(SqliteDatabase(tmp_path / "journal.db", threaded=request.param)) as database:
        yield database


def add(connection: Connection, name: str) -> None:
    connection.execute("insert into meta (key, value) values (?, '')", (f"test:{name}",))


async def count(database: SqliteDatabase) -> int:
    row = await database.one(COUNT)
    assert row is not None
    return int(row[0])


async def test_who_has_waited_for_a_commit_sees_it(database: SqliteDatabase) -> None:
    for number in range(50):
        assert await count(database) == number
        await database.write(add, str(number))
        assert await count(database) == number + 1


async def test_who_waits_beside_others_that_read_sees_it_too(database: SqliteDatabase) -> None:
    async def one(number: int) -> None:
        before = await count(database)
        await database.write(add, str(number))
        assert await count(database) > before

    for first in range(0, 200, 20):
        await asyncio.gather(*(one(first + each) for each in range(20)))
    assert await count(database) == 200


async def test_the_reads_of_one_turn_share_a_transaction(database: SqliteDatabase) -> None:
    first = await database.read(lambda connection: connection.in_transaction)
    assert first
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not database.connection().in_transaction


async def test_a_commit_of_another_process_is_seen_in_the_next_turn(
    database: SqliteDatabase,
) -> None:
    await count(database)
    with closing(connect_writer(database.path)) as other:
        add(other, "theirs")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await count(database) == 1


async def test_it_can_be_closed_in_the_turn_of_a_read(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "other.db")
    assert await count(database) == 0
    database.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
