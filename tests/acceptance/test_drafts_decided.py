"""Drafts, decided by people with `ringback approve` and `decline`, on a real node."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

STRANGER = "+14155550779"
RULES = """version: 1
rules:
  - {name: drafted, on: message.received, state: draft, do: [{reply: "Got ${{ event.body }}"}]}
  - {name: sent, on: message.received, if: event.body == 'one', do: [{notify: Hello}]}
"""


def command(node: Any, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=node.project,
        env=dict(node.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def decided(node: Any, *words: str, code: int = 0) -> str:
    """The command; what it printed."""
    running = command(node, *words)
    out, err = running.communicate(timeout=60)
    assert running.returncode == code, out + err
    return str(out + err)


def together(*running: "subprocess.Popen[str]") -> list[int]:
    """The exit codes of commands that run at once, in rising order."""
    for each in running:
        each.communicate(timeout=60)
    return sorted(each.returncode for each in running)


@pytest.mark.slow
def test_a_draft_is_decided_once_whoever_asks_how_often(
    make_node: Callable[..., Any], box: Any
) -> None:
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    for body in ("one", "two", "three", "four", "five"):
        box.text(STRANGER, body)
    drafts = "select uid from actions where rule = 'drafted' order by id"
    rows = node.until(lambda: len(found := node.ask(drafts)) == 5 and found)
    yes, no, both, twins, last = (uid for (uid,) in rows)

    assert f"{yes} is planned" in decided(node, "approve", yes)
    assert len(node.until(box.messages)) == 1
    assert "only a draft wants a yes or no" in decided(node, "approve", yes, code=2)
    assert "only a draft wants a yes or no" in decided(node, "decline", yes, code=2)
    assert f"{no} is cancelled" in decided(node, "decline", no)
    assert "is cancelled" in decided(node, "approve", no, code=2)
    ((notice,),) = node.ask("select uid from actions where kind = 'notify'")
    assert "is settled" in decided(node, "approve", notice, code=2)
    assert "does not exist" in decided(node, "decline", "act_0", code=2)

    said = decided(node, "approve", "act_0", both, both, "--json", code=2).splitlines()
    told = [json.loads(line) for line in said]
    assert [(row["uid"], row["state"], "does not exist" in row["error"]) for row in told] == [
        ("act_0", "", True),
        (both, "planned", False),
    ]

    assert together(*(command(node, "approve", twins) for _ in range(3))) == [0, 2, 2]
    assert together(*(command(node, word, last) for word in ("approve", "decline"))) == [0, 2]
    states = dict(node.ask("select uid, state from actions where rule = 'drafted'"))
    sent = 3 + (states[last] != "cancelled")
    node.until(lambda: len(box.messages()) == sent)
    assert decided(node, "actions", "list", "--state", "parked", "--json") == ""
