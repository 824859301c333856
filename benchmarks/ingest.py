"""Benchmark of durable signed ingest, side by side: `python benchmarks/ingest.py`.

Every server of the table is up at once; one-second slices of load go round them in random order,
and each ratio compares slices of the same round. The load is unique signed message status callbacks
on 64 connections. A peer whose tools are missing is named and left out.

Needs `wrk`; the Flask peer also `redis-server` (both are Debian packages). The peers' Python
packages are put into a virtual environment of their own, in the cache directory, on the first run.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from nodes import count, start_node
from servers import (
    HERE,
    PATH,
    Bench,
    Server,
    come_to_rest,
    free_port,
    load,
    peers_python,
    request_of,
    uvicorn,
    write_pool,
)  # fmt: skip


def works(server: Server) -> bool:
    """Whether the server accepts a webhook; says so when it does not."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request_of(server.port))
        answer = connection.recv(4096)
    if b" 204 " in answer.partition(b"\r\n")[0]:
        return True
    print(f"{server.name} answers {answer[:60]!r}: it is left out")
    return False


def ringback(bench: Bench, with_worker: bool) -> Server:
    """The node: receiver, worker and this project's rules; or the receiver alone."""
    project = bench.folder / "project"
    for name in ("rules", "plugins"):
        shutil.copytree(HERE.parent / name, project / name)
    words = [] if with_worker else ["--no-worker"]
    node = start_node(bench, "ringback", project=project, words=words)
    name = "ringback" if with_worker else "ringback, receiver"
    return Server(name, node.port, node.process, node.rows)


def fastapi(bench: Bench) -> Server:
    """FastAPI + SQLAlchemy + aiosqlite, commit per request."""
    port = free_port()
    command = [str(bench.peers), *uvicorn("fastapi_app:app", port)]
    process = bench.start("fastapi", command, port, bench.peer_environ(PATH))
    return Server("FastAPI + SQLAlchemy + aiosqlite", port, process)


def flask(bench: Bench) -> Server:
    """Flask + Celery + Redis that syncs every write."""
    environ = {"BENCH_REDIS": f"redis://127.0.0.1:{bench.redis()}/0"}
    return bench.flask("flask_app:app", PATH, environ)


def check_stored(server: Server) -> str:
    """Whether every accepted request is a row; what wrk had in flight at a slice's end is extra."""
    if server.rows is None:
        return ""
    rows = server.rows()
    verdict = "ok" if rows >= server.accepted else "LOST"
    return f"{server.accepted} acknowledged, {rows} rows on disk: {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--pool", type=int, default=40_000, help="unique requests of a slice")
    parser.add_argument("--no-worker", action="store_true", help="measure the receiver alone")
    parser.add_argument("--no-peers", action="store_true", help="only against bare uvicorn")
    parser.add_argument("--sustained", type=float, default=60.0, help="seconds; 0 leaves it out")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end the servers too
    if shutil.which("wrk") is None:
        print("wrk is missing (Debian: apt-get install wrk): nothing can be measured")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        peers = None if options.no_peers else peers_python()
        bench = Bench(stack, folder, peers)
        own = ringback(bench, not options.no_worker)
        bare = bench.uvicorn("bare uvicorn, 204", "bare:app")
        servers = [own, bare]
        if peers is not None:
            servers.append(fastapi(bench))
            if shutil.which("redis-server"):
                servers.append(flask(bench))
            else:
                print("redis-server is missing: the Flask + Celery peer is left out")
        elif not options.no_peers:
            print("the peers' packages cannot be installed: only bare uvicorn is compared")
        servers = [own, *(server for server in servers[1:] if works(server))]
        run(servers, options, folder)
        report(servers, options)
        if options.sustained and not options.no_worker:
            sustained(own, options, folder)
        if own.rows is not None:
            urllib.request.urlopen(f"http://127.0.0.1:{own.port}/healthz", timeout=5).close()
            print(check_stored(own))
    return 0


def run(servers: list[Server], options: argparse.Namespace, folder: Path) -> None:
    """All rounds: a fresh pool each, the servers in random order."""
    for number in range(options.rounds + 1):
        pool = folder / "pool"
        first = number * options.pool
        write_pool(pool, map(request_of, range(first, first + options.pool)))
        for server in random.sample(servers, len(servers)):
            part = load(server, pool, options.pool, options.connections, options.seconds)
            come_to_rest(server)
            if number:  # the first round warms up
                server.slices.append(part)


def sustained(server: Server, options: argparse.Namespace, folder: Path) -> None:
    """Load in turns of a second, each time until the worker has matched all of it: what a node
    takes in the long run, with its worker never behind by more than that second."""
    pool, accepted, behind = folder / "pool", server.accepted, 0
    first, began, waited = (options.rounds + 2) * options.pool, time.monotonic(), 0.0
    while time.monotonic() - began - waited < options.sustained:
        asked = time.monotonic()
        write_pool(pool, map(request_of, range(first, first + options.pool)))
        waited += time.monotonic() - asked  # requests that are made beforehand cost nobody
        first += options.pool
        load(server, pool, options.pool, options.connections, 1.0)
        behind = max(behind, unmatched(folder / "project" / "data"))
        while unmatched(folder / "project" / "data"):
            time.sleep(0.02)
    passed = time.monotonic() - began - waited
    print(
        f"sustained: {(server.accepted - accepted) / passed:.0f} a second for {passed:.0f} s, at "
        f"most {behind} not matched yet when a second ended, none when the next began"
    )


def unmatched(data: Path) -> int:
    """How many rows of the log the worker has yet to match."""
    last = count(data / "log.db", "select max(id) from log")
    return last - count(data / "journal.db", "select value from meta where key = 'cursor'")


def report(servers: list[Server], options: argparse.Namespace) -> None:
    """The table, and the ratio of Ringback to each peer: the median over rounds."""
    own = servers[0]
    print(
        f"\ndurable signed ingest, {options.connections} connections, {options.rounds} rounds of "
        f"{options.seconds:g} s, {os.cpu_count()} cores\n"
    )
    columns = ("req/s", "best", "p50 ms", "p99 ms", "cpu µs", "not 2xx")
    print(f"{'server':34} " + " ".join(f"{column:>8}" for column in columns))
    for server in servers:
        rates = [part.rate for part in server.slices]
        print(
            f"{server.name:34} {statistics.median(rates):8.0f} {max(rates):8.0f}"
            f" {statistics.median(part.p50 for part in server.slices):8.2f}"
            f" {statistics.median(part.p99 for part in server.slices):8.2f}"
            f" {statistics.median(part.cpu for part in server.slices):8.0f}"
            f" {sum(part.bad for part in server.slices):8d}"
        )
    print()
    for peer in servers[1:]:
        ratios = [a.rate / b.rate for a, b in zip(own.slices, peer.slices, strict=True)]
        print(
            f"{own.name} / {peer.name}: {statistics.median(ratios):.2f}"
            f"  (rounds: {min(ratios):.2f} to {max(ratios):.2f})"
        )
    if any(part.repeated for part in own.slices):
        print("the pool was too small: some requests came twice; give a larger --pool")


if __name__ == "__main__":
    sys.exit(main())
