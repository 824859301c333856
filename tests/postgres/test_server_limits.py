"""Limits of what a node does with its PostgreSQL server: time, age of rows, versions, poolers."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from postgres.link import Link
from postgres.pair import Pair
from ringback.config import Settings
from ringback.errors import ConfigError, DataError
from ringback.receiver.database_probe import Probe
from ringback.receiver.retention import tidy
from ringback.store.journal import open_store
from ringback.store.log import Entry
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION
from ringback.store.postgres.server_fitness import refuse_unfit
from ringback.store.postgres.server_log import open_log
from ringback.store.postgres.server_status import make_tables

ENTRY = Entry(
    "2026-01-01T00:00:00.000Z", "message", "signed", "webhook", "",
    "application/x-www-form-urlencoded", b"MessageSid=SM1&Body=secret",
)  # fmt: skip


def test_a_database_without_tables_is_refused_with_its_mend(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="ringback cluster create"):
        refuse_unfit(postgres_url)
    assert make_tables(postgres_url)
    assert not make_tables(postgres_url)
    refuse_unfit(postgres_url)


def test_tables_of_another_version_are_refused(postgres_url: str) -> None:
    """Neither used nor made anew."""
    make_tables(postgres_url)
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("update rb.schema set version = '0099_later 0099_later'")
    for refuse in (refuse_unfit, make_tables):
        with pytest.raises(DataError, match="0099_later"):
            refuse(postgres_url)


def test_a_statement_has_an_end(postgres_url: str) -> None:
    """The connection is as good as before."""
    with closing(PostgresConnection(postgres_url, "test", PARTITION, statement=0.1)) as server:
        with pytest.raises(sqlite3.OperationalError, match="statement timeout"):
            server.execute("select pg_sleep(5)")
        assert server.execute("select 1").fetchone()[0] == 1


async def test_old_rows_of_the_log_go_when_they_were_matched(
    postgres_url: str, tmp_path: Path
) -> None:
    """Texts are blanked, rows deleted; what the worker has not read yet stays as it is."""
    make_tables(postgres_url)
    log = open_log(postgres_url)
    for _ in range(4):
        await log.append(ENTRY)
    store = open_store(tmp_path, postgres_url)
    await store.journal.meta.set("cursor", "2")
    settings = Settings(project=tmp_path, database_url=postgres_url, keep_bodies_days=1)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert await tidy(settings, log, now) == (2, 0)
    rows = await store.journal.log.after(0, 9)
    assert [b"secret" in row.body for row in rows] == [False, False, True, True]
    assert await tidy(replace(settings, keep_rows_days=1), log, now) == (0, 2)
    assert [row.id for row in await store.journal.log.after(0, 9)] == [3, 4]
    store.close()
    log.close()


async def test_a_server_that_gives_no_answer_is_said(
    postgres_url: str, link_to: Callable[[int], Link]
) -> None:
    """And that it answers again."""
    make_tables(postgres_url)
    port = int(postgres_url.rpartition(":")[2].partition("/")[0])
    between = link_to(port)
    log = open_log(postgres_url.replace(str(port), str(between.port)))
    probe = Probe(log)
    assert await probe.trouble() == ""
    between.stall()
    assert "does not answer" in await probe.trouble()
    between.go_on()
    while await probe.trouble():
        await asyncio.sleep(0.01)
    log.close()


@pytest.mark.slow
async def test_a_commit_waits_for_its_standby_however_long(postgres_pair: Pair) -> None:
    """No limit of ours ends the wait: that would confirm what is on one machine alone."""
    url = postgres_pair.primary.create_database()
    make_tables(url)
    with closing(PostgresConnection(url, "test", PARTITION, statement=0.2)) as server:
        postgres_pair.standby.pause()
        committing = asyncio.ensure_future(
            asyncio.to_thread(server.execute, "insert into meta (key, value) values ('a', '')")
        )
        done, _ = await asyncio.wait((committing,), timeout=2.0)
        postgres_pair.standby.resume()
        assert not done
        await committing
