"""Progress of long commands: a bar on a terminal alone, and whole files after Ctrl-C."""

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.runtime import REAL
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.upkeep import backup, rebuild
from ringback.store.upkeep.erase import erase
from ringback.store.upkeep.progress_reports import followed

COMMANDS = (
    ("backtest",),
    ("db", "check"),
    ("db", "backup", "copy"),
    ("db", "rebuild"),
    ("db", "erase", "+14155550142", "--yes"),
)
ROWS = 4_000


def body(number: int) -> bytes:
    return (
        f"AccountSid=AC{0:032x}&MessageSid=SM{number:032x}&From=%2B14155550{number % 300:03d}"
        "&To=%2B15550001111&Body=hello"
    ).encode()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose log has a few thousand texts in it, which its journal has lost."""
    data = tmp_path / "data"
    data.mkdir(0o700)
    (tmp_path / "ringback.toml").write_text("")
    with closing(connect_writer(data / "log.db")) as connection:
        migrate_log(connection)
        connection.execute("begin")
        connection.executemany(
            "insert into log (received_at, route, trust, source, tag, content_type, body) values "
            "('2026-01-01T00:00:00.000Z', 'message', 'signed', 'webhook', '', "
            "'application/x-www-form-urlencoded', ?)",
            [(body(number),) for number in range(ROWS)],
        )
        connection.execute("commit")
    open_store(data, threaded=False).close()
    with closing(connect_writer(data / "journal.db")) as connection:
        connection.execute("insert into meta values ('cursor', ?)", (str(ROWS),))
    return tmp_path


def shown(project: Path, *words: str) -> tuple[int, str]:
    """Run a command whose standard error is a terminal of 80 columns. The exit code, and what it
    showed there."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "-C", str(project), *words],
        stdout=subprocess.DEVNULL, stderr=theirs, cwd=project, env=environ,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        while more := os.read(ours, 4096):
            seen += more
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(), seen.decode()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.slow
def test_a_terminal_sees_how_far_it_is(project: Path, words: tuple[str, ...]) -> None:
    """A share, and a time, on lines that fit; cleared at the end."""
    code, seen = shown(project, *words)
    assert code == 0, seen
    assert re.search(r"\d+%", seen), seen
    assert re.search(r"\d:\d\d:\d\d|-:--:--", seen)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert max(map(len, re.split(r"[\r\n]+", plain))) <= 80


def test_a_pipe_sees_nothing_of_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is found stands in the output."""
    assert run(["-C", str(project), "db", "check"]) == 0
    assert capsys.readouterr().err == ""


def told(work: Callable[[Callable[[int, int], None]], object]) -> list[float]:
    """The shares that some work tells of, in their order."""
    shares: list[float] = []
    work(lambda done, total: shares.append(done / total))
    return shares


@pytest.mark.parametrize("name", ["check", "backup", "rebuild", "erase"])
def test_the_share_grows_up_to_the_whole(
    project: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringback.store.upkeep.progress_reports.STEPS", 1_000)
    data = project / "data"
    work: dict[str, Callable[[Callable[[int, int], None]], object]] = {
        "check": lambda each: backup.check(data, told=each),
        "backup": lambda each: list(backup.backup(data, project / "copy", each)),
        "rebuild": lambda each: rebuild.rebuild(data, lambda: REAL.uid("evt"), "now", each),
        "erase": lambda each: erase(data, "+14155550142", "2026", each),
    }
    shares = told(work[name])
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1


def test_an_interrupt_leaves_no_half_backup(project: Path) -> None:
    """And is told as one, also while SQLite is at work."""

    def interrupted(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr("ringback.store.upkeep.backup.steps_of", interrupted)
        assert run(["db", "backup", "copy"]) == 130
    assert list((project / "copy").iterdir()) == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also in a job of the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_a_statement(project: Path) -> None:
    """Ctrl-C while SQLite reads every page: the check ends, and nothing has changed."""
    with closing(sqlite3.connect(":memory:")) as connection:

        def interrupt(_steps: int) -> None:
            signal.raise_signal(signal.SIGINT)

        endless = (
            "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
        )
        with pytest.raises(KeyboardInterrupt), followed(connection, interrupt):
            connection.execute(endless).fetchone()
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("at", [0.0, 0.5, 0.9])
def test_an_interrupted_rebuild_leaves_the_old_journal(project: Path, at: float) -> None:
    data = project / "data"
    before = (data / "journal.db").read_bytes()

    def interrupted(done: int, total: int) -> None:
        if done >= at * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild(data, lambda: REAL.uid("evt"), "now", interrupted)
    assert (data / "journal.db").read_bytes() == before
    assert list(data.glob("journal.new*")) == []


async def test_a_backup_ends_beside_a_node_that_writes_all_the_while(tmp_path: Path) -> None:
    """It has what was there when it began, and is not begun anew by each write."""
    entry = Entry(
        "2026-01-01T00:00:00.000Z", "message", "signed", "webhook", "", "x/y", b"x" * 4000
    )
    log = Log.open(tmp_path / "data" / "log.db")
    for _ in range(5_000):
        last = log.append(entry)
        if log.writer.in_flight > 400:
            await last
    await last
    shares = list[float]()

    def writing(done: int, total: int) -> None:
        shares.append(done / total)
        log.append(entry)

    taken = list(backup.backup(tmp_path / "data", tmp_path / "copy", writing))
    log.close()
    assert [name for name, _ in taken] == ["log.db"]
    assert shares == sorted(shares)
    with closing(sqlite3.connect(tmp_path / "copy" / "log.db")) as copy:
        assert copy.execute("select count(*) from log").fetchone() == (5_000,)
