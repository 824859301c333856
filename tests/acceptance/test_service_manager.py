"""A node under a service manager: readiness, watchdog, a socket that outlives restarts; and signals
that come before it is up."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ENVIRON = {
    "TWILIO_ACCOUNT_SID": "AC" + "0123456789abcdef" * 2,
    "TWILIO_AUTH_TOKEN": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "RINGBACK_PUBLIC_URL": "https://hooks.example.com",
    "RINGBACK_PORT": "0",
    "PATH": os.environ["PATH"],
}
SERVE = [sys.executable, "-m", "ringback.cli.main", "serve"]
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a node in an empty project; what still runs is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(command: list[str], **more: Any) -> "subprocess.Popen[str]":
        environ = {**ENVIRON, **more.pop("environ", {})}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environ, text=True, stderr=subprocess.PIPE, **more
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def holds(process: "subprocess.Popen[str]", number: signal.Signals) -> bool:
    """Whether a process lets this signal wait."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    blocked = re.search(r"^SigBlk:\s*(\w+)", status, re.M)
    return blocked is not None and bool(int(blocked[1], 16) & 1 << (number - 1))


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@needs_proc
@pytest.mark.slow
def test_a_node_that_is_asked_to_end_while_it_starts_ends_in_order(start: Start) -> None:
    """The first process of a container would not even hear of it otherwise."""
    process = start([*SERVE, "--no-worker"])
    wait_until(lambda: holds(process, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


WATCHED = """
import signal, sys
from ringback.cli.start import main

def tell():
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    print(*(number.name for number in (signal.SIGTERM, signal.SIGHUP) if number in held), sep=",")

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "ringback.cli.main":
            tell()

sys.meta_path.insert(0, Finder())
try:
    main()
finally:
    tell()
"""


@pytest.mark.parametrize(
    ("command", "then"),
    [("serve nowhere", "SIGTERM,SIGHUP"), ("worker nowhere", "SIGTERM,SIGHUP"), ("docs rules", "")],
)
def test_signals_wait_before_the_program_is_loaded(tmp_path: Path, command: str, then: str) -> None:
    """A start under load takes a second until the command runs; other commands end as ever."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command.split()],
        cwd=tmp_path, env=ENVIRON, text=True, capture_output=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("SIGTERM,SIGHUP", then)


@needs_proc
@pytest.mark.slow
def test_a_reload_that_is_asked_for_while_it_starts_is_done(start: Start) -> None:
    process = start(SERVE)
    wait_until(lambda: holds(process, signal.SIGHUP))
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    said = next(line for line in process.stderr if "the settings were read again" in line)
    assert "changed: nothing" in said
    process.terminate()
    assert process.wait(60) == 0


def given(listener: socket.socket, words: list[str]) -> list[str]:
    """The command as a service manager starts it: the socket is descriptor 3 of this process."""
    script = (
        f"import os, sys; os.dup2({listener.fileno()}, 3); "
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", script, *words]


@pytest.mark.slow
def test_nobody_is_refused_while_a_node_with_a_given_socket_restarts(
    start: Start, tmp_path: Path
) -> None:
    """It says that it starts, serves, is well, and ends; requests wait for the next one."""
    with socket.socket() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}

        def hear(part: str) -> None:
            while part not in manager.recv(4096).decode().splitlines():
                pass

        command = given(listener, [*SERVE, "--no-worker"])
        first = start(command, environ=watched, pass_fds=(listener.fileno(),))
        hear("EXTEND_TIMEOUT_USEC=60000000")
        hear("READY=1")
        assert answered(ask(listener)).startswith(b"HTTP/1.1 200 ")
        hear("WATCHDOG=1")
        hear("WATCHDOG=1")
        first.terminate()
        hear("STOPPING=1")
        assert first.wait(60) == 0
        waiting = [ask(listener) for _ in range(20)]
        start(command, environ=watched, pass_fds=(listener.fileno(),))
        assert {answered(each)[:13] for each in waiting} == {b"HTTP/1.1 200 "}


def ask(listener: socket.socket) -> socket.socket:
    client = socket.create_connection(listener.getsockname(), timeout=60)
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return client


def answered(client: socket.socket) -> bytes:
    with client:
        return client.recv(4096)
