"""The log and the locks: order, ids, readers, one owner."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from ringback.errors import DataError, HeldError, StorageError
from ringback.store.log import Entry, Log, LogReader
from ringback.store.upkeep.locks import hold


def entry(n: int) -> Entry:
    return Entry(
        received_at="2026-11-22T10:00:00.000Z",
        route="message/status",
        trust="signed",
        source="webhook",
        tag=f"tag{n}",
        content_type="application/x-www-form-urlencoded",
        body=f"MessageSid=SM{n:032x}".encode(),
    )


async def test_ids_follow_the_order_of_arrival_whatever_the_group_size(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "data" / "log.db", limit=2000)
    expected = 1
    for size in (1, 2, 3, 63, 64, 65, 300, 511):
        ids = await asyncio.gather(*(log.append(entry(n)) for n in range(size)))
        assert ids == list(range(expected, expected + size))
        expected += size
    reader = LogReader(tmp_path / "data" / "log.db")
    assert reader.last_id() == expected - 1
    row = reader.get(2)
    assert row is not None
    assert Entry._make(row[1:]) == entry(0)
    assert reader.get(expected) is None
    seen = [row.id for row in reader.after(0, 600)] + [row.id for row in reader.after(600, 5000)]
    assert seen == list(range(1, expected))
    reader.close()
    log.close()


async def test_a_reader_sees_what_was_acknowledged_while_the_writer_lives(tmp_path: Path) -> None:
    log = Log.open(tmp_path / "log.db")
    reader = LogReader(tmp_path / "log.db")
    assert reader.last_id() == 0
    for n in range(5):
        log_id = await log.append(entry(n))
        assert [row.tag for row in reader.after(log_id - 1, 10)] == [f"tag{n}"]
    reader.close()
    log.close()


async def test_the_log_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        log = Log.open(tmp_path / "log.db")
        assert await log.append(entry(expected)) == expected
        log.close()


def test_a_log_of_a_newer_program_is_refused_and_untouched(tmp_path: Path) -> None:
    Log.open(tmp_path / "log.db").close()
    newer = Migrations("ringback.log")

    @newer(name="0999_from_the_future")
    def _(db: Database) -> None:
        db.execute("alter table log add column more text")

    database = Database(tmp_path / "log.db")
    newer.apply(database)
    database.close()
    before = (tmp_path / "log.db").read_bytes()
    with pytest.raises(DataError, match="newer"):
        Log.open(tmp_path / "log.db")
    assert (tmp_path / "log.db").read_bytes() == before


def test_no_log_yet(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"log\.db"):
        LogReader(tmp_path / "log.db")


def test_a_second_holder_is_told_who_holds(tmp_path: Path) -> None:
    with hold(tmp_path, "receiver"):
        with pytest.raises(HeldError, match=rf"receiver with pid {os.getpid()} on ") as caught:
            hold(tmp_path, "receiver")
        assert caught.value.exit_code == 75
        hold(tmp_path, "worker").release()
    hold(tmp_path, "receiver").release()


def test_the_same_folder_by_another_name_is_the_same_lock(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with hold(tmp_path / "data", "receiver"), pytest.raises(HeldError):
        hold(tmp_path / "link", "receiver")


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from ringback.store.upkeep.locks import hold\n"
        "lock = hold(pathlib.Path(sys.argv[1]), 'worker')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(HeldError, match=str(process.pid)):
            hold(tmp_path, "worker")
        process.kill()
        process.wait()
    with hold(tmp_path, "worker"):
        assert json.loads((tmp_path / "worker.lock").read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        hold(tmp_path / "file" / "data", "receiver")
