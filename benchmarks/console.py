"""Cost of the console to the node beside it: `python benchmarks/console.py`.

300 signed status callbacks a second, without anybody at the console and with five people who open a
page twice a second each beside ten streams, in turns: the ratio of the latencies of the
acknowledgements. Then what the console holds in memory while nobody looks, and what a stream that
is never read costs.
"""

import argparse
import asyncio
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from nodes import Node, Paced, environment, pace, ready, start_node
from servers import Bench, request_of

PAGES = ("/console/", "/console/failures", "/console/delivery", "/console/rules", "/console/decide")
STREAM = "/api/v1/stream?topics=events,poke"
HEAVY = f"GET {STREAM}&full=1 HTTP/1.1\r\nHost: {{}}\r\nAuthorization: Bearer {{}}\r\n\r\n"
PEOPLE = ("ann", "bob", "cem", "dan", "eve")
PASSWORD = "correct horse battery staple"


@dataclass
class Crowd:
    """Those at the console: how long their pages took, in ms, and what the answers were."""

    pages: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    pushed: int = 0


def console_of(node: Node) -> int:
    """The process of the console."""
    for pid in node.pids():
        with suppress(OSError):
            if b"\0console\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    raise RuntimeError("the node has no console")


def memory(pid: int) -> float:
    """The proportional set of a process, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if "Pss:" in line) / 1024


def used(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def add_people(project: Path, data: Path) -> None:
    """Give five people a name and a password."""
    command = [sys.executable, "-m", "ringback.cli.main", "-C", str(project), "--data", str(data)]
    for name in PEOPLE:
        words = ["console", "users", "add", name, "--role", "operate", "--password", PASSWORD]
        subprocess.run([*command, *words], capture_output=True, check=True)


def watched(stack: ExitStack) -> Node:
    """A node of its own with a console and five people who may come in."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
    project = folder / "watched"
    (project / "rules").mkdir(parents=True)
    add_people(project, project / "data")
    environ = {"RINGBACK_CONSOLE_PASSWORD": PASSWORD}
    node = start_node(Bench(stack, folder, None), "watched", environ=environ)
    ready(node.port, request_of(0))
    return node


def sign_in(node: Node) -> list[str]:
    """Sign each of them in; their cookies."""
    base, found = f"http://127.0.0.1:{node.port}", []
    while httpx.get(f"{base}/console/login").status_code != 200:
        time.sleep(0.1)  # it starts beside the node
    for name in PEOPLE:
        with httpx.Client(base_url=base, headers={"origin": base}) as client:
            form = {"name": name, "password": PASSWORD, "next": ""}
            answer = client.post("/console/login", data=form)
            assert answer.status_code == 303, answer.text
            found.append("; ".join(f"{key}={value}" for key, value in client.cookies.items()))
    return found


async def crowd(node: Node, people: list[str], seconds: float, seen: Crowd) -> None:
    """Each person opens a page twice a second, and has two streams open."""
    end = time.perf_counter() + seconds
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{node.port}",
        timeout=20,
        limits=httpx.Limits(max_connections=64),
    ) as client:

        async def click(cookie: str, after: float) -> None:
            await asyncio.sleep(after)
            for page in itertools.cycle(PAGES):
                began = time.perf_counter()
                if began >= end:
                    return
                answer = await client.get(page, headers={"cookie": cookie})
                seen.pages.append((time.perf_counter() - began) * 1000)
                seen.statuses[answer.status_code] += 1
                await asyncio.sleep(max(0.0, began + 0.5 - time.perf_counter()))

        async def watch(cookie: str) -> None:
            headers = {"cookie": cookie}
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds), client.stream(
                    "GET", STREAM, headers=headers
                ) as answer:  # fmt: skip
                    seen.statuses[answer.status_code] += 1
                    async for line in answer.aiter_lines():
                        seen.pushed += line.startswith("data:")

        await asyncio.gather(
            *(click(cookie, number / 10) for number, cookie in enumerate(people)),
            *(watch(cookie) for cookie in people for _ in range(2)),
        )


