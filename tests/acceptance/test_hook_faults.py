"""Failing hooks: nobody else is hurt, and `ringback plugins list` names them."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

RULES = """version: 1
rules:
  - name: thanks
    on: message.received
    do:
      - reply: Thanks
"""
HOOK = """from ringback import hookimpl

@hookimpl
def {name}({arguments}):
    {body}
"""
RAISE = 'raise RuntimeError("broken on purpose")'
FILES = {
    "rules/all.yaml": RULES,
    "ringback.toml": "handler_seconds = 1.0\n",
    "plugins/ends.py": HOOK.format(name="on_settled", arguments="action", body=RAISE),
    "plugins/good.py": HOOK.format(name="on_event", arguments="event", body="return None"),
    "plugins/late.py": HOOK.format(
        name="on_event", arguments="event", body="import time; time.sleep(3)"
    ),
    "plugins/sees.py": HOOK.format(name="on_event", arguments="event", body=RAISE),
    "plugins/starts.py": HOOK.format(name="startup", arguments="ctx", body=RAISE),
}


def states(node: Any) -> dict[str, str]:
    """How each plugin fares, as the command says."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "plugins", "list", "--json"],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row["state"] for row in rows}


@pytest.mark.slow
def test_each_hook_that_fails_is_named(make_node: Callable[..., Any], box: Any) -> None:
    """At the start, on an event, at an action's end, by raising or by being late. Every failure
    counts, and none puts anything into quarantine."""
    node = make_node(FILES).start()
    node.wait_ready()
    for body in ("one", "two", "three", "four"):
        box.text("+14155550779", body)
    node.until(lambda: len(box.inbox("+14155550779")) == 4)
    broken = {"ends.on_settled", "late.on_event", "sees.on_event", "starts.startup"}
    node.until(lambda: {row[0] for row in node.ask("select rule from strikes")} == broken)
    ((seen,),) = node.until(
        lambda: node.ask("select count from strikes where rule = 'sees.on_event' and count >= 4")
    )
    assert seen >= 4
    assert node.ask("select 1 from strikes where quarantined_at is not null") == []
    found = states(node)
    assert found["good"] == "good"
    for hook in broken - {"late.on_event"}:
        state = found[hook.partition(".")[0]]
        assert state.startswith(f"{hook} failed ")
        assert "RuntimeError: broken on purpose" in state
    assert "took longer than 1 s" in found["late"]
