"""Benchmark from webhook to action, side by side: `python benchmarks/reaction.py`.

1. The whole path, sustained: signed texts on 64 connections, 12 % of which a rule answers through
   the gateway; against Flask + Celery + durable Redis that does the same on both cores.
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
from dataclasses import dataclass
from pathlib import Path

from nodes import start_node
from servers import (
    ACCOUNT,
    Bench,
    Server,
    load,
    peers_python,
    signed,
    write_pool,
)  # fmt: skip

PATH = "/twilio/message"
OURS = "+14155550100"
ACT_SHARE = 12
QUIET_SECONDS = 3.0

RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    if: event.body.keyword(['hours'])
    do:
      - reply: Mon-Fri 9-17
  - name: parking
    on: message.received
    if: event.body.keyword(['parking', 'garage'])
    do:
      - reply: Behind the station
  - name: failures
    on: [message.failed, message.undelivered]
    if: event.error_class == 'recipient_unreachable'
    do:
      - notify: "${{ event.to }} cannot be reached"
"""

SPINNING = """
import re
from ringback import rule

@rule("message.received", if_="event.body.keyword(['spin'])")
def spin(event):
    re.match(r"(a+)+$", "a" * 60 + "b")
"""


def text_of(number: int, body: str = "") -> bytes:
    """A signed inbound text from a number of its own; about one in eight asks for the hours."""
    sid = f"SM{number:032x}"
    acts = (number * 7919) % 100 < ACT_SHARE
    fields = [
        ("ToCountry", "US"), ("SmsMessageSid", sid), ("NumMedia", "0"), ("FromZip", ""),
        ("SmsSid", sid), ("SmsStatus", "received"), ("FromCity", ""),
        ("Body", body or ("your hours please" if acts else "thanks a lot, see you")),
        ("To", OURS), ("NumSegments", "1"), ("MessageSid", sid), ("AccountSid", ACCOUNT),
        ("From", f"+1555{number:07d}"), ("ApiVersion", "2010-04-01"),
    ]  # fmt: skip
    return signed(PATH, fields)


def gateway(bench: Bench, name: str) -> int:
    """A stand-in for the gateway; its port."""
    return bench.uvicorn(name, "gateway_stub:app").port


def node(bench: Bench, name: str, gateway: int, plugins: dict[str, str] | None = None) -> Server:
    """A node that calls that gateway as fast as it can; ready when this returns."""
    environ = {
        "RINGBACK_SENDER": OURS, "RINGBACK_GATEWAY_RATE": "10000", "RINGBACK_TOTAL_PER_HOUR": "0",
    }  # fmt: skip
    started = start_node(
        bench, name, rules=RULES, plugins=plugins, gateway=f"http://127.0.0.1:{gateway}",
        environ=environ,
    )  # fmt: skip
    await_ready(started.port)
    return Server(name, started.port, started.process)


def celery(bench: Bench, gateway: int) -> Server:
    """Flask, Celery and Redis that do the same."""
    environ = {
        "BENCH_REDIS": f"redis://127.0.0.1:{bench.redis()}/0",
        "BENCH_GATEWAY": f"http://127.0.0.1:{gateway}",
    }
    server = bench.flask("flask_react:app", PATH, environ)
    worker = [
        str(bench.peers), "-m", "celery", "-A", "flask_react:queue", "worker", "-P", "threads",
        "-c", "16", "-l", "warning",
    ]  # fmt: skip
    bench.launch("celery", worker, bench.peer_environ(PATH) | environ)
    time.sleep(4)  # the worker has no port that could be waited for
    return server


def await_ready(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the node did not become ready")


def count(gateway: int) -> int:
    """How many different people the gateway was asked to text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway}/?count", timeout=10) as answer:
        return int(answer.read())


def arrivals(gateway: int) -> dict[int, float]:
    """When the request for each number reached the gateway, in monotonic seconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway}/", timeout=10) as answer:
        return {int(number): moment for number, moment in json.loads(answer.read()).items()}


@dataclass
class Sustained:
    """Rates per second: acknowledged under load, handled to the last action, actions sent."""

    accepted: float
    handled: float
    actions: float


def sustained(server: Server, gateway: int, pool: Path, size: int, seconds: float) -> Sustained:
    """Closed loop for so long, then wait for the last action: what went through, over the time
    that it took. A server that only queues what comes in gains nothing by it."""
    before, started = count(gateway), time.monotonic()
    part = load(server, pool, size, 64, seconds)
    accepted = part.rate * seconds
    acted, ended = count(gateway), time.monotonic()
    while time.monotonic() - ended < QUIET_SECONDS:
        time.sleep(0.05)
        if (now := count(gateway)) != acted:
            acted, ended = now, time.monotonic()
    passed = ended - started
    return Sustained(part.rate, accepted / passed, (acted - before) / passed)


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
    ours_gateway = gateway(bench, "gateway-ours")
    own = node(bench, "ringback", ours_gateway)
    rows: list[tuple[Sustained, Sustained | None]] = []
    other, other_gateway = None, 0
    if bench.peers is not None and shutil.which("redis-server"):
        other_gateway = gateway(bench, "gateway-theirs")
        other = celery(bench, other_gateway)
    else:
        print("the Flask + Celery peer is left out: redis-server or its packages are missing")
    for number in range(options.rounds + 1):
        pool = bench.folder / "pool"
        first = number * options.pool
        write_pool(pool, map(text_of, range(first, first + options.pool)))
        ours = sustained(own, ours_gateway, pool, options.pool, options.seconds)
        theirs = (
            sustained(other, other_gateway, pool, options.pool, options.seconds) if other else None
        )
        if number:
            rows.append((ours, theirs))
        _drain(bench.folder / "ringback")
    print(f"\nwhole path, {options.rounds} rounds of {options.seconds:g} s, {ACT_SHARE} % act")
    print(f"{'':34} {'accepted/s':>11} {'handled/s':>11} {'actions/s':>11}")
    _line("ringback", [ours for ours, _ in rows])
    if other:
        _line(other.name, [theirs for _, theirs in rows if theirs])
        ratios = [ours.handled / theirs.handled for ours, theirs in rows if theirs]
        print(f"ringback / {other.name}, handled: {statistics.median(ratios):.1f}"
              f"  (rounds: {min(ratios):.1f} to {max(ratios):.1f})")  # fmt: skip


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
        f"{name:34} {statistics.median(part.accepted for part in parts):11.0f}"
        f" {statistics.median(part.handled for part in parts):11.0f}"
        f" {statistics.median(part.actions for part in parts):11.0f}"
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
        asyncio.run(_one(loud.port, text_of(base + 99_999, "spin")))
        spun += asyncio.run(paced(loud.port, base, options.rate, options.seconds))[1]
    ratio = at(spun, 0.99) / at(calm, 0.99)
    print(f"\nacknowledgement at {options.rate:g}/s: p99 {at(calm, 0.99):.2f} ms without plugins,"
          f" {at(spun, 0.99):.2f} ms while one spins: {ratio:.2f}")  # fmt: skip


async def _one(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--pool", type=int, default=60_000, help="unique texts of a round")
    parser.add_argument("--no-peers", action="store_true", help="leave the peer out")
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
