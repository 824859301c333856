"""Benchmark from webhook to action, side by side: `python benchmarks/reaction.py`.

1. The whole path, sustained: signed texts on 64 connections, 12 % of which a rule answers through
   the gateway, and again with every text answered; against servers that do the same: Flask + Celery
   + durable Redis (the worker in threads, and in forked processes), Flask + SQLite + requests, and
   Node-RED, which keeps nothing and asks for no signature. Each must first be seen to answer one
   text, to leave another alone and (but for Node-RED) to refuse a forged one.
2. How long from the webhook to the request at the gateway, at a fixed rate; against one durable
   commit (fdatasync) of the same disk in the same run.
3. How long an acknowledgement takes at that rate, with a plugin that spins for ever as with none.

Needs `wrk`; the peer also `redis-server` (both are Debian packages).
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from contestants import (
    ACT_SHARE,
    Contestant,
    Sustained,
    celery,
    count,
    gateway,
    node,
    node_red,
    one,
    plain_flask,
    ringback,
    text_of,
    works,
)  # fmt: skip
from servers import (
    Bench,
    load,
    peers_python,
    write_pool,
)  # fmt: skip

QUIET_SECONDS = 3.0


SPINNING = """
import re
from ringback import rule

@rule("message.received", if_="event.body.keyword(['spin'])")
def spin(event):
    re.match(r"(a+)+$", "a" * 60 + "b")
"""


def arrivals(gateway: int) -> dict[int, float]:
    """When the request for each number reached the gateway, in monotonic seconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway}/", timeout=10) as answer:
        return {int(number): moment for number, moment in json.loads(answer.read()).items()}


def sustained(each: Contestant, pool: Path, size: int, seconds: float) -> Sustained:
    """Closed loop for so long, then wait for the last action: what went through, over the time
    that it took. A server that only queues what comes in gains nothing by it."""
    gateway = each.gateway
    before, started, used = count(gateway), time.monotonic(), each.cpu()
    part = load(each.server, pool, size, 64, seconds)
    accepted = part.rate * seconds
    acted, ended = count(gateway), time.monotonic()
    while time.monotonic() - ended < QUIET_SECONDS:
        time.sleep(0.05)
        if (now := count(gateway)) != acted:
            acted, ended = now, time.monotonic()
    passed = ended - started
    if each.own is not None:
        _drain(each.own)
    cpu = (each.cpu() - used) / max(1.0, accepted) * 1e6
    return Sustained(part.rate, accepted / passed, (acted - before) / passed, cpu)


async def paced(
    port: int, start: int, rate: float, seconds: float
) -> tuple[dict[int, float], list[float]]:
    """Send texts at a fixed rate over eight connections; when each was sent, how long its
    acknowledgement took."""
    sent: dict[int, float] = {}
    took: list[float] = []
    queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (item := await queue.get()) is not None:
            number, request = item
            sent[number] = began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.monotonic() - began)
        writer.close()

    tasks = [asyncio.ensure_future(connection()) for _ in range(8)]
    requests = [(start + index, text_of(start + index)) for index in range(int(rate * seconds))]
    began = time.monotonic()
    for index, item in enumerate(requests):
        pause = began + index / rate - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        queue.put_nowait(item)
    for _ in tasks:
        queue.put_nowait(None)
    await asyncio.gather(*tasks)
    return sent, took


