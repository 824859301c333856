"""Findings of the doctor about a real PostgreSQL server."""

import asyncio
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from postgres.pair import Pair
from postgres.server import Server
from ringback.cli.doctor_server import server
from ringback.cli.finding import BAD, OK, WARN, Finding
from ringback.config import Settings
from ringback.store.postgres.server_status import make_tables


def findings(url: str) -> list[Finding]:
    settings = Settings(project=Path(), database_url=url)

    async def found() -> list[Finding]:
        return [each async for each in server(settings, None)]

    return asyncio.run(found())


def tell(url: str, *statements: str) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_server_alone_without_tables_is_bad(postgres_url: str) -> None:
    """Each finding says what to do."""
    tell(postgres_url, f"alter database {postgres_url.rpartition('/')[2]} "
         "set synchronous_commit = remote_write")  # fmt: skip
    found = findings(postgres_url)
    assert {each.state for each in found} == {BAD}
    said = " ".join(each.says for each in found)
    for wrong in ("synchronous_commit is remote_write", "no standby", "no tables"):
        assert wrong in said
    assert "ringback cluster create" in " ".join(each.mend for each in found)


def test_a_server_that_is_not_there_is_bad() -> None:
    (found,) = findings("postgresql://ringback:p4ssw0rd@127.0.0.1:1/texts")
    assert found.state == BAD
    assert "127.0.0.1:1" in found.says
    assert "p4ssw0rd" not in found.says + found.mend


@pytest.mark.slow
def test_a_synchronous_standby_is_good(postgres_pair: Pair) -> None:
    """Who may not see whether there is one is told so."""
    url = postgres_pair.primary.create_database()
    make_tables(url)
    assert [each.state for each in findings(url)] == [OK]
    tell(url, "create user small", "grant usage on schema rb to small",
         "grant select on all tables in schema rb to small")  # fmt: skip
    (found,) = findings(url.replace("postgres@", "small@"))
    assert (found.state, "pg_monitor" in found.mend) == (WARN, True)


@pytest.mark.slow
def test_a_server_that_does_not_sync_is_bad(own_postgres: Server) -> None:
    tell(own_postgres.url(), "alter system set fsync = off",
         "alter system set full_page_writes = off", "select pg_reload_conf()")  # fmt: skip
    said = " ".join(each.says for each in findings(own_postgres.url()))
    assert "fsync is off" in said
    assert "full_page_writes is off" in said
