"""The group writer: on disk before the answer, groups without waiting, fail-stop, back-pressure."""

import asyncio
import resource
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from ringback.errors import DataError, StorageError
from ringback.store.sqlite import sqlite_files as sqlite
from ringback.store.sqlite.file_writer import FORCED_BYTES, SqliteFile
from ringback.store.sqlite.sqlite_files import WAL_BYTES, connect_reader, connect_writer
from ringback.store.writer import GROUP, GroupWriter, each


def make_table(connection: sqlite3.Connection) -> None:
    connection.execute("create table if not exists t (id integer primary key, x text unique)")


def insert(connection: sqlite3.Connection, items: list[str]) -> list[int]:
    return [
        connection.execute("insert into t (x) values (?)", (item,)).lastrowid or 0 for item in items
    ]


def rows(path: Path) -> list[str]:
    connection = connect_reader(path)
    try:
        return [row["x"] for row in connection.execute("select x from t order by id")]
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.db"


async def test_resolved_means_committed(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    assert await writer.submit("a") == 1
    assert rows(path) == ["a"]
    writer.close()


async def test_what_gathers_during_a_commit_shares_the_next_one(path: Path) -> None:
    sizes: list[int] = []
    gate = threading.Event()
    started = threading.Event()

    def apply(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        sizes.append(len(items))
        started.set()
        gate.wait(5)
        return insert(connection, items)

    writer = GroupWriter(SqliteFile(path, make_table), apply)
    first = writer.submit("0")
    await asyncio.to_thread(started.wait, 5)
    rest = [writer.submit(str(n)) for n in range(1, 50)]
    await asyncio.sleep(0)
    gate.set()
    assert await first == 1
    assert await asyncio.gather(*rest) == list(range(2, 51))
    assert sizes == [1, 49]
    writer.close()


async def test_one_turn_of_the_loop_is_one_commit(path: Path) -> None:
    sizes: list[int] = []

    def apply(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        sizes.append(len(items))
        return insert(connection, items)

    writer = GroupWriter(SqliteFile(path, make_table), apply)
    await asyncio.gather(*(writer.submit(str(n)) for n in range(20)))
    assert sizes == [20]
    writer.close()


async def test_an_item_that_fails_is_undone_alone(path: Path) -> None:
    def insert_one(connection: sqlite3.Connection, item: str) -> int:
        connection.execute("insert into t (x) values (?)", (item + "-first",))
        if item == "bad":
            raise ValueError("bad item")
        return connection.execute("insert into t (x) values (?)", (item,)).lastrowid or 0

    writer = GroupWriter(SqliteFile(path, make_table), each(insert_one))
    results = await asyncio.gather(
        *(writer.submit(item) for item in ("a", "bad", "b")), return_exceptions=True
    )
    assert isinstance(results[1], ValueError)
    assert rows(path) == ["a-first", "a", "b-first", "b"]
    writer.close()


async def test_a_failed_group_fails_everybody_and_leaves_nothing(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    results = await asyncio.gather(
        *(writer.submit(item) for item in ("a", "a")), return_exceptions=True
    )
    assert all(isinstance(result, StorageError) for result in results)
    assert rows(path) == []
    assert await writer.submit("b") == 1, "a constraint is no reason to stop for good"
    writer.close()


async def test_a_full_disk_refuses_and_recovers(path: Path) -> None:
    def tight(connection: sqlite3.Connection) -> None:
        make_table(connection)
        pages = connection.execute("pragma page_count").fetchone()[0]
        connection.execute(f"pragma max_page_count={pages + 2}")

    writer = GroupWriter(SqliteFile(path, tight), insert)
    await writer.submit("small")
    with pytest.raises(StorageError, match="disk is full"):
        await writer.submit("x" * 100_000)
    assert writer.broken is None
    await writer.submit("small again")
    assert rows(path) == ["small", "small again"]
    writer.close()


async def test_after_an_io_error_everything_is_refused_for_good(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    await writer.submit("kept")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 * 1024, hard))
    try:
        with pytest.raises(StorageError):
            await writer.submit("x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert writer.broken is not None
    with pytest.raises(StorageError):
        writer.submit("would fit now")
    writer.close()
    assert rows(path) == ["kept"]


async def test_a_damaged_file_is_a_storage_error_for_who_writes_and_a_data_error_at_the_end(
    path: Path,
) -> None:
    def damaged(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    writer = GroupWriter(SqliteFile(path, make_table), damaged)
    with pytest.raises(StorageError, match="malformed"):
        await writer.submit("a")
    with pytest.raises(StorageError, match="malformed"):
        writer.submit("b")
    assert writer.broken is not None
    assert writer.broken.exit_code == 65
    writer.close()


@pytest.mark.slow
async def test_a_foreign_lock_is_waited_for_and_then_refused(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StorageError, match="locked by another program"):
        await writer.submit("a")
    other.execute("rollback")
    other.close()
    assert await writer.submit("a") == 1
    writer.close()


async def test_back_pressure_refuses_at_once(path: Path) -> None:
    gate = threading.Event()

    def apply(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        gate.wait(5)
        return insert(connection, items)

    writer = GroupWriter(SqliteFile(path, make_table), apply, limit=3)
    held = [writer.submit(str(n)) for n in range(3)]
    with pytest.raises(StorageError, match="3 writes are waiting"):
        writer.submit("too much")
    gate.set()
    assert await asyncio.gather(*held) == [1, 2, 3]
    assert writer.in_flight == 0
    assert await writer.submit("fits again") == 4
    writer.close()


async def test_without_a_limit_everything_waits_and_the_first_are_not_held_up(path: Path) -> None:
    gate, groups = threading.Event(), list[int]()

    def apply(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        gate.wait(5)
        groups.append(len(items))
        return insert(connection, items)

    writer = GroupWriter(SqliteFile(path, make_table), apply, limit=None)
    held = [writer.submit(str(number)) for number in range(5000)]
    gate.set()
    await asyncio.gather(*held)
    assert sum(groups) == 5000
    assert max(groups) == GROUP
    assert rows(path) == [str(number) for number in range(5000)], "in their order"
    writer.close()


async def test_much_to_write_is_not_a_disk_that_does_not_answer(path: Path) -> None:
    """Each item takes a while, all of them longer than the patience."""

    def apply(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        numbers = []
        for item in items:
            writer.goes_on()
            numbers += insert(connection, [item])
            pause.wait(0.1)
        return numbers

    pause = threading.Event()
    writer = GroupWriter(SqliteFile(path, make_table), apply, patience=0.4)
    assert await asyncio.gather(*(writer.submit(str(n)) for n in range(12))) == [*range(1, 13)]
    writer.close()


async def test_nobody_waits_for_ever_for_a_disk_that_hangs(path: Path) -> None:
    gate, started = threading.Event(), threading.Event()

    def apply(connection: sqlite3.Connection, items: list[str]) -> list[int]:
        started.set()
        gate.wait(10)
        return insert(connection, items)

    writer = GroupWriter(SqliteFile(path, make_table), apply, patience=1.0)
    first = writer.submit("a")
    await asyncio.to_thread(started.wait, 5)
    second = writer.submit("b")
    for future in (first, second):
        with pytest.raises(StorageError, match="does not answer"):
            await asyncio.wait_for(future, 5)
    gate.set()
    assert await writer.submit("c") == 2, "it works again once the disk answers"
    assert writer.in_flight == 0
    writer.close()
    assert rows(path) == ["a", "c"], "what was under way may turn up later; what waited is dropped"


async def test_unthreaded_commits_inside_submit(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert, threaded=False)
    future = writer.submit("a")
    assert future.done()
    assert future.result() == 1
    assert rows(path) == ["a"]
    writer.close()


async def test_close_commits_what_waits_and_brings_the_log_home(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    future = writer.submit("a")
    writer.close()
    assert await future == 1
    assert not path.with_name("t.db-wal").exists()
    with pytest.raises(StorageError, match="closed"):
        writer.submit("b")
    writer.close()


async def test_the_write_ahead_log_stays_bounded_when_idle_and_when_busy(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    wal = path.with_name("t.db-wal")
    for n in range(30):
        await writer.submit(f"{n}-" + "x" * 500_000)
    assert wal.stat().st_size < 2 * WAL_BYTES + 1_000_000
    for part in range(
        8
    ):  # in parts that a busy disk takes in time, more than the log may hold in all
        await asyncio.gather(*(writer.submit(f"b{part}-{n}-" + "x" * 500_000) for n in range(12)))
    await writer.submit("after")
    await writer.submit("after that")
    assert wal.stat().st_size <= FORCED_BYTES
    writer.close()


async def test_a_pinned_reader_delays_no_commit(path: Path) -> None:
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    await writer.submit("a")
    reader = connect_reader(path)
    reader.execute("begin")
    reader.execute("select * from t").fetchall()
    for n in range(20):
        await asyncio.wait_for(writer.submit(f"{n}-" + "x" * 500_000), 1.0)
    reader.close()
    writer.close()


async def test_closing_waits_for_no_reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Litestream reads for as long as it lives."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 120.0)
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    await writer.submit("a")
    reader = connect_reader(path)
    reader.execute("begin")
    assert len(reader.execute("select * from t").fetchall()) == 1
    await asyncio.wait_for(asyncio.to_thread(writer.close), 20)
    reader.close()
    assert rows(path) == ["a"]


async def test_nobody_else_writes_during_a_checkpoint(path: Path) -> None:
    """One who writes as well would begin the log anew under it, which an old SQLite does not
    notice. The checkpoint begins with a connection of its own."""
    writer = GroupWriter(SqliteFile(path, make_table), insert)
    await writer.submit("a")
    other = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    tries: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if not watching or event != "sqlite3.connect" or arguments[0] != str(path):
            return
        try:
            other.execute("begin immediate")
            other.execute("rollback")
            tries.append("wrote")
        except sqlite3.OperationalError as error:
            tries.append(str(error))

    sys.addaudithook(hook)  # it stays for as long as the process, so it is told when to be quiet
    try:
        for n in range(10):
            await writer.submit(f"{n}-" + "x" * 500_000)
        writer.close()
        assert len(tries) > 1
        assert set(tries) == {"database is locked"}
    finally:
        watching = False
        other.close()


def test_files_that_are_no_database_are_refused_and_untouched(tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()
    text = tmp_path / "text.db"
    text.write_text("this is a letter, not a database\n" * 100)
    torn = tmp_path / "torn.db"
    whole = connect_writer(torn)
    whole.execute("create table t (x)")
    whole.executemany("insert into t values (?)", [("y" * 1000,)] * 100)
    whole.close()
    data = torn.read_bytes()
    torn.write_bytes(data[:20480] + bytes(8192) + data[28672:-4096])
    for path in (folder, text, torn):
        before = None if path.is_dir() else path.read_bytes()
        with pytest.raises(DataError, match=path.name):
            connect_writer(path)
        if before is not None:
            assert path.read_bytes() == before


def test_a_reader_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"log\.db.*no such file"):
        connect_reader(tmp_path / "log.db")
    assert not (tmp_path / "log.db").exists()


def test_a_reader_cannot_write_and_works_without_a_writer(path: Path) -> None:
    writer = connect_writer(path)
    make_table(writer)
    writer.close()
    reader = connect_reader(path)
    assert reader.execute("select count(*) from t").fetchone()[0] == 0
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("insert into t (x) values ('a')")
    reader.close()
