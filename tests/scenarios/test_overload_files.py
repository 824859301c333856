"""Files that are not what they should be: refused with exit code 65, left as they were; and those
that only look odd after a crash: used."""

import hashlib
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ringback.errors import DataError, StorageError
from ringback.store.log import Entry, Log, LogReader


def entry(n: int) -> Entry:
    return Entry("2026-11-22T10:00:00.000Z", "message", "signed", "webhook", "", "x", b"%d" % n)


async def make(path: Path, rows: int = 200) -> None:
    """A sound log at this place."""
    log = Log.open(path)
    for n in range(rows):
        await log.append(entry(n))
    log.close()


def truncated(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 + 100])


def zeroed_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:8192] = bytes(4096)
    path.write_bytes(data)


def flipped_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0:16] = b"SQLite format 9\0"
    path.write_bytes(data)


def huge_page_count(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[28:32] = struct.pack(">I", 1_000_000)
    path.write_bytes(data)


def wild_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for offset in range(4096, len(data), 512):
        data[offset : offset + 64] = hashlib.sha512(b"%d" % offset).digest()
    path.write_bytes(data)


def text_file(path: Path) -> None:
    path.write_text("Dear log,\n" * 500)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table recipes (name text)")
        connection.commit()


def with_a_foreign_id(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma application_id=252006673")
        connection.execute("create table geo (x)")
        connection.commit()


UNUSABLE: list[Callable[[Path], None]] = [
    truncated,
    zeroed_page,
    flipped_header,
    huge_page_count,
    wild_bytes,
    text_file,
    folder,
    of_another_program,
    with_a_foreign_id,
]


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
async def test_refused_by_name_and_left_as_it_was(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "log.db"
    await make(path)
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(DataError, match=r"log\.db") as caught:
        Log.open(path)
    assert caught.value.exit_code == 65
    assert (path.read_bytes() if path.is_file() else b"") == before


def empty(path: Path) -> None:
    path.write_bytes(b"")


def stale_wal(path: Path) -> None:
    """A write-ahead log whose salt is not the one that its frames have: a torn start, no frames."""
    wal = path.with_name("log.db-wal")
    wal.write_bytes(
        struct.pack(">IIIIIIII", 0x377F0682, 3007000, 4096, 0, 1, 2, 3, 4) + bytes(4120)
    )


def leftover_shm(path: Path) -> None:
    path.with_name("log.db-shm").write_bytes(b"\xff" * 32768)


@pytest.mark.parametrize(
    "leave", [empty, stale_wal, leftover_shm], ids=lambda leave: leave.__name__
)
async def test_what_a_crash_leaves_behind_is_no_fault(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    path = tmp_path / "log.db"
    await make(path)
    leave(path)
    expected = 1 if leave is empty else 201
    log = Log.open(path)
    assert await log.append(entry(1)) == expected
    log.close()


async def test_a_reboot_without_the_shared_memory_loses_nothing(tmp_path: Path) -> None:
    """What a crashed machine has on its disk: the file and its write-ahead log, nothing else."""
    log = Log.open(tmp_path / "log.db")
    for n in range(50):
        await log.append(entry(n))
    (tmp_path / "after").mkdir()
    for name in ("log.db", "log.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "after" / name)
    log.close()
    again = Log.open(tmp_path / "after" / "log.db")
    assert await again.append(entry(50)) == 51
    again.close()
    reader = LogReader(tmp_path / "after" / "log.db")
    assert [row.body for row in reader.after(0, 100)] == [b"%d" % n for n in range(51)]
    reader.close()


async def test_a_torn_tail_of_the_write_ahead_log_loses_only_what_was_not_answered(
    tmp_path: Path,
) -> None:
    """Cut the write-ahead log anywhere behind an answered commit: that commit is still there."""
    log = Log.open(tmp_path / "log.db")
    wal = tmp_path / "log.db-wal"
    answered: list[tuple[int, int]] = []
    for n in range(20):
        log_id = await log.append(entry(n))
        answered.append((log_id, wal.stat().st_size))
    whole = wal.read_bytes()
    head = (tmp_path / "log.db").read_bytes()
    log.close()
    for cut in range(answered[0][1], len(whole), 1777):
        place = tmp_path / f"cut{cut}"
        place.mkdir()
        (place / "log.db").write_bytes(head)
        (place / "log.db-wal").write_bytes(whole[:cut])
        safe = max(log_id for log_id, size in answered if size <= cut)
        with closing(sqlite3.connect(place / "log.db")) as connection:
            assert connection.execute("pragma integrity_check").fetchone()[0] == "ok"
            assert connection.execute("select max(id) from log").fetchone()[0] >= safe


def test_a_folder_that_is_not_there_and_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StorageError, OSError)):
        Log.open(tmp_path / "file" / "data" / "log.db")
