"""Looks at a large database: here and there for the doctor, everywhere for `db check`."""

from contextlib import closing
from pathlib import Path

import pytest

from ringback.store.log import Entry, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import CHECKED_BYTES, connect_writer
from ringback.store.upkeep.backup import check, is_large

PAGE = 4096
ROW = Entry(
    "2026-11-22T10:00:00.000Z", "message", "signed", "webhook", "", "text/plain", b"x" * 2500
)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A sound log above the size up to which files are read whole."""
    with closing(connect_writer(tmp_path / "log.db")) as connection:
        migrate_log(connection)
        connection.execute("pragma synchronous=off")
        connection.execute("begin immediate")
        for _ in range(20):
            insert(connection, [ROW] * 1000)
        connection.execute("commit")
        connection.execute("pragma wal_checkpoint(truncate)")
    assert (tmp_path / "log.db").stat().st_size > CHECKED_BYTES
    return tmp_path


def test_a_sound_one_is_sound_for_both(large: Path) -> None:
    assert is_large(large / "log.db")
    assert check(large, whole=False) == check(large) == []


@pytest.mark.parametrize("part", [0.02, 0.5, 0.98])
def test_damage_of_a_span_of_pages_is_found_by_both(large: Path, part: float) -> None:
    path = large / "log.db"
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        file.seek(int(pages * part) * PAGE)
        file.write(b"\xff" * PAGE * min(100, pages - int(pages * part)))
    assert check(large, whole=False)
    assert check(large)


def test_a_file_that_was_cut_off_is_found_by_both(large: Path) -> None:
    path = large / "log.db"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // PAGE // 2 * PAGE)
    assert check(large, whole=False)
    assert check(large)
