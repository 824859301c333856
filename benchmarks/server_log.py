"""Benchmark of the log on PostgreSQL beside that on SQLite: `python benchmarks/server_log.py`.

Processes push entries as receivers do, each with so many in flight; an entry counts once its commit
is durable. In turns: one process on a SQLite file, one on a server, two on a server. The server has
a synchronous standby on the same machine and the same disk, so a commit waits for two of them.
Ratios are of slices of one round; beside them stands the processor time of everything that takes
part, the servers included.

Needs PostgreSQL 15 or later (Debian: apt-get install postgresql).
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from postgres import processes
from postgres.binaries import find_postgres
from postgres.keeper import PRISTINE, run_folder
from postgres.pair import pair
from ringback.store.log import Entry, Log

BODY = (
    b"MessageSid=SM%032d&MessageStatus=delivered&To=%%2B14155550100&From=%%2B14155550199&"
    + b"x" * 500
)
CASES = {
    "SQLite, one": ("sqlite", 1),
    "PostgreSQL, one": ("server", 1),
    "PostgreSQL, two": ("server", 2),
}


async def push(log: Log, seconds: float, in_flight: int) -> int:
    """Push entries for some seconds, always so many in flight; how many are durable."""
    done = 0
    end = time.monotonic() + seconds

    async def one() -> None:
        nonlocal done
        while time.monotonic() < end:
            moment = "2026-01-01T00:00:00.000Z"
            await log.append(
                Entry(moment, "message/status", "signed", "webhook", "", "", BODY % done)
            )
            done += 1

    await asyncio.gather(*(one() for _ in range(in_flight)))
    return done


def child(place: str, seconds: float, in_flight: int) -> None:
    """One process that pushes; prints how many, and its own processor time."""
    if "://" in place:
        from ringback.store.postgres.server_log import open_log

        log = open_log(place)
    else:
        log = Log.open(Path(place) / "log.db")
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.process_time()
    done = asyncio.run(push(log, seconds, in_flight))
    print(done, time.process_time() - began, flush=True)
    log.close()


def ticks(data: Path) -> float:
    """Processor seconds of a server and all its processes, those that ended included."""
    total = 0.0
    chief = processes.postmaster(data)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        if pid == chief or int(fields[1]) == chief:
            total += sum(map(int, fields[11:15] if pid == chief else fields[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def slice_of(place: str, count: int, options: Any, servers: list[Path]) -> tuple[float, float]:
    """Rows a second, and microseconds of processor time a row, of one slice."""
    before = sum(map(ticks, servers))
    words = [sys.executable, __file__, "--child", place, "--seconds", str(options.seconds)]
    running = [
        subprocess.Popen(
            [*words, "--in-flight", str(options.in_flight)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(count)
    ]  # fmt: skip
    for each in running:
        assert each.stdout is not None
        each.stdout.readline()
    for each in running:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [each.communicate()[0].split() for each in running]
    rows = sum(int(line[0]) for line in said)
    spent = sum(float(line[1]) for line in said) + sum(map(ticks, servers)) - before
    return rows / options.seconds, spent / rows * 1e6


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a slice")
    parser.add_argument("--in-flight", type=int, default=256, help="of each process")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.seconds, options.in_flight)
        return 0
    binaries = find_postgres()
    if binaries is None:
        print("PostgreSQL is missing (Debian: apt-get install postgresql): nothing can be measured")
        return 2
    rates: dict[str, list[float]] = {name: [] for name in CASES}
    costs: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory(prefix="ringback-bench-") as base:
        Path(base).chmod(0o755)
        with (
            run_folder(Path(base), binaries) as folder,
            pair(binaries, folder / PRISTINE, folder / "bench", synchronous=True) as servers,
        ):
            url = servers.primary.create_database()
            both = [servers.primary.data, servers.standby.data]
            for _ in range(options.rounds):
                for name, (kind, count) in CASES.items():
                    place = base if kind == "sqlite" else url
                    rate, cost = slice_of(place, count, options, both if kind == "server" else [])
                    rates[name].append(rate)
                    costs[name].append(cost)
    first = next(iter(CASES))
    print(f"{'':18}{'rows/s':>9}{'of SQLite':>11}{'range':>14}{'CPU us/row':>12}")
    for name in CASES:
        of = [rate / peer for rate, peer in zip(rates[name], rates[first], strict=True)]
        print(
            f"{name:18}{statistics.median(rates[name]):9,.0f}{statistics.median(of):11.2f}"
            f"{min(of):8.2f}-{max(of):.2f}{statistics.median(costs[name]):12,.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
