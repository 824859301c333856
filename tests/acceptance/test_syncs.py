"""Syncs of a real node, counted by strace: no acknowledgement without one."""

import json
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""
TEXTS = 20
SYNC = re.compile(r"f(?:data)?sync\(\d+<(?P<path>[^>]+)>\)\s+= 0")


@pytest.fixture
def strace() -> str:
    """The tool; on a machine without it the test is skipped, in CI it fails."""
    found = shutil.which("strace")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("strace is not installed, and CI must count syncs")
        pytest.skip("needs strace")
    return found


@pytest.mark.slow
def test_each_acknowledgement_follows_a_sync_of_its_own(
    make_node: Callable[..., Any], strace: str, tmp_path: Path
) -> None:
    """Texts that come one after the other share no commit: so many texts, so many syncs of the log
    at least; and so many of the journal, which has each attempt before its request leaves. The few
    kilobytes are not checkpointed meanwhile, which would sync without a commit."""
    node = make_node({"rules/all.yaml": RULES})
    node.start(
        under=[strace, "-ff", "-qq", "-y", "-e", "trace=fsync,fdatasync", "-o", tmp_path / "seen"]
    )
    receiver = json.loads((node.project / "data" / "receiver.lock").read_text())["pid"]
    try:
        node.wait_ready()
        before = syncs(tmp_path)
        for number in range(TEXTS):
            receive(node, number)
            acknowledged = syncs(tmp_path)["log.db-wal"] - before["log.db-wal"]
            assert acknowledged > number, "a text was acknowledged before its sync"
        ended = "select count(*) from attempts where ended_at is not null"
        node.until(lambda: node.ask(ended) == [(TEXTS,)])
        journal = syncs(tmp_path)["journal.db-wal"] - before["journal.db-wal"]
        assert journal >= TEXTS, f"{journal} syncs of the journal for {TEXTS} answers"
    finally:
        os.kill(receiver, signal.SIGTERM)  # the node's own process ends, and strace with it
        assert node.process.wait(60) == 0


def receive(node: Any, number: int) -> None:
    """A text comes in and is acknowledged."""
    fields = {
        "MessageSid": f"SM{number:032x}", "From": f"+141555510{number:02}",
        "To": node.environ["RINGBACK_SENDER"], "Body": f"text {number}",
    }  # fmt: skip
    assert node.post("/twilio/message", fields).status_code == 200


def syncs(folder: Path) -> Counter[str]:
    """The syncs so far that have succeeded, by the name of the file; each thread has its record."""
    records = [record.read_text() for record in folder.glob("seen.*")]
    return Counter(Path(hit["path"]).name for text in records for hit in SYNC.finditer(text))
