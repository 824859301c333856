"""Durable signed ingest, side by side: `python benchmarks/ingest.py`.

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
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote_plus

from ringback.twilio.signature import sign

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ringback-bench"
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
ACCOUNT = "AC" + "0f1e2d3c" * 4
BASE = "https://hooks.example.org"
PATH = "/twilio/message/status"
PACKAGES = [
    "uvicorn", "uvloop", "httptools", "fastapi", "python-multipart", "sqlalchemy", "aiosqlite",
    "greenlet", "flask", "gunicorn", "celery[redis]", "packaging", "twilio>=9.13,<10",
]  # fmt: skip


@dataclass
class Slice:
    """One second of load: requests per second, latencies in ms, answers that were no 2xx, whether
    the pool was used up (then some requests were sent twice), processor time in µs a request."""

    rate: float
    p50: float
    p99: float
    bad: int
    repeated: bool
    cpu: float


@dataclass
class Server:
    """One line of the table. `ports` are where it listens; `rows` counts what it has stored."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    rows: Callable[[], int] | None = None
    accepted: int = 0
    slices: list[Slice] = field(default_factory=list)


def request_of(number: int) -> bytes:
    """One signed status callback as it comes from Twilio, unique by its MessageSid."""
    sid = f"SM{number:032x}"
    fields = [
        ("ApiVersion", "2010-04-01"), ("MessageStatus", "delivered"), ("SmsSid", sid),
        ("SmsStatus", "delivered"), ("RawDlrDoneDate", "2603141509"),
        ("To", f"+1555{number % 10_000_000:07d}"), ("From", "+15550001111"),
        ("MessageSid", sid), ("AccountSid", ACCOUNT),
        ("MessagingServiceSid", "MG" + "a1b2c3d4" * 4), ("ChannelToAddress", "+1555XXXX"),
    ]  # fmt: skip
    signature = sign(TOKEN, BASE + PATH, fields)
    body = "&".join(f"{name}={quote_plus(value)}" for name, value in fields)
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: hooks.example.org\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n"
        f"I-Twilio-Idempotency-Token: {number:08x}-0000-4000-8000-000000000000\r\n"
        f"X-Twilio-Signature: {signature}\r\nAccept-Encoding: gzip\r\n\r\n{body}"
    ).encode()


def write_pool(path: Path, start: int, size: int) -> None:
    """Write `size` requests that no other pool of this run has."""
    with path.open("wb") as file:
        for number in range(start, start + size):
            file.write(request_of(number) + b"\1")


def load(server: Server, pool: Path, size: int, connections: int, seconds: float) -> Slice:
    """Drive one server with wrk for one slice."""
    before = cpu_seconds(server.process.pid)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s",
         "-s", str(HERE / "pool.lua"), f"http://127.0.0.1:{server.port}", "--", str(pool)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    line = next(line for line in out.splitlines() if line.startswith("FIGURES"))
    requests, micros, bad, p50, p99, _ = (int(word) for word in line.split()[1:])
    server.accepted += requests - bad
    cpu = (cpu_seconds(server.process.pid) - before) / max(1, requests) * 1e6
    return Slice(requests / micros * 1e6, p50 / 1e3, p99 / 1e3, bad, requests > size, cpu)


