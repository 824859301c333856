"""The console beside a node: a process of its own, which may die without anybody noticing."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.conftest import RINGBACK, Node

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
TOKEN = "own-token-4711-of-the-settings"
RULES = {
    "rules/a.yaml": "version: 1\nrules:\n  - name: a\n    on: message.received\n    do: [stop]\n"
}


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    """A node with a console."""
    made = make_node(RULES, RINGBACK_CONSOLE_PASSWORD=PASSWORD, RINGBACK_API_TOKEN=TOKEN).start()
    made.until(lambda: made.http.get(f"{made.url}/console/login").status_code == 200)
    return made


def console_pid(node: Node) -> int:
    """The process that holds the console's lock."""
    return int(json.loads((node.project / "data" / "console.lock").read_text())["pid"])


def raw(node: Node, head: str) -> str:
    """The first line that a request gets which is written by hand."""
    port = int(node.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        return connection.makefile("rb").readline().decode()


def test_a_console_that_dies_costs_the_node_nothing(node: Node) -> None:
    """Killed again and again while webhooks come: each gets its 2xx, the node stays ready, and the
    console comes back; it ends with the node."""
    node.wait_ready()
    killed: set[int] = set()
    for number in range(120):
        sent = node.post("/twilio/message", message(number))
        assert sent.status_code < 300
        if number % 20 == 10:
            with contextlib.suppress(OSError, ValueError):
                killed.add(console_pid(node))
                os.kill(console_pid(node), signal.SIGKILL)
        if number % 20 == 12:
            ready = node.http.get(f"{node.url}/readyz")
            assert ready.status_code == 200
            assert ready.json()["ready"] is True
            assert set(ready.json()) <= {"ready", "problems", "notes"}
            at = node.http.get(f"{node.url}/console/login")
            assert at.status_code in (200, 502)
            assert "frame-ancestors 'none'" in at.headers["content-security-policy"]
    assert killed
    node.until(lambda: node.http.get(f"{node.url}/console/login").status_code == 200)
    last = console_pid(node)
    assert last not in killed
    assert os.getpriority(os.PRIO_PROCESS, last) >= 10
    assert node.stop(signal.SIGKILL) == -signal.SIGKILL
    node.until(lambda: not is_alive(last))


def message(number: int) -> dict[str, str]:
    return {
        "MessageSid": f"SM{number:032x}", "From": "+12025550142", "To": "+14155550100",
        "Body": f"text {number}", "NumMedia": "0", "SmsStatus": "received",
    }  # fmt: skip


def is_alive(pid: int) -> bool:
    """Whether this process still runs; one that only waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_signs_in_through_the_port_of_the_node(node: Node) -> None:
    """With the password of the settings; programs with its token; others with nothing."""
    port = node.url.rpartition(":")[2]
    with httpx.Client(base_url=node.url, timeout=30) as browser:
        assert browser.get("/console/").status_code == 303
        data = {"name": "console", "password": PASSWORD}
        assert browser.post("/console/login", data=data).status_code == 403
        own = {"origin": node.url}
        assert browser.post("/console/login", data=data, headers=own).status_code == 303
        page = browser.get("/console/")
        assert page.status_code == 200
        (style,) = re.findall(r'href="(/console/static/[^"]+\.css)"', page.text)
        kept = browser.get(style)
        assert (kept.status_code, kept.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert "immutable" in kept.headers["cache-control"]
        large = b"x" * 100_000
        assert browser.post("/console/logout", content=large, headers=own).status_code == 413
    bearer = {"authorization": f"Bearer {TOKEN}"}
    wrong = {"authorization": "Bearer made-up"}
    assert node.http.get(f"{node.url}/api/v1/events", headers=wrong).status_code == 401
    for number in range(3):
        assert node.post("/twilio/message", message(number)).status_code < 300
    events = f"{node.url}/api/v1/events?type=message.received"
    node.until(lambda: len(node.http.get(events, headers=bearer).json()["items"]) == 3)
    told = follow(node, {**bearer, "last-event-id": "1"})
    assert "event: events" in told
    assert [told.count(f'"text {number}"') for number in range(3)] == [0, 1, 1]
    with node.http.stream("GET", f"{node.url}/api/v1/stream", headers=bearer) as kept:
        assert kept.status_code == 200
        check_hosts(node, port)
        begun = time.monotonic()
        assert node.stop() == 0  # an open stream holds up nobody
        assert time.monotonic() - begun < 30.0
        assert kept.read()


def check_hosts(node: Node, port: str) -> None:
    """A host that is not ours gets 421, in the target too, and whatever a header says."""
    for host in ("evil.example:80", f"127.0.0.1.nip.io:{port}", f"evil.example:{port}"):
        assert " 421 " in raw(node, f"GET /console/ HTTP/1.1\r\nHost: {host}")
        absolute = f"GET http://{host}/console/ HTTP/1.1\r\nHost: 127.0.0.1:{port}"
        assert " 421 " in raw(node, absolute)
    said = "Host: evil\r\nX-Ringback-Place: evil 80\r\nX-Ringback-Peer: 10.0.0.1"
    assert " 421 " in raw(node, f"GET /console/ HTTP/1.1\r\n{said}")


def follow(node: Node, headers: dict[str, str]) -> str:
    """What a stream tells first, through the port of the node."""
    url = f"{node.url}/api/v1/stream?topics=events"
    with node.http.stream("GET", url, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = ""
        for part in answer.iter_text():
            told += part
            if told.endswith("\n\n") and "data:" in told:
                return told
    raise AssertionError(told)


def test_there_is_no_console_before_somebody_may_use_it(make_node: Callable[..., Node]) -> None:
    """Then 404 and no process, until a person is added; with a port of its own the node's has none.
    A running console keeps another from the same folder."""
    node = make_node(RULES).start()
    for path in ("/console", "/console/", "/console/login", "/api/v1/events"):
        assert node.http.get(f"{node.url}{path}").status_code == 404
    assert not (node.project / "data" / "console.lock").exists()
    assert node.stop() == 0
    added = run(node, "users", "add", "ada", "--role", "admin", "--password", PASSWORD)
    assert added.returncode == 0, added.stderr
    node.start()
    node.until(lambda: node.http.get(f"{node.url}/console/login").status_code == 200)
    second = run(node)
    assert second.returncode == 75
    assert "already in use" in second.stderr
    listed = run(node, "users", "list", "--json")
    assert json.loads(listed.stdout)["name"] == "ada"
    assert PASSWORD not in listed.stdout


def run(node: Node, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of the console, in the project of the node."""
    return subprocess.run(
        [*RINGBACK, "console", *arguments], cwd=node.project, env=dict(node.environ),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_console_of_a_copy_is_read_by_a_key(node: Node, tmp_path: Path) -> None:
    """`ringback --data COPY console` prints an address with a key, which signs in on that port."""
    copy = tmp_path / "copy"
    done: Any = subprocess.run(
        [*RINGBACK, "db", "backup", str(copy)], cwd=node.project, env=dict(node.environ),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with subprocess.Popen(
        [*RINGBACK, "--data", str(copy), "console"], cwd=node.project, env=dict(node.environ),
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        url, _, key = process.stdout.readline().split("at ")[1].strip().partition("#")
        base = url.removesuffix("/console/in")
        with httpx.Client(base_url=base, timeout=30) as browser:
            own = {"origin": base}
            wrong = browser.post("/console/in", data={"key": "made-up"}, headers=own)
            assert wrong.status_code == 401
            assert browser.post("/console/in", data={"key": key}, headers=own).is_redirect
            assert browser.get("/console/").status_code == 200
        process.terminate()
        assert process.wait(20) == 0


def test_one_connection_asks_again_and_again(node: Node) -> None:
    """As browsers do: an answer is over with its last byte, and the next request is another one."""
    with httpx.Client(base_url=node.url) as browser:
        for _ in range(150):
            assert browser.get("/console/login").status_code == 200
