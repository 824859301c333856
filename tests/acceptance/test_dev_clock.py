"""`ringback simulate clock` beside a running `ringback dev`: hours of waiting tried in seconds."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

RULES = """
version: 1
rules:
  - name: booking
    on: message.received
    if: event.body.keyword('book')
    do:
      - reply: Which day?
      - wait_for: {timeout: 1h, as: day, else: [{reply: Too late.}]}
  - name: reminders
    on: message.received
    if: event.body.keyword('remind')
    do:
      - wait: 30m
      - reply: half
      - wait: 20m
      - reply: more
"""


class Dev:
    """A running `ringback dev` with the rules above."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) and name != "PORT"
        }
        (project / "rules").mkdir()
        (project / "rules" / "rules.yaml").write_text(RULES)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ringback.cli.main", "dev"],
            cwd=project, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._up = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._up.wait(60), "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "is up: node" in line:
                self._up.set()

    def shell(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ringback.cli.main", *words],
            cwd=self.project, env=self.environ, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr + "".join(self.lines)
        return done.stdout if code == 0 else done.stderr

    def text(self, body: str, *more: str) -> list[str]:
        """Text as a stranger; the bodies of the replies."""
        said = json.loads(self.shell("simulate", "message", "--json", *more, body))
        return [reply["body"] for reply in said["replies"]]

    def move(self, *ahead: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.shell("simulate", "clock", "--json", *ahead))
        return found

    def sent(self) -> list[tuple[str, str]]:
        """Moment and text of every reply, in order."""
        actions = [
            json.loads(line) for line in self.shell("actions", "list", "--json").splitlines()
        ]
        return sorted((each["planned_at"], each["params"]["body"]) for each in actions)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=40)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    running = Dev(tmp_path)
    yield running
    running.stop()


@pytest.mark.slow
def test_an_hour_s_time_out_comes_when_the_clock_is_moved(dev: Dev) -> None:
    assert dev.text("book") == ["Which day?"]
    assert dev.text("remind", "--wait", "0", "--from", "+12025550143") == []
    began = time.time()
    moved = dev.move("+1h1m")
    assert moved["ahead"] >= 3660
    assert time.time() - began < 40
    sent = [body for _, body in dev.sent()]
    assert sent == ["Which day?", "half", "more", "Too late."]
    moments = [moment for moment, _ in dev.sent()]
    assert moments[1][:16] < moments[2][:16] < moments[3][:16], moments
    note = json.loads((dev.project / "data/dev/dev.json").read_text())
    with urllib.request.urlopen(note["base_url"] + "/_sim", timeout=10) as answer:
        dated = parsedate_to_datetime(answer.headers["date"]).timestamp()
    assert 3640 < dated - time.time() < 3700
    # Both sides went along: what is sent now is dated by the moved clock, and is delivered.
    assert dev.text("book") == ["Which day?"]
    assert dev.move()["ahead"] == moved["ahead"]
    for wrong in ("-1h", "later", "500d"):
        dev.shell("simulate", "clock", "--", wrong, code=2)
