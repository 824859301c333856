"""Fixtures with real processes: a simulated Twilio, a node beside it, and a client that signs.

Also a gateway of this process, for tests that ask when a request came, or with which key.
"""

import base64
import hashlib
import json
import os
import queue
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import psycopg
import pytest
from twilio.request_validator import RequestValidator

RINGBACK = [sys.executable, "-m", "ringback.cli.main"]
PATIENCE = 60.0


class Lines:
    """A child's output as it comes, kept and searchable. `wait_for` blocks on the pipe itself."""

    def __init__(self, stream: Any) -> None:
        self.seen: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self.thread.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, text: str, timeout: float = PATIENCE) -> str:
        """The next line that holds `text`."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                break
            if line is None:
                break
            self.seen.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r} came; there were:\n{''.join(self.seen)}")

    def rest(self) -> str:
        """Everything that has come so far."""
        while True:
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return "".join(self.seen)
            if line is not None:
                self.seen.append(line)


@dataclass
class Box:
    """A running Twilio in a box."""

    facts: Mapping[str, Any]
    http: httpx.Client

    def text(self, sender: str, body: str) -> str:
        """A handset texts our number; the SID of the message."""
        answer = self.http.post(
            "/_sim/messages", json={"from": sender, "to": self.facts["numbers"][0], "body": body}
        )
        answer.raise_for_status()
        return str(answer.json()["sid"])

    def inbox(self, number: str) -> list[dict[str, Any]]:
        """What a handset has received."""
        answer = self.http.get(f"/_sim/handsets/{httpx.URL(path=number).path}")
        answer.raise_for_status()
        return list(answer.json()["inbox"])

    def messages(self) -> list[dict[str, Any]]:
        """Every message that was created through the REST API."""
        account = self.facts["account_sid"]
        url: str | None = f"/2010-04-01/Accounts/{account}/Messages.json?PageSize=1000"
        found: list[dict[str, Any]] = []
        while url:
            page = self.http.get(url, auth=(account, self.facts["auth_token"])).json()
            found += [item for item in page["messages"] if item["direction"] == "outbound-api"]
            url = page["next_page_uri"]
        return found


@dataclass
class Node:
    """A running `ringback serve`."""

    project: Path
    environ: Mapping[str, str]
    token: str
    account: str
    process: subprocess.Popen[str] = field(init=False)
    lines: Lines = field(init=False)
    url: str = ""
    # One client for all: each `httpx.get` would read the certificates of the system anew.
    http: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False, timeout=PATIENCE))

    def start(self, *arguments: str, under: Sequence[str] = ()) -> "Node":
        """Start it, `under` a tool perhaps, and wait until it accepts requests."""
        self.run([*under, *RINGBACK, "serve", str(self.project), *arguments])
        line = self.lines.wait_for("ringback: serving on ")
        self.url = line.split("serving on ")[1].split(" ")[0]
        return self

    def run(self, command: Sequence[str]) -> None:
        """Start a command in the project folder, with the settings of the node."""
        self.process = subprocess.Popen(
            command, cwd=self.project, env=dict(self.environ),
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        self.lines = Lines(self.process.stderr)

    def worker_pid(self) -> int:
        """The process that holds the worker's lock."""
        return int(json.loads((self.project / "data" / "worker.lock").read_text())["pid"])

    def wait_ready(self) -> None:
        """Wait until the worker answers too."""
        self.until(self.ready)

    def ready(self) -> bool:
        """Whether the worker answers now."""
        return self.http.get(f"{self.url}/readyz").status_code == 200

    def post(
        self, path: str, fields: Mapping[str, str], client: httpx.Client | None = None
    ) -> httpx.Response:
        """A webhook as Twilio sends it, signed by the official library."""
        url = f"{self.environ['RINGBACK_PUBLIC_URL']}{path}"
        form = {"AccountSid": self.account, "ApiVersion": "2010-04-01", **fields}
        signature = RequestValidator(self.token).compute_signature(url, form)
        headers = {"X-Twilio-Signature": signature}
        return (client or self.http).post(f"{self.url}{path}", data=form, headers=headers)

    def ask(self, query: str, *values: object, file: str = "journal.db") -> list[Any]:
        """A question to one of the databases, through a connection of our own."""
        if url := self.environ.get("RINGBACK_DATABASE_URL"):
            with closing(psycopg.connect(url, options="-c search_path=rb_p000,rb")) as server:
                return server.execute(query.encode()).fetchall()
        connection = sqlite3.connect(f"file:{self.project / 'data' / file}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def until(self, holds: Callable[[], object], timeout: float = PATIENCE) -> Any:
        """Wait until something holds; its value."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                value = holds()
            except (httpx.TransportError, sqlite3.OperationalError, psycopg.Error, OSError):
                value = None
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"it never came true; the node said:\n{self.lines.rest()}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.lines.thread.join(PATIENCE)
        return code


@pytest.fixture
def speed() -> str:
    """How much faster than the world the box's clock runs. A module may say otherwise."""
    return "20"


@contextmanager
def running_box(speed: str) -> Iterator[Box]:
    """A simulated Twilio, as a process of its own."""
    command = [*RINGBACK, "simulator", "--port", "0", "--speed", speed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        with httpx.Client(base_url=facts["base_url"], timeout=PATIENCE) as client:
            yield Box(facts, client)
        process.terminate()


@pytest.fixture(scope="session")
def boxes() -> Iterator[Callable[[str], Box]]:
    """The simulators of this session, one for each speed of the clock."""
    with ExitStack() as stack:
        yield cache(lambda speed: stack.enter_context(running_box(speed)))


@pytest.fixture
def box(boxes: Callable[[str], Box], speed: str) -> Box:
    """A simulated Twilio, as new."""
    box = boxes(speed)
    box.http.post("/_sim/reset").raise_for_status()
    return box


class Gateway(ThreadingHTTPServer):
    """Stands where Twilio's API stands: takes every message, and keeps who asked for which, and
    when each came first (monotonic)."""

    def __init__(self) -> None:
        asked = self.asked = list[tuple[str, str]]()
        arrived = self.arrived = dict[str, float]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                came = time.monotonic()
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                scheme, _, key = self.headers["Authorization"].partition(" ")
                if scheme == "Basic":
                    key = base64.b64decode(key).decode().partition(":")[2]
                asked.append((key, form["Body"][0]))
                arrived.setdefault(form["Body"][0], came)
                sid = "SM" + hashlib.md5(repr(form).encode(), usedforsecurity=False).hexdigest()
                self._answer(201, {"sid": sid, "status": "queued"})

            def do_GET(self) -> None:
                self._answer(200, {"messages": [], "calls": [], "next_page_uri": None})

            def _answer(self, status: int, data: dict[str, Any]) -> None:
                body = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway of this process."""
    with Gateway() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def make_node(tmp_path: Path, box: Box) -> Iterator[Callable[..., Node]]:
    """Make a node for a project of given files; it is wired to the box and ended afterwards."""
    nodes: list[Node] = []

    def make(files: Mapping[str, str], **settings: str) -> Node:
        project = tmp_path / f"project{len(nodes)}"
        for name, text in files.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (project / "plugins").mkdir(parents=True, exist_ok=True)
        port = free_port()
        facts = box.facts
        environ = {
            **{name: value for name, value in os.environ.items() if "RINGBACK" not in name},
            "TWILIO_ACCOUNT_SID": facts["account_sid"],
            "TWILIO_AUTH_TOKEN": facts["auth_token"],
            "MATON_API_KEY": facts["maton_api_key"],
            "MATON_CONNECTION": facts["connection_id"],
            "RINGBACK_GATEWAY_URL": facts["maton_url"],
            "RINGBACK_CONTROL_URL": facts["control_url"],
            "RINGBACK_SENDER": facts["numbers"][0],
            "RINGBACK_PORT": str(port),
            "RINGBACK_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "RINGBACK_SETTLE_SECONDS": "1",
            # A caller of a test waits for a worker that shares its cores with other tests.
            "RINGBACK_ANSWER_SECONDS": "10",
            **settings,
        }
        node = Node(project, environ, facts["auth_token"], facts["account_sid"])
        nodes.append(node)
        number = facts["numbers"][0].replace("+", "%2B")
        box.http.post(
            f"/_sim/numbers/{number}",
            json={
                "sms_url": f"http://127.0.0.1:{port}/twilio/message",
                "voice_url": f"http://127.0.0.1:{port}/twilio/call",
            },
        ).raise_for_status()
        return node

    yield make
    for node in nodes:
        node.http.close()
        if hasattr(node, "process"):
            node.stop()


def free_port() -> int:
    """A port that nobody listens on, below those that connections are given: nothing of another
    test takes it before the node does."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
