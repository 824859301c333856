"""Kill switch of a node that runs, stands still, or does not answer."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

RULES = """\
version: 1
rules:
  - name: hello
    on: message.received
    do:
      - reply: Hello.
"""


def shell(node: Any, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command in the project of the node."""
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *arguments],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_node_that_stands_still_starts_paused(make_node: Callable[..., Any], box: Any) -> None:
    """`pause` is obeyed by the next node; `resume` too. What came meanwhile goes out then."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    node.stop()
    done = shell(node, "pause")
    assert (done.returncode, "starts paused" in done.stderr) == (0, True)

    node.start()
    node.wait_ready()
    assert shell(node, "pause").stderr == ""
    box.text("+12025550142", "one")
    node.until(lambda: node.ask("select 1 from actions where state = 'planned'"))
    assert box.messages() == []
    for command in (["actions", "list"], ["trace", "+12025550142"]):
        assert "paused by a person: nothing is sent until" in shell(node, *command).stderr
    assert shell(node, "actions", "list", "--state", "settled").stderr == "no actions fit that\n"
    node.stop()
    assert "does not start paused" in shell(node, "resume").stdout

    node.start()
    node.until(lambda: node.ask("select 1 from actions where state in ('accepted', 'settled')"))
    assert len(box.messages()) == 1
    assert shell(node, "actions", "list").stderr == ""


@pytest.mark.slow
def test_the_switch_of_a_newer_journal_is_left_alone(make_node: Callable[..., Any]) -> None:
    """What a newer program has written is not touched by this one."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    node.stop()
    journal = sqlite3.connect(node.project / "data" / "journal.db")
    journal.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) "
        "values ('ringback.journal', '9999_future', '2026-01-01')"
    )
    journal.commit()
    journal.close()
    done = shell(node, "pause")
    assert (done.returncode, "a newer Ringback" in done.stderr) == (65, True)


@pytest.mark.slow
def test_nobody_answers(make_node: Callable[..., Any]) -> None:
    """Without a node, before the first one, and when the worker stands still: the mend is named."""
    node = make_node({"rules/all.yaml": RULES})
    for command in (["pause"], ["resume"], ["rules", "reload"], ["actions", "retry", "act_1"]):
        done = shell(node, *command)
        assert done.returncode == 75
        assert (
            f"none runs on {node.project / 'data'}; start the node with `ringback serve`"
            in done.stderr
        )

    node.start()
    node.wait_ready()
    os.kill(node.worker_pid(), signal.SIGSTOP)
    done = shell(node, "pause")
    os.kill(node.worker_pid(), signal.SIGCONT)
    assert done.returncode == 75
    assert "said nothing for 5 s" in done.stderr