def come_to_rest(server: Server) -> None:
    """Wait until a server has nothing left to do: a worker that still catches up would slow down
    whoever is measured next."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        before = cpu_seconds(server.process.pid)
        time.sleep(0.25)
        if cpu_seconds(server.process.pid) - before < 0.02:
            return


def cpu_seconds(pid: int) -> float:
    """Processor time that a server and its children have used so far."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == pid:  # the process group: each server leads its own
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def works(server: Server) -> bool:
    """Whether the server accepts a webhook; says so when it does not."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request_of(server.port))
        answer = connection.recv(4096)
    if b" 204 " in answer.partition(b"\r\n")[0]:
        return True
    print(f"{server.name} answers {answer[:60]!r}: it is left out")
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{name} did not listen within 20 s")


class Bench:
    """Starts servers in a scratch folder and ends them again."""

    def __init__(self, stack: ExitStack, folder: Path, peers: Path | None) -> None:
        self.stack = stack
        self.folder = folder
        self.peers = peers

    def start(
        self, name: str, command: list[str], port: int, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process, wait for its port, see to its end."""
        with (self.folder / f"{name}.out").open("wb") as out:
            process = subprocess.Popen(
                command,
                env={**os.environ, **(environ or {})},
                stdout=out,
                stderr=out,
                cwd=HERE / "peers",
                start_new_session=True,
            )
        self.stack.callback(_end, process)
        await_port(port, process, name)
        return process

    def ringback(self, with_worker: bool) -> Server:
        """The node: receiver, worker and this project's rules; or the receiver alone."""
        port = free_port()
        project = self.folder / "project"
        project.mkdir()
        for room in ("rules", "plugins"):
            if (HERE.parent / room).is_dir():
                shutil.copytree(HERE.parent / room, project / room)
        environ = {
            "RINGBACK_PORT": str(port), "RINGBACK_PUBLIC_URL": BASE,
            "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN,
            "RINGBACK_GATEWAY_URL": "http://127.0.0.1:9", "MATON_API_KEY": "",
        }  # fmt: skip
        command = [sys.executable, "-m", "ringback.cli.main", "serve", str(project)]
        if not with_worker:
            command.append("--no-worker")
        process = self.start("ringback", command, port, environ)
        log = project / "data" / "log.db"

        def rows() -> int:
            with sqlite3.connect(log) as connection:
                return int(connection.execute("select count(*) from log").fetchone()[0])

        return Server("ringback" if with_worker else "ringback, receiver", port, process, rows)

    def bare(self) -> Server:
        """uvicorn answering 204, from the environment that Ringback itself runs in."""
        port = free_port()
        command = [
            sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port), "--no-access-log",
            "--log-level", "warning", "--loop", "uvloop", "--http", "httptools",
        ]  # fmt: skip
        return Server("bare uvicorn, 204", port, self.start("bare", command, port))

    def fastapi(self) -> Server:
        """FastAPI + SQLAlchemy + aiosqlite, commit per request."""
        port = free_port()
        command = [
            str(self.peers), "-m", "uvicorn", "fastapi_app:app", "--port", str(port),
            "--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools",
        ]  # fmt: skip
        process = self.start("fastapi", command, port, self._peer_environ())
        return Server("FastAPI + SQLAlchemy + aiosqlite", port, process)

    def flask(self) -> Server:
        """Flask + Celery + Redis that syncs every write."""
        redis_port, port = free_port(), free_port()
        folder = self.folder / "redis"
        folder.mkdir()
        self.start(
            "redis",
            ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1",
             "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
            redis_port,
        )  # fmt: skip
        environ = {**self._peer_environ(), "BENCH_REDIS": f"redis://127.0.0.1:{redis_port}/0"}
        command = [
            str(self.peers), "-m", "gunicorn", "flask_app:app", "-k", "gthread", "--threads", "8",
            "-w", "1", "-b", f"127.0.0.1:{port}", "--log-level", "warning",
        ]  # fmt: skip
        return Server(
            "Flask + Celery + durable Redis", port, self.start("flask", command, port, environ)
        )

    def _peer_environ(self) -> dict[str, str]:
        return {"BENCH_URL": BASE + PATH, "BENCH_TOKEN": TOKEN, "BENCH_DIR": str(self.folder)}


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def peers_python() -> Path | None:
    """The interpreter of the peers' environment, made on the first run; None when it cannot be."""
    python = CACHE / "peers" / "bin" / "python"
    imports = "import fastapi, sqlalchemy, aiosqlite, flask, gunicorn, celery, redis, packaging"
    if not python.exists():
        print(f"making the peers' environment in {CACHE} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / "peers")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=False)
    if subprocess.run([str(python), "-c", imports], capture_output=True, check=False).returncode:
        return None
    return python


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
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end the servers too
    if shutil.which("wrk") is None:
        print("wrk is missing (Debian: apt-get install wrk): nothing can be measured")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        peers = None if options.no_peers else peers_python()
        bench = Bench(stack, folder, peers)
        own, bare = bench.ringback(not options.no_worker), bench.bare()
        servers = [own, bare]
        if peers is not None:
            servers.append(bench.fastapi())
            if shutil.which("redis-server"):
                servers.append(bench.flask())
            else:
                print("redis-server is missing: the Flask + Celery peer is left out")
        elif not options.no_peers:
            print("the peers' packages cannot be installed: only bare uvicorn is compared")
        servers = [own, *(server for server in servers[1:] if works(server))]
        run(servers, options, folder)
        report(servers, options)
        if own.rows is not None:
            urllib.request.urlopen(f"http://127.0.0.1:{own.port}/healthz", timeout=5).close()
            print(check_stored(own))
    return 0


def run(servers: list[Server], options: argparse.Namespace, folder: Path) -> None:
    """All rounds: a fresh pool each, the servers in random order."""
    for number in range(options.rounds + 1):
        pool = folder / "pool"
        write_pool(pool, number * options.pool, options.pool)
        for server in random.sample(servers, len(servers)):
            part = load(server, pool, options.pool, options.connections, options.seconds)
            come_to_rest(server)
            if number:  # the first round warms up
                server.slices.append(part)


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