def commits(folder: Path, number: int = 300) -> list[float]:
    """How long this disk takes for one small durable append."""
    handle = os.open(folder / "probe", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    took = []
    for _ in range(number):
        began = time.monotonic()
        os.write(handle, b"x" * 4096)
        os.fdatasync(handle)
        took.append(time.monotonic() - began)
    os.close(handle)
    return took


def at(values: list[float], share: float) -> float:
    """A percentile, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3


def whole_path(bench: Bench, options: argparse.Namespace) -> None:
    own = ringback(bench)
    peers: list[Contestant] = []
    if bench.peers is None:
        print("the peers are left out: their packages are missing")
    else:
        peers.append(plain_flask(bench))
        if shutil.which("redis-server"):
            peers += [celery(bench, "threads", 16), celery(bench, "prefork", os.cpu_count() or 2)]
        else:
            print("the Flask + Celery peers are left out: redis-server is missing")
    if not options.no_peers:
        red = node_red(bench)
        if red is None:
            print("Node-RED is left out: npm is missing or cannot install it")
        else:
            peers.append(red)
    all_of_them = [own, *(peer for peer in peers if works(peer))]
    if not works(own):
        return
    first = 0
    for share in options.acts:
        first = _rounds(bench, options, all_of_them, share, first)


def _rounds(
    bench: Bench, options: argparse.Namespace, all_of_them: list[Contestant], share: int, first: int
) -> int:
    """Rounds in which so many of a hundred texts are answered, with people from `first` on; the
    first one is not counted. The number of the next person."""
    own = all_of_them[0]
    for each in all_of_them:
        each.rounds.clear()
    for number in range(options.rounds + 1):
        pool = bench.folder / "pool"
        people = range(first, first + options.pool)
        write_pool(pool, (text_of(person, share=share) for person in people))
        first += options.pool
        for each in all_of_them:
            found = sustained(each, pool, options.pool, options.seconds)
            if number:
                each.rounds.append(found)
    print(f"\nwhole path, {options.rounds} rounds of {options.seconds:g} s, {share} % act")
    print(f"{'':38} {'accepted/s':>11} {'handled/s':>11} {'actions/s':>11} {'cpu µs':>8}")
    for each in all_of_them:
        _line(each.server.name, each.rounds)
    for peer in all_of_them[1:]:
        pairs = list(zip(own.rounds, peer.rounds, strict=True))
        ratios = [ours.handled / theirs.handled for ours, theirs in pairs]
        spent = statistics.median(theirs.cpu / ours.cpu for ours, theirs in pairs)
        print(f"ringback / {peer.server.name}, handled: {statistics.median(ratios):.1f}"
              f"  (rounds: {min(ratios):.1f} to {max(ratios):.1f}); it takes {spent:.1f} times the "
              "processor time an event")  # fmt: skip
    return first


def _drain(project: Path) -> None:
    """Wait until the worker has caught up, so that one round does not burden the next."""
    log, journal = project / "data" / "log.db", project / "data" / "journal.db"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with sqlite3.connect(log) as first, sqlite3.connect(journal) as second:
            last = first.execute("select coalesce(max(id), 0) from log").fetchone()[0]
            cursor = second.execute("select value from meta where key = 'cursor'").fetchone()
            left = second.execute(
                "select count(*) from actions where state in ('planned', 'sending')"
            ).fetchone()[0]
        if cursor and int(cursor[0]) >= last and not left:
            return
        time.sleep(0.1)


def _line(name: str, parts: list[Sustained]) -> None:
    print(
        f"{name:38} {statistics.median(part.accepted for part in parts):11.0f}"
        f" {statistics.median(part.handled for part in parts):11.0f}"
        f" {statistics.median(part.actions for part in parts):11.0f}"
        f" {statistics.median(part.cpu for part in parts):8.0f}"
    )


def latency(bench: Bench, options: argparse.Namespace) -> None:
    port = gateway(bench, "gateway-paced")
    own = node(bench, "paced", port)
    asyncio.run(paced(own.port, 8_000_000, options.rate, 2))
    commit = commits(bench.folder)
    sent, acks = asyncio.run(paced(own.port, 8_100_000, options.rate, options.seconds * 3))
    time.sleep(2)
    reached = arrivals(port)
    took = [reached[number] - moment for number, moment in sent.items() if number in reached]
    commit += commits(bench.folder)
    p50, p99, base = at(took, 0.5), at(took, 0.99), at(commit, 0.5)
    print(f"\nwebhook to gateway at {options.rate:g}/s, {len(took)} actions")
    print(f"p50 {p50:.2f} ms ({p50 / base:.1f} commits), p99 {p99:.2f} ms ({p99 / base:.1f}"
          f" commits); one durable commit of this disk: p50 {base:.2f} ms")  # fmt: skip
    print(f"acknowledgement: p50 {at(acks, 0.5):.2f} ms, p99 {at(acks, 0.99):.2f} ms")


def spinning(bench: Bench, options: argparse.Namespace) -> None:
    quiet = node(bench, "quiet", gateway(bench, "gateway-quiet"))
    loud = node(bench, "loud", gateway(bench, "gateway-loud"), {"spin.py": SPINNING})
    calm: list[float] = []
    spun: list[float] = []
    for number in range(options.rounds):
        base = 8_200_000 + number * 100_000
        calm += asyncio.run(paced(quiet.port, base, options.rate, options.seconds))[1]
        asyncio.run(one(loud.port, text_of(base + 99_999, "spin")))
        spun += asyncio.run(paced(loud.port, base, options.rate, options.seconds))[1]
    ratio = at(spun, 0.99) / at(calm, 0.99)
    print(f"\nacknowledgement at {options.rate:g}/s: p99 {at(calm, 0.99):.2f} ms without plugins,"
          f" {at(spun, 0.99):.2f} ms while one spins: {ratio:.2f}")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--pool", type=int, default=60_000, help="unique texts of a round")
    parser.add_argument("--acts", type=int, nargs="+", default=[ACT_SHARE, 100],
                        help="how many of a hundred texts are answered")  # fmt: skip
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--only", choices=["path", "latency", "spin"], default=None)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end the servers too
    if shutil.which("wrk") is None:
        print("wrk is missing (Debian: apt-get install wrk): nothing can be measured")
        return 2
    parts = {"path": whole_path, "latency": latency, "spin": spinning}
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-"))
            peers = None if options.no_peers or name != "path" else peers_python()
            part(Bench(stack, Path(folder), peers), options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
