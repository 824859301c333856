"""Benchmark of ingest as the log grows: `python benchmarks/growth.py [--rows 10000000]`.

Two logs, one of 100,000 rows and one of `--rows` (a million by default; ten million take about 9 GB
of disk), written in turns by the same group commit with 64 appends in flight. The ratio of the two
rates, round by round, is the figure.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from nodes import environment
from restart import fill
from servers import request_of

from ringback.store.log import Entry, Log

BODY = request_of(1).partition(b"\r\n\r\n")[2]
ENTRY = Entry(
    "2026-11-22T10:00:00.000Z", "message/status", "signed", "webhook", "",
    "application/x-www-form-urlencoded", BODY,
)  # fmt: skip


async def rate(log: Log, in_flight: int, seconds: float) -> float:
    """Rows a second with so many appends in flight, each on disk before the next."""
    rows = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal rows
        while time.perf_counter() < end:
            await log.append(ENTRY)
            rows += 1

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(in_flight)))
    return rows / (time.perf_counter() - started)


async def compare(folder: Path, sizes: list[int], rounds: int, seconds: float) -> list[list[float]]:
    """The rates of each log, round by round."""
    logs = [Log.open(folder / str(size) / "log.db") for size in sizes]
    rates: list[list[float]] = [[] for _ in sizes]
    for number in range(rounds + 1):
        for index in random.sample(range(len(logs)), len(logs)):
            found = await rate(logs[index], 64, seconds)
            if number:  # the first round warms up
                rates[index].append(found)
    for log in logs:
        log.close()
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    sizes = [100_000, options.rows]
    with tempfile.TemporaryDirectory(prefix="ringback-bench-") as name:
        folder = Path(name)
        for size in sizes:
            fill(folder / str(size) / "log.db", size)
        rates = asyncio.run(compare(folder, sizes, options.rounds, options.seconds))
        megabytes = [(folder / str(size) / "log.db").stat().st_size / 1e6 for size in sizes]
    print(f"appends with 64 in flight; {environment()}\n")
    for size, found, much in zip(sizes, rates, megabytes, strict=True):
        print(f"{size:>12,} rows ({much:6.0f} MB): {statistics.median(found):8.0f} a second")
    ratios = [large / small for small, large in zip(*rates, strict=True)]
    print(
        f"\nlarge / small: {statistics.median(ratios):.2f}"
        f"  (rounds: {min(ratios):.2f} to {max(ratios):.2f})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
