"""A long upgrade: the worker that brings the journal up to date is not taken for hung."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ringback.heartbeat import NAME, Heartbeat
from ringback.ipc import socket_path
from ringback.store.log import Log

OLD = Path(__file__).parents[1] / "data" / "databases" / "journal-1.sql"
SLOW = """
create trigger slow after update of outbound on contacts begin
    insert into meta select 'slow', count(*) from (
        with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {0})
        select n from numbers
    );
end;
"""
"""What somebody has added to their journal, and what takes as long as very many rows."""


def old_journal(data: Path, steps: int) -> None:
    data.mkdir()
    Log.open(data / "log.db").close()
    with closing(sqlite3.connect(data / "journal.db")) as journal:
        journal.executescript(OLD.read_text())
        journal.executescript(SLOW.format(steps))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    old_journal(tmp_path / "data", 4_000_000)
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "worker", str(tmp_path)],
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "TWILIO_ACCOUNT_SID": "AC" + "01" * 16,
             "TWILIO_AUTH_TOKEN": "0f" * 16},
    )  # fmt: skip
    yield process
    process.terminate()
    assert process.wait(60) == 0


@pytest.mark.slow
def test_a_worker_that_upgrades_its_journal_shows_that_it_lives(
    tmp_path: Path, worker: "subprocess.Popen[bytes]"
) -> None:
    """Its supervisor kills one that has shown no sign of life for 15 seconds, and would do so again
    and again with a journal of a million rows."""
    data = tmp_path / "data"
    first = last = 0.0
    longest = 0.0
    while not socket_path(data).exists():
        assert worker.poll() is None
        beat = Heartbeat.read(data / NAME)
        first = first or beat
        longest = max(longest, time.monotonic() - beat if beat else 0.0)
        last = beat
        time.sleep(0.02)
    assert last - first > 1.0, "the upgrade was no long one"
    assert longest < (last - first) / 2
