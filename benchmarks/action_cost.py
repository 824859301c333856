"""Benchmark of the worker's processor time for an event: `python benchmarks/action_cost.py`.

A real node with a stand-in for the gateway in a process of its own, and webhooks as fast as it
accepts them on 32 connections. Counted is the processor time of the worker's process, user and
system, until the last action has left, less what it uses while nothing comes. Beside it stands how
often a fixed piece of work, done meanwhile, goes into it: what else runs on the machine makes both
longer.

1. `acts`: texts that a rule answers, each through the gateway.
2. `mixed`: texts of which 12 % are answered.
3. `text`: texts that no rule wants.
4. `status`: status callbacks that no rule wants.

With `--rate 100` so many come a second, and each of them wakes a worker that has nothing to do:
then no write shares its commit with others.
"""

import argparse
import asyncio
import json
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import contestants
from nodes import Node, environment, pace, start_node
from servers import Bench, request_of

CONNECTIONS = 32
IDLE_SECONDS = 1.0

Requests = Callable[[int], bytes]


def worker_of(node: Node) -> int:
    """The process of a node's worker."""
    for pid in node.pids():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"--supervised" in words:
            return pid
    raise RuntimeError("the node has no worker")


def used(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_share(pid: int) -> float:
    """How much of a core the worker uses while nothing comes."""
    before, began = used(pid), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return (used(pid) - before) / (time.monotonic() - began)


def yardstick() -> float:
    """Processor time of a fixed piece of work at this moment, in µs."""
    began = time.thread_time()
    for number in range(150):
        words = {f"name {each}": str(number * each) for each in range(8)}
        json.loads(json.dumps(dict(sorted(words.items(), reverse=True))))
    return (time.thread_time() - began) * 1e6


def come_to_rest(node: Node) -> list[float]:
    """Wait until everything is matched and has left; what the yardstick showed meanwhile."""
    shown = [yardstick() for _ in range(3)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(node.data / "journal.db")) as journal:
            left = journal.execute(
                "select count(*) from actions where state in ('planned', 'sending')"
            ).fetchone()[0]
            runs = journal.execute(
                "select count(*) from runs where state in ('pending', 'running', 'waiting')"
            ).fetchone()[0]
        if not left and not runs and node.matched() >= node.rows():
            return shown
        shown.append(yardstick())
        time.sleep(0.05)
    raise RuntimeError("the worker did not catch up")


async def pressed(port: int, requests: list[bytes]) -> Counter[int]:
    """Send requests one after the other on each of some connections; the statuses."""
    statuses: Counter[int] = Counter()
    left = iter(requests)

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            statuses[int(head.split(b" ", 2)[1])] += 1
            if length := head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]:
                await reader.readexactly(int(length))
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return statuses


def measured(
    node: Node, requests: Requests, first: int, options: argparse.Namespace
) -> tuple[float, float]:
    """Processor time of the worker for each event, in µs, and in yardsticks."""
    pid = worker_of(node)
    idle = idle_share(pid)
    asked = [requests(first + number) for number in range(options.events)]
    before, began = used(pid), time.monotonic()
    if options.rate:
        seconds = options.events / options.rate
        took = asyncio.run(pace(node.port, options.rate, seconds, asked.__getitem__)).statuses
    else:
        took = asyncio.run(pressed(node.port, asked))
    shown = come_to_rest(node)
    spent = used(pid) - before - idle * (time.monotonic() - began)
    bad = options.events - took[200] - took[204]
    if bad:
        raise RuntimeError(f"{bad} of {options.events} webhooks were not accepted")
    each = spent / options.events * 1e6
    return each, each / statistics.median(shown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=2000, help="of one round")
    parser.add_argument("--rate", type=float, default=0.0, help="events a second; 0: all that fit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["acts", "mixed", "text", "status"], default=None)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end the servers too
    parts: dict[str, Requests] = {
        "acts": lambda number: contestants.text_of(number, "your hours please"),
        "mixed": contestants.text_of,
        "text": lambda number: contestants.text_of(number, "thanks a lot, see you"),
        "status": request_of,
    }
    if options.only:
        parts = {options.only: parts[options.only]}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-"))
        bench = Bench(stack, Path(folder), None)
        environ = {
            "RINGBACK_SENDER": contestants.OURS, "RINGBACK_GATEWAY_RATE": "10000",
            "RINGBACK_TOTAL_PER_HOUR": "0",
        }  # fmt: skip
        node = start_node(
            bench, "node", rules=contestants.RULES, environ=environ,
            gateway=f"http://127.0.0.1:{contestants.gateway(bench, 'gateway')}",
        )  # fmt: skip
        contestants.await_ready(node.port)
        first = 0
        figures: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
        for number in range(options.rounds + 1):
            for name, requests in parts.items():
                found = measured(node, requests, first, options)
                first += options.events
                if number:
                    figures[name].append(found)
        how = f"at {options.rate:g}/s" if options.rate else "as fast as they are accepted"
        print(f"{environment()}; {options.rounds} rounds of {options.events} events {how}")
        print("processor time of the worker for each event: µs, and times a fixed piece of work")
        for name, each in figures.items():
            micros, ratios = zip(*each, strict=True)
            span = f"({min(micros):.0f} to {max(micros):.0f})"
            others = f"({min(ratios):.3f} to {max(ratios):.3f})"
            print(f"{name:8} {statistics.median(micros):6.0f}  {span:16}"
                  f" {statistics.median(ratios):6.3f}  {others}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
