"""Notices and `http` steps under `ringback dev`: shown and not sent, unless asked for."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

RINGBACK = [sys.executable, "-m", "ringback.cli.main"]
RULES = """
version: 1
rules:
  - name: complaint
    on: message.received
    do:
      - notify: {text: "about ${{ event.body }}", webhook: "URL/webhook"}
      - notify: {text: "about ${{ event.body }}", via: office}
      - notify: {text: "about ${{ event.body }}", via: desk}
      - notify: {text: "in the log: ${{ event.body }}"}
      - http: {url: "URL/crm", json: {text: "${{ event.body }}"}}
"""
CHANNELS = """
[channels.office]
kind = "email"
smtp = "smtp://127.0.0.1:MAIL"
from = "ringback@example.org"
to = ["office@example.org"]

[channels.desk]
kind = "pagerduty"
routing_key = "R"
url = "URL/pager"
"""


class World(ThreadingHTTPServer):
    """Everybody outside who could be notified; `paths` is who was."""

    def __init__(self) -> None:
        paths = self.paths = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                paths.append(self.path)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def mail() -> Iterator[socket.socket]:
    """A mail server that nobody should call; what calls waits in its backlog."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def tell(
    project: Path, world: World, mail: socket.socket, *flags: str, all_out: int
) -> dict[str, Any]:
    """One text to `ringback dev`: its output, and what became of each action; `all_out` is how
    many are reported or shown at the end."""
    url = f"http://127.0.0.1:{world.server_address[1]}"
    (project / "rules").mkdir()
    (project / "plugins").mkdir()
    (project / "rules" / "all.yaml").write_text(RULES.replace("URL", url))
    port = str(mail.getsockname()[1])
    (project / "ringback.toml").write_text(CHANNELS.replace("URL", url).replace("MAIL", port))
    ours = ("RINGBACK_", "TWILIO_", "MATON_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ["RINGBACK_OUTBOUND_ALLOW"] = url.removeprefix("http://")
    environ["RINGBACK_NOTIFY"] = "true"  # as an .env may say: dev asks for its own flag
    dev = subprocess.Popen(
        [*RINGBACK, "dev", "--port", "0", *flags], cwd=project, env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert dev.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda out: lines.extend(iter(out.readline, "")),
                              args=(dev.stdout,))  # fmt: skip
    reader.start()

    def until(happened: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not happened():
            assert dev.poll() is None, "".join(lines)
            assert time.monotonic() < end, "".join(lines)
            time.sleep(0.05)

    try:
        until(lambda: any("Ctrl-C ends." in line for line in lines))
        subprocess.run(
            [*RINGBACK, "simulate", "message", "--wait", "0", "mud"],
            cwd=project, env=environ, check=True,
        )  # fmt: skip
        until(
            lambda: len(world.paths) + sum("shown, not sent" in line for line in lines) >= all_out
        )
    finally:
        dev.send_signal(signal.SIGTERM)
        dev.wait(timeout=40)
        reader.join(10)
        dev.stdout.close()
    listed = subprocess.run(
        [*RINGBACK, "actions", "list", "--json"],
        cwd=project, env=environ, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    rows = [json.loads(line) for line in listed.splitlines()]
    return {"said": "".join(lines), "states": {row["state"] for row in rows}}


@pytest.mark.slow
def test_dev_shows_what_it_would_tell(tmp_path: Path, world: World, mail: socket.socket) -> None:
    """Nobody outside is called, by any channel; each action is done, and says how."""
    found = tell(tmp_path, world, mail, all_out=4)
    said = found["said"]
    for shown in ("notice via webhook: about mud", "notice via office: about mud",
                  "notice via desk: about mud", "POST http://127.0.0.1:"):  # fmt: skip
        assert any("shown, not sent" in line and shown in line for line in said.splitlines()), said
    assert "in the log: mud" in said
    assert "notices are only shown" in said
    assert world.paths == []
    with pytest.raises(TimeoutError):
        mail.accept()
    assert found["states"] == {"settled"}


@pytest.mark.slow
def test_dev_with_notify_tells(tmp_path: Path, world: World, mail: socket.socket) -> None:
    """With the flag they go out, and the start says so."""
    threading.Thread(target=_refuse_mail, args=(mail,), daemon=True).start()
    found = tell(tmp_path, world, mail, "--notify", all_out=3)
    assert sorted(set(world.paths)) == ["/crm", "/pager", "/webhook"]
    assert "shown, not sent" not in found["said"]
    assert "notices do go out" in found["said"]


def _refuse_mail(mail: socket.socket) -> None:
    mail.settimeout(20)
    connection, _ = mail.accept()
    connection.sendall(b"554 not now\r\n")
    connection.close()
