"""Retention in the log while it is written: old rows and texts leave it, and no others."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringback.errors import StorageError
from ringback.receiver.retention import tidy
from ringback.runtime import iso
from ringback.store.connection import Connection
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log, LogReader
from ringback.store.matching import CURSOR

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FORM = "application/x-www-form-urlencoded"


def entry(number: int, days_old: float) -> Entry:
    body = f"MessageSid=SM{number:032x}&Body=secret+{number}&From=%2B1555".encode()
    return Entry(
        iso(NOW - timedelta(days=days_old)), "message", "signed", "webhook", "", FORM, body
    )


async def matched(data: Path, cursor: int) -> None:
    """A journal whose worker has read the log up to there."""
    store = open_store(data)
    await store.journal.meta.set(CURSOR, str(cursor))
    store.close()


@pytest.fixture
async def log(tmp_path: Path) -> Any:
    log = Log.open(tmp_path / "data" / "log.db", limit=5000)
    await asyncio.gather(*(log.append(entry(n, 40)) for n in range(600)))
    await asyncio.gather(*(log.append(entry(n, 10)) for n in range(600, 900)))
    await asyncio.gather(*(log.append(entry(n, 0)) for n in range(900, 1000)))
    yield log
    log.close()


def rows(log: Log) -> list[Any]:
    reader = LogReader(Path(log.writer.target.name))
    found = reader.after(0, 10_000)
    reader.close()
    return found


async def test_rows_and_texts_go_by_their_age(log: Log, receiver_settings: Any) -> None:
    await matched(receiver_settings.data, 1000)
    settings = replace(receiver_settings, keep_rows_days=30, keep_bodies_days=7)
    blanked, retired = await tidy(settings, log, NOW)
    assert (blanked, retired) == (900, 600)
    left = rows(log)
    assert [row.id for row in left] == list(range(601, 1001))
    assert all(b"secret" not in row.body for row in left[:300])
    assert all(b"MessageSid=SM" in row.body for row in left)
    assert all(b"secret" in row.body for row in left[300:])
    assert await tidy(settings, log, NOW) == (0, 0), "the second time there is nothing to do"
    assert await log.append(entry(1000, 0)) == 1001


async def test_what_the_worker_has_not_matched_stays(log: Log, receiver_settings: Any) -> None:
    settings = replace(receiver_settings, keep_rows_days=1, keep_bodies_days=1)
    assert await tidy(settings, log, NOW) == (0, 0), "there is no journal yet"
    await matched(receiver_settings.data, 100)
    assert await tidy(settings, log, NOW) == (100, 100)
    assert rows(log)[0].id == 101


async def test_ids_never_begin_again(log: Log, receiver_settings: Any) -> None:
    await matched(receiver_settings.data, 1000)
    settings = replace(receiver_settings, keep_rows_days=1)
    await tidy(settings, log, NOW + timedelta(days=365))
    assert [row.id for row in rows(log)] == [1000]
    assert await log.append(entry(0, 0)) == 1001


async def test_webhooks_pass_while_old_rows_go(receiver: Any, receiver_settings: Any) -> None:
    log = receiver.node.log
    for start in range(0, 3000, 500):
        await asyncio.gather(*(log.append(entry(n, 40)) for n in range(start, start + 500)))
    await matched(receiver_settings.data, 3000)
    tidying = asyncio.create_task(tidy(replace(receiver_settings, keep_rows_days=30), log, NOW))
    slowest, number = 0.0, 0
    while not tidying.done():
        number += 1
        fields = {"MessageSid": f"SM{number:031x}f", "From": "+1", "To": "+2"}
        started = asyncio.get_running_loop().time()
        assert (await receiver.post("/twilio/message", fields)).status == 200
        slowest = max(slowest, asyncio.get_running_loop().time() - started)
    assert (await tidying)[1] == 3000
    assert number >= 3
    assert slowest < 5.0


async def test_a_step_that_fails_is_undone_and_the_log_goes_on(log: Log) -> None:
    def breaks(connection: Connection) -> int:
        connection.execute("delete from log")
        raise ValueError("not like this")

    with pytest.raises(ValueError, match="not like this"):
        await log.writer.tend(breaks)
    with pytest.raises(StorageError, match="nowhere"):
        await log.writer.tend(lambda connection: connection.execute("delete from nowhere").rowcount)
    assert len(rows(log)) == 1000
    assert await log.append(entry(1, 0)) == 1001
