"""Two whole calls from the shell against `ringback dev`: the support line and the voicemail.

Real processes, real HTTP: the node's own rules answer the simulated telephone network.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CALLER, AGENT = "+12025550142", "+12025550155"
PATIENCE = 40.0
RULES = """
version: 1
rules:
  - name: menu
    on: call.received
    do:
      - gather:
          say: Press one for support, or two to leave a message.
          digits: 1
          choices:
            "1": [{enqueue: support}]
            "2":
              - say: Leave a message after the tone.
              - record: {max_length: 2m, as: voicemail}
              - say: Thank you.
          else: [hangup]
  - name: waited
    on: call.dequeued
    do:
      - notify: A caller left the queue.
"""
TAKE = "<Response><Dial><Queue>support</Queue></Dial></Response>"


class Shell:
    """A running `ringback dev` in a project of its own, and the commands beside it."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
        }
        self.log = (project / "dev.log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringback.cli.main", "dev", "--port", "0"],
            cwd=project, env=self.environ, stdout=self.log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.until(lambda: "is up: node" in self.printed())

    def printed(self) -> str:
        return (self.project / "dev.log").read_text()

    def until(self, happened: Callable[[], Any]) -> Any:
        """Wait until something is true; its value."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := happened():
                return found
            assert self.process.poll() is None, self.printed()
            time.sleep(0.1)
        raise AssertionError(self.printed())

    def run(self, *words: str) -> str:
        """What one command of the shell printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ringback.cli.main", *words],
            cwd=self.project, env=self.environ, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + self.printed()
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def ended(self, sid: str) -> bool:
        return bool(self.json("gateway", "calls", "get", sid)["status"] == "completed")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.log.close()


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    project = tmp_path_factory.mktemp("calls")
    (project / "rules").mkdir()
    (project / "rules/calls.yaml").write_text(RULES)
    (project / "ringback.toml").write_text("")
    running = Shell(project)
    yield running
    running.stop()


def said(call: dict[str, Any]) -> list[str]:
    return [sound["text"] for sound in call["heard"] if sound["kind"] == "say"]


def test_a_caller_chooses_waits_is_taken_and_both_leave(shell: Shell) -> None:
    caller = shell.json("simulate", "call", "--from", CALLER, "--keys", "1")
    assert (caller["state"], caller["queue"], caller["position"]) == ("queued", "support", 1)
    assert said(caller) == ["Press one for support, or two to leave a message."]
    queue = shell.json("gateway", "queues", "list")
    assert (queue["friendly_name"], queue["current_size"]) == ("support", 1)

    ends = ("--to", AGENT, "--from", caller["to"])
    agent = shell.json("gateway", "calls", "make", *ends, "--twiml", TAKE, "--yes")
    shell.until(lambda: shell.json("gateway", "queues", "get", queue["sid"])["current_size"] == 0)
    assert shell.json("gateway", "calls", "get", caller["sid"])["status"] == "in-progress"

    assert "the call is completed" in shell.run("simulate", "hangup", agent["sid"])
    shell.until(lambda: shell.ended(caller["sid"]))
    tree = shell.until(
        lambda: "call.completed" in (tree := shell.run("trace", caller["sid"])) and tree
    )
    for part in ("call.received", "✓ menu", "call.gathered", "call.dequeued", "✓ waited"):
        assert part in tree, tree


def test_a_caller_leaves_a_message(shell: Shell) -> None:
    words = ("--keys", "2", "--say", "Please call me back")
    caller = shell.json("simulate", "call", "--from", CALLER, *words)
    sid = caller["sid"]
    assert said(caller)[-2:] == ["Leave a message after the tone.", "Thank you."]
    shell.until(lambda: shell.ended(sid))
    tree = shell.until(lambda: "call.completed" in (tree := shell.run("trace", sid)) and tree)
    assert "call.recorded" in tree
    assert "✓ menu" in tree
    assert "run done" in tree
