"""`ringback simulate` against a real `ringback serve`: signed webhooks, posted as Twilio would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SECRET = "fp0Zq-7sKJwVb2mTgXc1yRnE8uLdHa45"
SID = "AC" + "0123456789abcdef" * 2
RULES = """
version: 1
rules:
  - name: parking
    on: message.received
    state: shadow
    if: event.body.keyword('parking')
    do:
      - reply: Behind the station.
  - name: line
    on: call.received
    do:
      - say: Hello there.
"""


class Node:
    """A running `ringback serve`, and the shell beside it."""

    def __init__(self, project: Path, **environ: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
        }
        self.project = project
        self.environ = clean | environ | {
            "RINGBACK_PORT": str(port),
            "RINGBACK_PUBLIC_URL": "https://hooks.example.com",
            "RINGBACK_GATEWAY_URL": "http://127.0.0.1:9",
            "RINGBACK_SENDER": "+15550001111",
        }  # fmt: skip
        (project / "rules").mkdir()
        (project / "rules" / "rules.yaml").write_text(RULES)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringback.cli.main", "serve"],
            cwd=project, env=self.environ, text=True, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("ringback: serving on"):
                return
        raise AssertionError("serve did not start")

    def shell(self, *words: str, code: int = 0) -> str:
        """Run a command in the project; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "ringback.cli.main", *words],
            cwd=self.project, env=self.environ, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def events(self, count: int) -> list[dict[str, Any]]:
        """The events of the node, once there are so many."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if (self.project / "data" / "journal.db").exists():
                listed = self.shell("events", "list", "--json").splitlines()
                if len(listed) >= count:
                    return [json.loads(line) for line in listed]
            time.sleep(0.1)
        raise AssertionError(f"no {count} events")

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        _, _ = self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node with an auth token."""
    running = Node(tmp_path, TWILIO_ACCOUNT_SID=SID, TWILIO_AUTH_TOKEN=TOKEN)
    yield running
    assert running.stop() == 0


@pytest.mark.slow
def test_signed_webhooks(node: Node) -> None:
    """A text, a call and a status report are signed, accepted, traced."""
    sent = json.loads(node.shell("simulate", "message", "--json", "parking?"))
    assert sent["http_status"] == 200
    node.events(1)  # the worker is up now: the call gets its answer
    called = json.loads(node.shell("simulate", "call", "--json", "--from", "+12025550160"))
    assert "<Say>Hello there.</Say>" in called["body"]
    status = "SM" + "c" * 32
    node.shell("simulate", "status", status, "undelivered", "--error-code", "30003")
    events = node.events(3)
    assert [(e["type"], e["trust"]) for e in events] == [
        ("message.received", "signed"),
        ("call.received", "signed"),
        ("message.undelivered", "signed"),
    ]
    assert (events[2]["subject_sid"], events[2]["error_code"]) == (status, 30003)
    tree = node.shell("trace", sent["sid"])
    assert "✓ parking" in tree
    assert "captured: the rule is in shadow" in tree


@pytest.mark.slow
def test_a_wrong_token_is_refused(node: Node) -> None:
    """What is not signed by the account is refused, and simulate says so with exit 1."""
    node.environ["TWILIO_AUTH_TOKEN"] = "1" + TOKEN[1:]
    said = node.shell("simulate", "message", "hello", code=1)
    assert "HTTP 403" in said
    node.environ["TWILIO_AUTH_TOKEN"] = TOKEN
    node.shell("simulate", "message", "hello again")
    assert [each["fields"]["Body"] for each in node.events(1)] == ["hello again"]


@pytest.mark.slow
def test_secret_path_makes_claims(tmp_path: Path) -> None:
    """Without a token the secret path is used; the event is a claim that rules do not see."""
    node = Node(tmp_path, RINGBACK_HOOK_SECRET=SECRET, MATON_API_KEY="m" + TOKEN)
    try:
        sent = json.loads(node.shell("simulate", "message", "--json", "parking?"))
        assert sent["http_status"] == 200
        (event,) = node.events(1)
        assert event["trust"] == "claimed"
        assert "✗ parking  the event is only claimed" in node.shell("trace", sent["sid"])
    finally:
        assert node.stop() == 0


@pytest.mark.slow
def test_reload_and_refusals_of_the_worker(node: Node) -> None:
    """`rules reload` takes new rules, keeps the old ones on a mistake; wrong ids are named."""
    node.shell("simulate", "message", "first")
    node.events(1)
    file = node.project / "rules" / "rules.yaml"
    file.write_text(RULES.replace("Hello there", "Hello again"))
    assert node.shell("rules", "reload") == "loaded\n"
    called = json.loads(node.shell("simulate", "call", "--json"))
    assert "Hello again." in called["body"]
    file.write_text(RULES.replace("keyword", "keywrod"))
    assert "not loaded" in node.shell("rules", "reload", code=1)
    for words in (
        ("runs", "cancel", "run_none"),
        ("actions", "retry", "act_none"),
        ("actions", "resolve", "act_none", "not-sent"),
        ("rules", "release", "nobody"),
    ):
        node.shell(*words, code=2)


def test_nobody_is_there(tmp_path: Path) -> None:
    """Without a node, simulate says what to start, with exit 74."""
    environ = {"PATH": os.environ["PATH"], "TWILIO_AUTH_TOKEN": TOKEN, "RINGBACK_PORT": "9"}
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "simulate", "message", "--to", "+1", "x"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 74
    assert "ringback dev" in done.stderr
