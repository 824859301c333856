"""Move of a node's data to PostgreSQL and back: equal, resumable, and no node left on both."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ringback.errors import ConfigError, DataError, HeldError, UsageError
from ringback.store.meta import MOVED_TO, MOVING_FROM, refuse_moved, set_meta
from ringback.store.postgres import moving
from ringback.store.postgres.moving import files, move, server
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.sqlite.sqlite_files import connect_reader

KILLED = """
import os, sys
from pathlib import Path
from ringback.store.postgres import moving
left = int(sys.argv[3])
real = moving._write
def counted(connection, work):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
    real(connection, work)
moving._write, moving.CHUNK = counted, 7
def place(word):
    return moving.server(word) if "://" in word else moving.files(Path(word))
with place(sys.argv[1]) as source, place(sys.argv[2]) as target:
    moving.move(source, target)
"""


def filled(data: Path) -> Path:
    """A folder with a log and a journal that have rows in every table that a node writes first."""
    data.mkdir()
    with files(data) as side:
        side.log.executemany(
            "insert into log (received_at, route, trust, source, tag, content_type, body) "
            "values (?, 'message', 'signed', 'webhook', '', '', ?)",
            [(f"2026-01-01T00:00:{n % 60:02d}.000Z", bytes([n % 256, 0])) for n in range(60)],
        )
        side.journal.executemany(
            "insert into contacts (conversation, first_at, memory) values (?, '', ?)",
            [(f"+1555{n % 7}/+1{n:04d}", '{"a": "\u00e9\u4e2d"}') for n in range(60)],
        )
        side.journal.executemany(
            "insert into attempts (uid, action_uid, n, tag, started_at, uptime) "
            "values (?, 'act_1', ?, ?, '', ?)",
            [(f"att_{n}", n, f"t{n}", n / 3) for n in range(40)],
        )
        side.journal.execute("insert into meta (key, value) values ('cursor', '9')")
    return data


def dump(data: Path) -> list[tuple[object, ...]]:
    """Every row of the two files, and the name of its table."""
    found: list[tuple[object, ...]] = []
    for name in ("log.db", "journal.db"):
        with contextlib.closing(connect_reader(data / name)) as reader:
            for table in moving._tables():
                if (table.name == "log") == (name == "log.db"):
                    key = ", ".join(table.key)
                    rows = reader.execute(f"select * from {table.name} order by {key}")
                    found += [(table.name, *row) for row in rows if row[0] not in moving._MARKS]
    return found


def test_there_and_back_is_the_same(postgres_url: str, tmp_path: Path) -> None:
    """Into another folder, and into the one that it came from; new rows get new ids."""
    data = filled(tmp_path / "data")
    before = dump(data)
    with files(data) as source, server(postgres_url) as target:
        moved = move(source, target)
        assert moved.rows["log"] == 60
        new = target.log.execute(
            "insert into log (received_at, route, trust, source, tag, content_type, body) "
            "values ('', '', '', '', '', '', '') returning id"
        ).fetchone()[0]
        assert new == 61
        target.log.execute("delete from log where id = 61")
    assert refused(str(data))
    for folder in (tmp_path / "fresh", data):
        folder.mkdir(exist_ok=True)
        with server(postgres_url) as source, files(folder) as target:
            move(source, target)
            source.journal.execute("delete from meta where key = ?", (MOVED_TO,))
        assert dump(folder) == before
    with files(data) as source:
        refuse_moved(source.journal, source.name)


def test_a_source_that_has_moved_starts_no_node(postgres_url: str, tmp_path: Path) -> None:
    data = filled(tmp_path / "data")
    with files(data) as source, server(postgres_url) as target:
        move(source, target)
        refuse_moved(target.journal, target.name)
        with pytest.raises(ConfigError, match="has moved to postgresql://"):
            refuse_moved(source.journal, source.name)
        with pytest.raises(UsageError, match="already"):
            move(source, target)
    other = filled(tmp_path / "other")
    with (
        files(data) as source,
        files(other) as target,
        pytest.raises(UsageError, match="already"),
    ):
        move(source, target)


def test_a_place_with_other_data_is_left_alone(postgres_url: str, tmp_path: Path) -> None:
    one, other = filled(tmp_path / "one"), filled(tmp_path / "other")
    with files(one) as source, server(postgres_url) as target:
        move(source, target)
    before = dump(other)
    with (
        files(other) as source,
        server(postgres_url) as target,
        pytest.raises(UsageError, match="holds the data of a node"),
    ):
        move(source, target)
    assert dump(other) == before


def test_a_server_in_use_is_refused(postgres_url: str) -> None:
    with (
        contextlib.closing(PostgresConnection(postgres_url, "journal", "rb_p000")),
        pytest.raises(HeldError, match="stop the nodes"),
        server(postgres_url),
    ):
        pass


def test_what_differs_at_the_end_is_no_move(postgres_url: str, tmp_path: Path) -> None:
    """Somebody wrote into the target: the source does not say that it has moved."""
    data = filled(tmp_path / "data")
    with files(data) as source, server(postgres_url) as target:
        set_meta(target.journal, MOVING_FROM, source.name)
        target.journal.execute("insert into contacts (conversation, first_at) values ('a', '')")
        with pytest.raises(DataError, match="contacts"):
            move(source, target)
        refuse_moved(source.journal, source.name)
        with pytest.raises(ConfigError, match="has not ended"):
            refuse_moved(target.journal, target.name)


def killed(source: str, target: str, steps: int) -> bool:
    """Move in a process that is killed before the write of this number; whether it was."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, source, target, str(steps)], capture_output=True, text=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.parametrize("points", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_a_move_that_is_killed_goes_on(postgres_url: str, tmp_path: Path, points: int) -> None:
    """At so many points on the way there and back, each time once more from where it was."""
    data = filled(tmp_path / "data")
    before = dump(data)
    for source, target in ((str(data), postgres_url), (postgres_url, str(data))):
        kills = 0
        while killed(source, target, (kills + 1) % 3 if points > 3 else 9):
            kills += 1
            assert kills < 200
            both = [str(data), postgres_url]
            assert any(refused(place) for place in both), "a node could start on both"
        assert kills >= points // 2
    assert dump(data) == before


def refused(place: str) -> bool:
    """Whether no node starts there."""
    try:
        with server(place) if "://" in place else files(Path(place)) as side:
            refuse_moved(side.journal, side.name)
    except ConfigError:
        return True
    return False
