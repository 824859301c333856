"""Browser tests: a node of `ringback dev` with its console, and the Chromium of this machine.

`nox -s browser` runs them, and `pytest -m browser -n 0 tests/browser` where the extra `browser` is
installed. Where it or Chromium is missing they are skipped, and say so.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PATIENCE = 60.0
DESKTOP, PHONE = (1280, 800), (390, 844)
RULES = """\
version: 1
rules:
  - name: hours
    on: message.received
    if: event.body.keyword(['hours'])
    do:
      - reply: We are open from 9 to 5.
  - name: gold
    on: message.received
    if:
      - event.body.size() > 2
      - event.body.keyword(['gold'])
    do:
      - reply: Hello, gold customer.
  - name: refund
    on: message.received
    state: draft
    if: event.body.keyword(['refund'])
    do:
      - reply: You get it back.
  - name: line
    on: call.received
    do:
      - say: Hello.
"""


@dataclass
class Dev:
    """A running `ringback dev`."""

    project: Path
    process: "subprocess.Popen[bytes]"
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the node listens."""
        return str(self.facts["node_url"])

    def text(self, body: str, sender: str = "+12025550142") -> str:
        """Text the node as somebody outside; the SID."""
        data = {"from": sender, "to": self.facts["numbers"][0], "body": body}
        request = urllib.request.Request(
            f"{self.facts['base_url']}/_sim/messages", json.dumps(data).encode(),
            {"content-type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(json.loads(answer.read())["sid"])


def until(holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait until something holds; its value."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except (OSError, ValueError, KeyError):
            pass
        time.sleep(0.05)
    raise AssertionError("it never came true")


@contextmanager
def running(project: Path) -> Iterator[Dev]:
    """A node of `ringback dev` on this project."""
    environ = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_"))
    }  # fmt: skip
    command = [sys.executable, "-m", "ringback.cli.main", "dev", str(project)]
    with subprocess.Popen(
        command, env=environ, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        dev = Dev(project, process)
        try:
            assert process.stdout is not None
            while b"The console:" not in process.stdout.readline():
                assert process.poll() is None
            dev.facts = json.loads((project / "data" / "dev" / "dev.json").read_text())
            until(lambda: urllib.request.urlopen(f"{dev.url}/console/login", timeout=5).status)
            yield dev
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout and process.stdout.close()
            process.wait(PATIENCE)


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A node that a few people have texted."""
    project = tmp_path_factory.mktemp("shop")
    (project / "rules").mkdir()
    (project / "rules" / "a.yaml").write_text(RULES)
    (project / "ringback.toml").write_text("")
    with running(project) as made:
        for body, sender in (
            ("What are your hours?", "+12025550142"), ("Hello there", "+12025550143"),
            ("I want a refund", "+12025550144"), ("your hours", "+15005530003"),
            ("STOP", "+12025550145"), ("hours?", "+12025550145"),
        ):  # fmt: skip
            made.text(body, sender)
        yield made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="needs the extra `browser`: pip install -e '.[browser]'"
    )
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium, as the Debian package `chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(chromium: Any, dev: Dev) -> Any:
    """The cookies of somebody whom the key of dev has signed in."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{dev.url}/console/in#{dev.facts['console_key']}")
    page.wait_for_url("**/console/", wait_until="commit")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def browse(chromium: Any, dev: Dev, signed_in: Any) -> Iterator[Callable[..., Any]]:
    """Open a page, signed in; what a script or the policy complains of fails the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def complain(said: Any) -> None:
        if said.type == "error" and "404 (Not Found)" not in said.text:
            wrong.append(said.text)

    def open_(path: str, **how: Any) -> Any:
        how.setdefault("viewport", dict(zip(("width", "height"), DESKTOP, strict=True)))
        context = chromium.new_context(storage_state=signed_in, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", complain)
        page.goto(dev.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []
