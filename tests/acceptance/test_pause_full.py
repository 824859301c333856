"""Kill switch of a node whose disk is full, and its worker, which cannot write."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback.runtime import iso

RULES = """\
version: 1
rules:
  - name: hello
    on: message.received
    do:
      - reply: Hello.
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of sixteen megabytes; the tests are left out where none can be made."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system can only be made by root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)


def shell(node: Any, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command in the project of the node."""
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *arguments],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip


def fill(place: Path) -> Path:
    """Leave no space on the disk."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return ballast


@pytest.mark.slow
def test_pause_works_on_a_full_disk(
    make_node: Callable[..., Any], box: Any, small_disk: Path
) -> None:
    """It takes effect at once and says that a restart would undo it; a resume that cannot be noted
    leaves it so. When there is space again, both are obeyed and noted."""
    data = small_disk / "data"
    slow = {"RINGBACK_DATA": str(data), "RINGBACK_SETTLE_SECONDS": "600"}
    node = make_node({"rules/all.yaml": RULES}, **slow).start()
    node.wait_ready()
    # The first look at Twilio's lists is over, so that the worker writes nothing by itself.
    looked = "select 1 from meta where key = 'repaired_until' and value > ?"
    lately = iso(datetime.now(UTC) - timedelta(minutes=30))
    node.until(lambda: count(data, looked, lately))
    # So small a disk is an incident, which the rules have heard of.
    heard = "select 1 from events where type = 'incident.opened' and verdicts is not null"
    node.until(lambda: count(data, heard))
    worker = (data / "worker.lock").read_text()
    ballast = fill(small_disk)

    refused = shell(node, "pause")
    assert refused.returncode == 74, refused.stderr
    for words in ("sending is stopped now", "not survive a restart", "journal.db", "disk is full"):
        assert words in refused.stderr
    refused = shell(node, "resume")
    assert refused.returncode == 74, refused.stderr
    assert "sending does not go on" in refused.stderr

    ballast.unlink()
    box.text("+12025550142", "one")
    node.until(lambda: count(data, "select 1 from actions where state = 'planned'"))
    assert (data / "worker.lock").read_text() == worker, (
        "the worker that got the command still runs"
    )
    assert box.messages() == []
    assert httpx.get(f"{node.url}/readyz").status_code == 200

    assert shell(node, "pause").returncode == 0
    assert count(data, "select 1 from meta where key = 'paused' and value = 'yes'")
    assert shell(node, "resume").returncode == 0
    node.until(lambda: len(box.messages()) == 1)


def count(data: Path, query: str, *values: str) -> int:
    """How many rows of the journal fit."""
    connection = sqlite3.connect(f"file:{data / 'journal.db'}?mode=ro", uri=True)
    try:
        return len(connection.execute(query, values).fetchall())
    finally:
        connection.close()


@pytest.mark.slow
def test_a_worker_that_cannot_write_is_told(
    make_node: Callable[..., Any], small_disk: Path
) -> None:
    """The health page says so at once. The worker that comes up when there is space again opens
    the incident that none before it could write, and ends it."""
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_DATA=str(small_disk / "data")).start()
    node.wait_ready()
    pid = int(json.loads((small_disk / "data" / "worker.lock").read_text())["pid"])
    ballast = fill(small_disk)
    os.kill(pid, signal.SIGKILL)

    def worker() -> str:
        health = node.http.get(f"{node.url}/readyz").json()
        return str(health["problems"].get("worker", ""))

    told = node.until(lambda: "the disk refuses what it writes" in worker() and worker())
    assert "the worker has ended" in told
    assert "the last time with exit 74" in told
    ballast.unlink()

    data = small_disk / "data"
    opened = "select 1 from incidents where kind = 'worker' and text like '%disk refuses%'"
    node.until(lambda: count(data, opened))
    node.until(lambda: count(data, f"{opened} and state = 'resolved'"))
    node.wait_ready()