@contextmanager
def beside(node: Node, people: list[str], seconds: float) -> Iterator[Crowd]:
    """The crowd in a process of its own, so that it takes nothing from who measures."""
    seen = Crowd()
    command = [sys.executable, __file__, "--crowd", str(node.port), "--seconds", str(seconds)]
    process = subprocess.Popen([*command, *people], stdout=subprocess.PIPE, text=True)
    yield seen
    out, _ = process.communicate(timeout=seconds + 60)
    pages, statuses, pushed = out.strip().splitlines()[-3:]
    seen.pages += map(float, pages.split())
    seen.statuses.update(map(int, statuses.split()))
    seen.pushed += int(pushed)


def acknowledgements(node: Node, people: list[str], options: argparse.Namespace) -> None:
    """C4 of the console: with and without, in turns."""
    numbers = itertools.count(1)
    each = int(options.rate * options.seconds) + 1

    def one() -> Paced:
        start = next(numbers) * each
        return asyncio.run(pace(node.port, options.rate, options.seconds, request_of, start))

    ratios, total = [], Crowd()
    one()
    for number in range(options.rounds):
        alone = one()
        before = used(console_of(node))
        with beside(node, people, options.seconds + 1) as seen:
            time.sleep(0.5)
            together = one()
        spent = used(console_of(node)) - before
        total.pages += seen.pages
        total.statuses += seen.statuses
        ratios.append([
            together.quantile(0.99) / alone.quantile(0.99),
            together.quantile(0.5) / alone.quantile(0.5),
        ])  # fmt: skip
        print(f"{number + 1}  alone   {alone}\n   beside  {together}")
        print(f"   console {spent / options.seconds:5.2f} of a core, {seen.pushed} pushes")
    for name, column in zip(("p99", "p50"), zip(*ratios, strict=True), strict=True):
        low, high = min(column), max(column)
        middle = statistics.median(column)
        print(f"{name} with the console ÷ without  {middle:.2f} ({low:.2f} to {high:.2f})")
    pages = sorted(total.pages)
    print(
        f"{len(pages)} pages and streams, answers {dict(total.statuses)}: "
        f"p50 {pages[len(pages) // 2]:.0f} ms, p99 {pages[int(len(pages) * 0.99)]:.0f} ms"
    )


def unread(node: Node, cookie: str, options: argparse.Namespace) -> None:
    """C8: a stream that is opened and never read, beside the load."""
    pid = console_of(node)
    before = memory(pid)
    with socket.create_connection(("127.0.0.1", node.port)) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.sendall(HEAVY.format(f"127.0.0.1:{node.port}", cookie).encode())
        start, largest = 50_000_000, 0
        for _ in range(options.minutes):
            asyncio.run(pace(node.port, options.rate, 60, request_of, start))
            start += int(options.rate * 60) + 1
            largest = max(largest, (node.data / "journal.db-wal").stat().st_size)
            print(f"never read: console {memory(pid):.1f} MB ({before:.1f} before), "
                  f"write-ahead log at most {largest / 2**20:.1f} MiB")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=20, help="of each stretch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=int, default=10, help="of the stream that is not read")
    parser.add_argument("--crowd", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("people", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crowd:
        return _crowd(options)
    with ExitStack() as stack:
        node = watched(stack)
        people = sign_in(node)
        time.sleep(5)
        pid = console_of(node)
        before = used(pid)
        time.sleep(10)
        print(f"{environment()}\n\nidle: {memory(pid):.1f} MB (at most 45), "
              f"{used(pid) - before:.2f} s of processor time in 10 s")  # fmt: skip
        acknowledgements(node, people, options)
        if options.minutes:
            unread(node, people[0], options)
    return 0


def _crowd(options: argparse.Namespace) -> int:
    """The process of those at the console; what they saw, in three lines."""
    seen = Crowd()
    node = Node(options.crowd, Path(), subprocess.Popen(["true"]), 0.0)
    asyncio.run(crowd(node, options.people, options.seconds, seen))
    print(*(f"{each:.1f}" for each in seen.pages))
    print(*seen.statuses.elements())
    print(seen.pushed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
