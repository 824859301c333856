"""Helpers of the node benchmarks: a node in a scratch folder, and load at a fixed rate."""

import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from servers import ACCOUNT, BASE, TOKEN, Bench, free_port

RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    if: event.body.keyword(['hours'])
    do:
      - reply: Mon-Fri 9-17
  - name: failures
    on: [message.failed, message.undelivered]
    if: event.error_class == 'recipient_unreachable'
    do:
      - notify: "${{ event.to }} cannot be reached"
"""


@dataclass
class Node:
    """A running node and where it keeps its data."""

    port: int
    data: Path
    process: subprocess.Popen[bytes]
    started: float

    def rows(self) -> int:
        """How many webhooks are in the log."""
        return count(self.data / "log.db", "select count(*) from log")

    def matched(self) -> int:
        """Up to which row the worker has matched the log."""
        return count(self.data / "journal.db", "select value from meta where key = 'cursor'")

    def pids(self) -> list[int]:
        """Its processes: receiver, worker, and those in which plugins run."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                parents[int(stat.parent.name)] = int(fields[1])
        found = [self.process.pid]
        for pid in found:
            found += sorted(child for child, parent in parents.items() if parent == pid)
        return found

    def resident(self) -> float:
        """Resident memory of all of them, in MB; pages that they share count once."""
        return self._memory("Pss:")

    def taken(self) -> float:
        """Memory that they have taken, in MB. Libraries are not in it: their pages are shared with
        whatever else runs on the machine, so a share of them grows when another program ends."""
        return self._memory("Pss_Anon:")

    def _memory(self, line: str) -> float:
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                words = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
                total += int(words[words.index(line) + 1])
        return total / 1024

    def open_files(self) -> int:
        """Open descriptors of all of them."""
        total = 0
        for pid in self.pids():
            with suppress(OSError):
                total += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return total


def count(path: Path, query: str) -> int:
    """A number out of a database that somebody else writes; 0 while it is not there yet."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            row = connection.execute(query).fetchone()
    except sqlite3.Error:
        return 0
    return int(row[0]) if row and row[0] is not None else 0


def start_node(
    bench: Bench,
    name: str,
    *,
    project: Path | None = None,
    data: Path | None = None,
    rules: str = RULES,
    plugins: dict[str, str] | None = None,
    gateway: str = "http://127.0.0.1:9",
    environ: dict[str, str] | None = None,
    words: Sequence[str] = (),
) -> Node:
    """Start `ringback serve` with a few rules, or with a whole `project`; it listens when this
    returns. `words` are more words of the command."""
    if project is None:
        project = bench.folder / name
        (project / "rules").mkdir(parents=True, exist_ok=True)
        (project / "plugins").mkdir(exist_ok=True)
        (project / "rules" / "bench.yaml").write_text(rules)
        for file, source in (plugins or {}).items():
            (project / "plugins" / file).write_text(source)
    port = free_port()
    data = data or project / "data"
    settings = {
        "RINGBACK_PORT": str(port), "RINGBACK_PUBLIC_URL": BASE, "RINGBACK_DATA": str(data),
        "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "MATON_API_KEY": "",
        "RINGBACK_GATEWAY_URL": gateway, "RINGBACK_SENDER": "+15550001111",
        **(environ or {}),
    }  # fmt: skip
    started = time.monotonic()
    command = [sys.executable, "-m", "ringback.cli.main", "serve", str(project), *words]
    process = bench.start(name, command, port, settings)
    return Node(port, data, process, started)


@dataclass
class Paced:
    """What came of load at a fixed rate: latencies in ms from the moment each request was due, and
    the statuses (0: no answer)."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def quantile(self, share: float) -> float:
        """The latency that this share of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(self.statuses.items()))
        return (
            f"p50 {statistics.median(self.latencies or [0]):6.2f} ms   "
            f"p99 {self.quantile(0.99):7.2f} ms   answers {statuses}"
        )


async def pace(
    port: int, rate: float, seconds: float, request: Callable[[int], bytes], start: int = 0
) -> Paced:
    """Send requests at a fixed rate, each on time whether or not the last one is answered."""
    result = Paced()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(number: int, due: float) -> None:
        status = 0
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(20):
                pair = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
                pair[1].write(request(number))
                head = await pair[0].readuntil(b"\r\n\r\n")
                status = int(head.split(b" ", 2)[1])
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length: "):
                        await pair[0].readexactly(int(line.split(b": ")[1]))
                if b"connection: close" in head:
                    pair[1].close()
                else:
                    idle.append(pair)
        result.latencies.append((time.perf_counter() - due) * 1000)
        result.statuses[status] += 1

    tasks = []
    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = begun + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(start + number, due)))
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return result


def ready(port: int, request: bytes, seconds: float = 30.0) -> float:
    """Post one webhook again and again until it is accepted; how long that took."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with suppress(OSError):
            if asyncio.run(pace(port, 100, 0.01, lambda _: request)).statuses[204]:
                return time.monotonic() - started
        time.sleep(0.01)
    raise RuntimeError("the node accepted nothing")


def environment() -> str:
    """One line about the machine."""
    return (
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"
    )
