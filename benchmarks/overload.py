"""Cost of an acknowledgement when something goes wrong: `python benchmarks/overload.py`.

The same load (300 signed status callbacks a second by default) on the whole node, one trouble after
the other: none; a plugin that spins for ever; a burst on 256 connections; six hundred connections
that say half a request; a disk that fills and is emptied again (needs root, for a file system of
its own). The gateway is down all the time. Each line shows the latency from the moment that a
request was due; at the end the rows on disk are held against the answers.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from nodes import Node, Paced, environment, pace, ready, start_node
from servers import Bench, Server, load, request_of, write_pool

SPINNING = """
import re
from ringback import rule

@rule("message.*", if_="event.sid.endsWith('00')")
def spin(event):
    re.match(r"(a+)+$", "a" * 60 + "b")
"""


class Numbers:
    """Gives out ranges of requests that nobody else uses."""

    def __init__(self) -> None:
        self.next = 1
        self.accepted = 0

    def take(self, many: int) -> int:
        start = self.next
        self.next += many
        return start


def run(node: Node, numbers: Numbers, rate: float, seconds: float) -> Paced:
    """One stretch of paced load."""
    start = numbers.take(int(rate * seconds) + 1)
    paced = asyncio.run(pace(node.port, rate, seconds, request_of, start))
    numbers.accepted += paced.statuses[204]
    return paced


async def beside_slow_ones(node: Node, numbers: Numbers, rate: float, seconds: float) -> Paced:
    """Paced load while six hundred connections have sent half a request."""
    slow = []
    for number in range(600):
        _, writer = await asyncio.open_connection("127.0.0.1", node.port)
        whole = request_of(0)
        writer.write(whole[: 60 if number % 2 else len(whole) - 20])
        slow.append(writer)
    start = numbers.take(int(rate * seconds) + 1)
    paced = await pace(node.port, rate, seconds, request_of, start)
    numbers.accepted += paced.statuses[204]
    for writer in slow:
        writer.close()
    return paced


def burst(node: Node, numbers: Numbers, folder: Path, seconds: float) -> str:
    """As much as 256 connections can send, answered one after the other."""
    size = 60_000
    first = numbers.take(size)
    write_pool(folder / "pool", map(request_of, range(first, first + size)))
    server = Server("burst", node.port, node.process)
    part = load(server, folder / "pool", size, 256, seconds)
    numbers.accepted += server.accepted
    return (
        f"p50 {part.p50:6.2f} ms   p99 {part.p99:7.2f} ms   {part.rate:.0f} a second, "
        f"not 2xx: {part.bad}"
    )


def say(trouble: str, outcome: object) -> None:
    print(f"{trouble:46} {outcome}", flush=True)


def small_disk(stack: ExitStack, place: Path) -> Callable[[str], None] | None:
    """A file system of four megabytes; the value resizes it. None when this user cannot mount."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        return None
    stack.callback(subprocess.run, ["umount", str(place)], check=False)

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)

    return resize


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    rate, seconds = options.rate, options.seconds
    print(f"{rate:g} webhooks a second, {seconds:g} s each; {environment()}\n")
    lost = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        bench = Bench(stack, folder, None)
        numbers = Numbers()
        node = start_node(bench, "calm")
        ready(node.port, request_of(numbers.take(1)))
        numbers.accepted += 1
        run(node, numbers, rate, 2)
        calm = run(node, numbers, rate, seconds)
        say("nothing wrong (but the gateway)", calm)
        say("600 connections with half a request",
            asyncio.run(beside_slow_ones(node, numbers, rate, seconds)))  # fmt: skip
        if shutil.which("wrk"):
            say("a burst on 256 connections", burst(node, numbers, folder, min(5, seconds)))
        after = run(node, numbers, rate, seconds)
        say("straight after the burst", after)
        lost += report(node, numbers)

        numbers = Numbers()
        node = start_node(bench, "spinning", plugins={"spinner.py": SPINNING})
        ready(node.port, request_of(numbers.take(1)))
        numbers.accepted += 1
        spun = run(node, numbers, rate, seconds)
        say("a plugin that spins for ever", spun)
        lost += report(node, numbers)

        resize = small_disk(stack, folder / "small")
        if resize is None:
            print("no file system of our own can be made here: the full disk is left out")
        else:
            numbers = Numbers()
            node = start_node(bench, "full", data=folder / "small" / "data")
            ready(node.port, request_of(numbers.take(1)))
            numbers.accepted += 1
            say("a disk that fills", run(node, numbers, rate, seconds))
            say("the disk is full", run(node, numbers, rate, seconds / 2))
            resize("256m")
            say("the disk has space again", run(node, numbers, rate, seconds))
            lost += report(node, numbers)
    print(
        f"\np99 beside a spinning plugin / without: {spun.quantile(0.99) / calm.quantile(0.99):.2f}"
        f"\np99 straight after a burst / before: {after.quantile(0.99) / calm.quantile(0.99):.2f}"
        f"\nacknowledged but not on disk: {lost}"
    )
    print(json.dumps({"calm_p99_ms": calm.quantile(0.99), "spinning_p99_ms": spun.quantile(0.99),
                      "lost": lost}))  # fmt: skip
    return 1 if lost else 0


def report(node: Node, numbers: Numbers) -> int:
    """How many were acknowledged and are not there."""
    return max(0, numbers.accepted - node.rows())


if __name__ == "__main__":
    sys.exit(main())
