"""Modes of what a real node writes: for its owner alone, whatever the umask."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from ringback.ipc import socket_path

RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""


@pytest.mark.slow
def test_nobody_else_may_read_a_node(make_node: Callable[..., Any], box: Any) -> None:
    """A folder of an earlier version is mended at the start, with a line for each file."""
    node = make_node({"rules/all.yaml": RULES, "data/log.db": "", "data/old.db": ""})
    data = node.project / "data"
    data.chmod(0o755)
    (data / "old.db").chmod(0o644)
    old = os.umask(0)
    try:
        node.start()
    finally:
        os.umask(old)
    node.wait_ready()
    box.text("+14155555001", "one")
    node.until(lambda: node.ask("select 1 from actions where outcome = 'delivered'"))
    names = {path.name for path in data.iterdir()}
    sockets = {socket_path(data, role) for role in ("worker", "receiver")}
    assert {"journal.db-wal", "log.db-wal"} <= names
    for path in sockets:  # a deep folder has them elsewhere
        assert path.stat().st_mode & 0o077 == 0, path
    for path in (data, *data.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    assert f"{data / 'old.db'}: was open to other users (0644)" in node.lines.rest()
