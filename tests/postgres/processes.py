"""The processes of a PostgreSQL server: found by the file of its postmaster, stopped, killed."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
STEP = 0.01
"""Seconds between two looks."""


def until(holds: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until something holds; it says what did not."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:g} s still waiting: {what}")
        time.sleep(STEP)


def postmaster(data: Path) -> int | None:
    """The process that its file names, when it is alive."""
    try:
        pid = int(_lines(data)[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if pid in _parents() else None


def port(data: Path) -> int:
    """The port that a running server listens on."""
    return int(_lines(data)[3])


def send(data: Path, number: signal.Signals) -> list[int]:
    """Send a signal to a server's every process. The postmaster is held meanwhile, so that no
    process is born that does not get it."""
    head = postmaster(data)
    if head is None:
        return []
    os.kill(head, signal.SIGSTOP)
    children: set[int] = set()
    while new := {pid for pid, parent in _parents().items() if parent == head} - children:
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        children |= new
    os.kill(head, number)
    return [head, *children]


def kill(data: Path) -> None:
    """End a server as a power cut does. What the kernel keeps for it goes too."""
    with suppress(OSError):
        memory = _lines(data)[6].split()[1:]
    ended = set(send(data, signal.SIGKILL))
    if not ended:
        return
    until(lambda: ended.isdisjoint(_parents()), "a killed server ends")
    # Where nobody has taken note of its end a dead postmaster counts as alive for the next one.
    (data / "postmaster.pid").unlink()
    if memory and shutil.which("ipcrm"):
        subprocess.run(["ipcrm", "-m", memory[0]], capture_output=True, check=False)


def _lines(data: Path) -> list[str]:
    """https://www.postgresql.org/docs/current/storage-file-layout.html, postmaster.pid: process,
    folder, start, port, folder of the socket, address, key and id of the shared memory, state."""
    return (data / "postmaster.pid").read_text().splitlines()


def _parents() -> dict[int, int]:
    """Each process that is alive with its parent."""
    if (PROC / "self").exists():
        return dict(_of_linux())
    asked = ["ps", "-A", "-o", "pid=", "-o", "ppid=", "-o", "state="]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def _of_linux() -> list[tuple[int, int]]:
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended
                # The name stands in brackets and may hold anything; state and parent follow.
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    found.append((int(folder.name), int(parent)))
    return found
