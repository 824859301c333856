"""Files of earlier versions become today's: fixture databases, one for each shape."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ringback.errors import DataError, StorageError
from ringback.store.journal import open_store
from ringback.store.log import Log, LogReader
from ringback.store.queries import Questions
from ringback.store.replays import Recorded, performed
from ringback.store.sqlite_database import SqliteDatabase
from ringback.store.upkeep.backup import check

FIXTURES = Path(__file__).parents[1] / "data" / "databases"
SHAPES = sorted({int(path.stem.partition("-")[2]) for path in FIXTURES.glob("*.sql")})


def restore(folder: Path, shape: int) -> None:
    """Write the databases of a shape as they were."""
    for name in ("log", "journal"):
        dump = (FIXTURES / f"{name}-{shape}.sql").read_text("utf-8")
        connection = sqlite3.connect(folder / f"{name}.db")
        connection.executescript(dump)
        connection.close()


def open_both(folder: Path) -> None:
    """Open both files as a node does, which brings them to today's shape."""
    Log.open(folder / "log.db").close()
    open_store(folder, threaded=False).close()


def schema(path: Path) -> dict[str, str]:
    """Every table, index and trigger of a file with its definition."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "select name, sql from sqlite_master where sql is not null"
    ).fetchall()
    connection.close()
    return {
        name: re.sub(r"[\s\"]+", " ", sql).strip().lower()
        for name, sql in rows
        if not name.startswith("_")
    }


def dump(path: Path) -> list[str]:
    """Everything that a file says."""
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


@pytest.mark.parametrize("shape", SHAPES)
def test_an_old_file_takes_todays_shape_and_keeps_its_rows(shape: int, tmp_path: Path) -> None:
    """Migrated, an old file has the tables of a fresh one, and answers the same questions.

    When this fails because a table was changed: write a migration for it, and dump a new shape.
    """
    old, fresh = tmp_path / "old", tmp_path / "fresh"
    old.mkdir()
    fresh.mkdir()
    restore(old, shape)
    open_both(old)
    open_both(fresh)
    for name in ("log.db", "journal.db"):
        assert schema(old / name) == schema(fresh / name)
    assert check(old) == []
    assert LogReader(old / "log.db").last_id() == 1
    with Questions(old) as asked:
        (uid,) = asked.find("+12025550142")
        tree = asked.trace(uid)
    assert tree is not None
    assert tree["event"]["fields"]["Body"] == "hours?\x1b"
    (action,) = tree["runs"][0]["actions"]
    assert (action["kind"], action["effect"]) == ("send_message", "message")
    assert action["outcome"] == "delivered"


def test_a_file_of_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    """What we do not know we do not touch: it is refused, and says what it said before."""
    restore(tmp_path, SHAPES[-1])
    path = tmp_path / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode = wal")
    connection.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) "
        "values ('ringback.journal', '9999_from_the_future', '2099-01-01')"
    )
    connection.commit()
    connection.close()
    before = dump(path)
    with pytest.raises(DataError, match="newer Ringback"):
        SqliteDatabase(path, threaded=False)
    assert dump(path) == before


@pytest.mark.parametrize("asks", [Questions, Recorded, lambda data: list(performed(data))])
def test_questions_to_an_older_journal_name_the_mend(
    asks: Callable[[Path], object], tmp_path: Path
) -> None:
    """After an update and before the node was started: no column is missed halfway, and the file
    stays as it is. Once the node has opened it, the same question is answered."""
    restore(tmp_path, SHAPES[0])
    before = dump(tmp_path / "journal.db")
    with pytest.raises(
        StorageError, match=r"older Ringback \(it lacks 0002_effect, 0003_steady_clock.*\).*serve"
    ):
        asks(tmp_path)
    assert dump(tmp_path / "journal.db") == before
    open_both(tmp_path)
    asks(tmp_path)


def test_questions_to_a_newer_journal_are_refused(tmp_path: Path) -> None:
    """What its tables mean is not known here."""
    open_both(tmp_path)
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) "
        "values ('ringback.journal', '9999_from_the_future', '2099-01-01')"
    )
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="newer Ringback"):
        Questions(tmp_path)
