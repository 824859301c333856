"""`ringback serve` and other commands on files that a newer program has written, that are damaged,
or that cannot be opened: real files, real processes, the mend by name."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringback.store.journal import open_store
from ringback.store.log import Log

ENVIRON = {
    "TWILIO_ACCOUNT_SID": "AC" + "0123456789abcdef" * 2,
    "TWILIO_AUTH_TOKEN": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "RINGBACK_PUBLIC_URL": "https://hooks.example.com",
    "RINGBACK_GATEWAY_URL": "http://127.0.0.1:9",
    "RINGBACK_PORT": "0",
}


def ringback(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a project, with none of this machine's settings."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
    }
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=project,
        env=clean | ENVIRON, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of a node that has run, and stands still."""
    folder = tmp_path / "data"
    Log.open(folder / "log.db").close()
    open_store(folder, threaded=False).close()
    return folder


@pytest.mark.parametrize("name", ["log", "journal"])
def test_a_newer_file_is_refused_before_anything_is_served(data: Path, name: str) -> None:
    """Exit 65, the file and the mend by name, and the node never says that it serves."""
    connection = sqlite3.connect(data / f"{name}.db")
    connection.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) values (?, ?, ?)",
        (f"ringback.{name}", "9999_future", "2099-01-01"),
    )
    connection.commit()
    connection.close()
    done = ringback(data.parent, "serve")
    assert done.returncode == 65, done.stderr
    assert "serving on" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line == (
        f"ringback: {data / name}.db: was written by a newer Ringback (it has 9999_future); "
        "update the program, or give it another data folder"
    )


def test_a_journal_that_is_none_is_refused_before_anything_is_served(data: Path) -> None:
    """The journal can be made anew from the log: that is said, and the file is left as it is."""
    letter = b"this is no database, but a letter\n" * 500
    (data / "journal.db").write_bytes(letter)
    done = ringback(data.parent, "serve")
    assert done.returncode == 65, done.stderr
    assert "serving on" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ringback: {data / 'journal.db'}: ")
    assert line.endswith(
        "restore it from a backup, or make it anew from the log with `ringback db rebuild`"
    )
    assert (data / "journal.db").read_bytes() == letter


def test_a_log_that_is_none_can_only_be_restored(data: Path) -> None:
    """Nothing else holds what the log holds."""
    (data / "log.db").write_bytes(b"this is no database, but a letter\n" * 500)
    done = ringback(data.parent, "serve")
    assert done.returncode == 65, done.stderr
    assert f"{data / 'log.db'}: " in done.stderr
    assert "restore it from a backup" in done.stderr
    assert "rebuild" not in done.stderr


@pytest.fixture
def mount_read_only() -> Iterator[Callable[[Path, Path], None]]:
    """Show a folder or file at a second place where nobody can write it."""
    mounted: list[Path] = []

    def mount(source: Path, place: Path) -> None:
        for words in (["--bind", str(source), str(place)], ["-o", "remount,ro,bind", str(place)]):
            if subprocess.run(["mount", *words], capture_output=True, check=False).returncode:
                pytest.skip("nothing can be mounted here")
            if place not in mounted:
                mounted.append(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def read_only(data: Path, tmp_path: Path, mount_read_only: Callable[..., None]) -> Iterator[Path]:
    """The data folder where nobody can write it: without the right to, or for root in a mount."""
    if os.geteuid():
        data.chmod(0o555)
        yield data
        data.chmod(0o755)
        return
    place = tmp_path / "mounted"
    place.mkdir()
    mount_read_only(data, place)
    yield place


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log", "journal"])
def test_a_file_that_the_node_cannot_write_is_named_before_anything_is_served(
    data: Path, name: str, mount_read_only: Callable[..., None]
) -> None:
    """A journal that root has left said "serving", answered 200, and its worker ended for ever."""
    file = data / f"{name}.db"
    if os.geteuid():
        file.chmod(0o400)
    else:
        mount_read_only(file, file)
    done = ringback(data.parent, "serve")
    assert done.returncode == 74, done.stderr
    assert "serving on" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(f"ringback: {file}: ")]
    assert len(said) == 1
    assert "see that it" in said[0] or "you cannot" in said[0]


def test_a_question_in_a_read_only_folder_names_the_mend(read_only: Path, tmp_path: Path) -> None:
    """SQLite has to write beside a file even to read it; who may not gets the mend."""
    done = ringback(tmp_path, "--data", str(read_only), "actions", "list")
    assert done.returncode == 74
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ringback: {read_only / 'journal.db'}: ")
    assert f"you cannot write into {read_only}" in line
    assert "copy log.db and journal.db to a folder of your own and name that with --data" in line


@pytest.mark.slow
def test_a_node_that_only_records_starts_beside_a_newer_journal(data: Path) -> None:
    """It does not touch the journal, so it need not refuse what is in it."""
    (data / "journal.db").write_bytes(b"this is no database, but a letter\n" * 500)
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "serve", "--no-worker"], cwd=data.parent,
        env=os.environ | ENVIRON, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert any("serving on" in line for line in process.stderr)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0
