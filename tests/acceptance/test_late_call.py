"""A call that comes while the worker is dead: the fallback is heard, then the answer, or nothing is
done for a caller who has left meanwhile."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

RULES = """
version: 1
rules:
  - name: line
    on: call.received
    do:
      - say: Thanks for calling.
      - enqueue: support
      - notify: a caller waits
"""
HOLDS = "<Response><Say>Please hold.</Say><Pause length='600'/></Response>"
LEAVES = "<Response><Say>Call again.</Say><Hangup/></Response>"


@pytest.mark.slow
@pytest.mark.parametrize("stays", [True, False])
def test_a_call_that_comes_while_the_worker_is_dead(
    make_node: Callable[..., Any], box: Any, stays: bool
) -> None:
    """The next worker takes it for one that waits still, and writes an answer for it."""
    fallback = HOLDS if stays else LEAVES
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_FALLBACK_TWIML=fallback).start()
    node.wait_ready()
    number = box.facts["numbers"][0]
    os.kill(node.worker_pid(), signal.SIGKILL)
    call = box.http.post("/_sim/calls", json={"from": "+14155559004", "to": number}).json()["sid"]
    behind = "select state, reason from actions where kind = 'notify'"
    node.until(lambda: node.ask(f"{behind} and state in ('settled', 'cancelled')"))
    heard = json.dumps(box.http.get(f"/_sim/calls/{call}").json()["heard"])
    (reason,) = node.ask("select reason from runs")[0]
    if stays:
        assert heard.index("Please hold.") < heard.index("Thanks for calling.")
        assert node.ask(behind)[0][0] == "settled"
        assert reason == ""
    else:
        assert "Thanks" not in heard
        assert node.ask(behind) == [("cancelled", "the call had ended before `enqueue`")]
        assert reason == "stopped: the call had ended before `enqueue`"
