"""Files of earlier versions become today's: fixture databases, one for each shape."""

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data.databases.freeze import made_by_each
from ringback.errors import DataError, RingbackError, StorageError
from ringback.store.journal import open_store
from ringback.store.log import Log, LogReader
from ringback.store.migrations import (
    journal_migrations,
    log_migrations,
    migrate_journal,
    migrate_log,
    refuse_unfit,
)
from ringback.store.queries.questions import Questions
from ringback.store.replays import Recorded, performed
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.sqlite.sqlite_files import APPLICATION, connect_writer
from ringback.store.upkeep.backup import backup, check
from ringback.store.upkeep.rebuild import rebuild

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
    with closing(LogReader(old / "log.db")) as log:
        assert log.last_id() == 1
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
    with contextlib.ExitStack() as stack:
        asked = asks(tmp_path)
        if isinstance(asked, contextlib.AbstractContextManager):
            stack.enter_context(asked)


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("journal.db", "alter table actions drop column free_at", "column actions.free_at is"),
        ("journal.db", "drop index runs_event", "index runs_event is missing"),
        ("journal.db", "drop trigger actions_ended", "trigger actions_ended is missing"),
        ("journal.db", "drop table wakes", "column wakes.id is missing"),
        ("journal.db", "alter table runs add column x text not null default ''", "runs.x was"),
        ("log.db", "alter table log rename column tag to label", "column log.tag is missing"),
    ],
)
def test_tables_of_no_released_version_are_refused_before_anything_is_written(
    tmp_path: Path, file: str, change: str, named: str
) -> None:
    """A migration that was edited in place has left such files: they say what they lack, and that
    is no damage that reading every page would find."""
    open_both(tmp_path)
    altered = sqlite3.connect(tmp_path / file)
    altered.execute(change)
    altered.commit()
    altered.close()
    before = dump(tmp_path / file)
    with pytest.raises(DataError, match=re.escape(named)):
        open_both(tmp_path)
    assert dump(tmp_path / file) == before
    assert any(named in line for line in check(tmp_path))
    if file == "journal.db":
        with pytest.raises(DataError, match=re.escape(named)):
            refuse_unfit(tmp_path / file)


def test_what_somebody_has_added_for_themselves_is_left_alone(tmp_path: Path) -> None:
    """A view, an index or a column that may stay empty keeps no row from being written."""
    open_both(tmp_path)
    altered = sqlite3.connect(tmp_path / "journal.db")
    altered.executescript(
        "create index mine on runs (ended_at); alter table runs add column note text;"
        "create view busy as select * from runs; create table notes (id integer primary key);"
    )
    altered.close()
    open_both(tmp_path)
    assert check(tmp_path) == []


def test_migrations_are_as_they_were_released() -> None:
    """What a migration once made stays what it makes. When this fails because one was edited: write
    a new one. When it fails because one is new: `python tests/data/databases/freeze.py`."""
    made = made_by_each()
    assert made == json.loads((FIXTURES / "shapes.json").read_text())
    for migrations in (log_migrations, journal_migrations):
        assert made[f"{migrations.name} {migrations.names[-1]}"] == migrations.today


def test_files_of_today_are_opened_without_the_library_of_migrations(tmp_path: Path) -> None:
    open_both(tmp_path)
    code = (
        "import sys; from pathlib import Path; from ringback.store.journal import open_store;"
        "from ringback.store.log import Log; folder = Path(sys.argv[1]);"
        "Log.open(folder / 'log.db').close(); open_store(folder, threaded=False).close();"
        "print('sqlite_utils' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def commits(wal: Path) -> int:
    """How many frames of a write-ahead log end a transaction.

    https://www.sqlite.org/fileformat2.html#the_write_ahead_log
    """
    said = wal.read_bytes()
    page = int.from_bytes(said[8:12], "big")
    frames = range(32, len(said), 24 + page)
    return sum(int.from_bytes(said[at + 4 : at + 8], "big") > 0 for at in frames)


@pytest.mark.parametrize("migrate", [migrate_log, migrate_journal])
def test_a_new_file_has_its_tables_with_one_commit(
    tmp_path: Path, migrate: Callable[[sqlite3.Connection], None]
) -> None:
    with closing(connect_writer(tmp_path / "new.db")) as connection:
        migrate(connection)
        assert commits(tmp_path / "new.db-wal") == 1
        assert connection.execute("pragma application_id").fetchone() == (APPLICATION,)
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    open_again = connect_writer(tmp_path / "new.db")
    migrate(open_again)
    open_again.close()


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


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at /proc")
@pytest.mark.parametrize(
    ("opens", "damaged"),
    [
        (Questions, "log.db"),
        (Recorded, "log.db"),
        (lambda data: open_store(data, threaded=False), "journal.db"),
        (lambda data: list(backup(data, data / "copy")), "log.db"),
        (lambda data: rebuild(data, lambda: "evt_1", "then"), "log.db"),
    ],
)
def test_what_cannot_be_opened_leaves_nothing_open(
    opens: Callable[[Path], object], damaged: str, tmp_path: Path
) -> None:
    """The file that was opened first is closed when the next one is damaged."""
    open_both(tmp_path)
    for file in tmp_path.glob(f"{damaged}*"):
        file.unlink()
    (tmp_path / damaged).write_bytes(b"no database" * 1000)
    with pytest.raises(RingbackError) as caught:
        opens(tmp_path)
    held = [str(each.resolve()) for each in Path("/proc/self/fd").iterdir()]
    assert [path for path in held if path.startswith(str(tmp_path))] == [], caught
