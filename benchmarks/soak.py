"""Growth of a node in a long run: `python benchmarks/soak.py [--minutes 30]`.

The whole node under 200 signed status callbacks a second, one in twenty of them a duplicate. Once a
minute: latency, memory that the processes have taken, open files, the size of the write-ahead logs.
The memory's slope is fitted from the tenth minute on, in short runs from the third; more than 0.1
MB a minute ends with exit code 1.
"""

import argparse
import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from nodes import Node, environment, pace, ready, start_node
from servers import Bench, request_of

REACH = 0.1
"""Megabytes a minute."""


def with_duplicates(number: int) -> bytes:
    """The request of this number; every twentieth is the one before again."""
    return request_of(number - 1 if number % 20 == 0 else number)


def logs_kilobytes(node: Node) -> float:
    """The write-ahead logs of both files."""
    sizes = (node.data / f"{name}.db-wal" for name in ("log", "journal"))
    return sum(path.stat().st_size for path in sizes if path.exists()) / 1024


def slope(values: list[float]) -> float:
    """Least squares: how much the values grow from one to the next."""
    count = len(values)
    if count < 2:
        return 0.0
    middle, mean = (count - 1) / 2, sum(values) / count
    above = sum((index - middle) * (value - mean) for index, value in enumerate(values))
    return above / sum((index - middle) ** 2 for index in range(count))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--minute", type=float, default=60, help="seconds of a minute")
    options = parser.parse_args()
    memory: list[float] = []
    first = 10 if options.minutes >= 20 else min(3, options.minutes)
    accepted, number = 0, 1000
    print(f"{options.rate:g} webhooks a second for {options.minutes} minutes; {environment()}\n")
    print("minute    p50 ms    p99 ms       MB    files   logs KB   not 2xx")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        node = start_node(Bench(stack, folder, None), "soak")
        ready(node.port, request_of(1))
        for minute in range(1, options.minutes + 1):
            paced = asyncio.run(
                pace(node.port, options.rate, options.minute, with_duplicates, number)
            )
            number += int(options.rate * options.minute)
            accepted += paced.statuses[204]
            memory.append(node.taken())
            print(
                f"{minute:6d} {paced.quantile(0.5):9.2f} {paced.quantile(0.99):9.2f}"
                f" {memory[-1]:8.1f} {node.open_files():8d} {logs_kilobytes(node):9.0f}"
                f" {sum(paced.statuses.values()) - paced.statuses[204]:9d}",
                flush=True,
            )
        rows = node.rows()
    grows = slope(memory[first - 1 :])
    print(
        f"\nmemory grows by {grows:.2f} MB a minute from minute {first} on (at most {REACH:.2f})"
        f"\n{accepted} acknowledged, {rows} rows on disk"
    )
    return 1 if grows > REACH else 0


if __name__ == "__main__":
    sys.exit(main())
