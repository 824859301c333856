"""Helpers of the server benchmarks: servers in a scratch folder, signed requests, load by wrk."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
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
    "greenlet", "flask", "gunicorn", "celery[redis]", "requests", "packaging", "twilio>=9.13,<10",
]  # fmt: skip


NODE_RED = "node-red@4"


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


def signed(path: str, fields: list[tuple[str, str]], *headers: str) -> bytes:
    """A request as Twilio sends it, with its signature, written out."""
    signature = sign(TOKEN, BASE + path, fields)
    body = "&".join(f"{name}={quote_plus(value)}" for name, value in fields)
    lines = (
        f"POST {path} HTTP/1.1", "Host: hooks.example.org",
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8",
        f"Content-Length: {len(body)}", f"X-Twilio-Signature: {signature}", *headers,
    )  # fmt: skip
    return "\r\n".join((*lines, "", body)).encode()


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
    return signed(
        PATH, fields, "User-Agent: TwilioProxy/1.1", "Accept: */*", "Accept-Encoding: gzip",
        f"I-Twilio-Idempotency-Token: {number:08x}-0000-4000-8000-000000000000",
    )  # fmt: skip


def write_pool(path: Path, requests: Iterable[bytes]) -> None:
    """Write requests for wrk, which sends each once."""
    with path.open("wb") as file:
        for request in requests:
            file.write(request + b"\1")


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
        self.redis_process: subprocess.Popen[bytes] | None = None
        """The Redis that was started last."""

    def start(
        self, name: str, command: list[str], port: int, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process, wait for its port, see to its end."""
        process = self.launch(name, command, environ)
        await_port(port, process, name)
        return process

    def launch(
        self, name: str, command: list[str], environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process, which leads a group of its own, and see to its end."""
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
        return process

    def uvicorn(self, name: str, app: str) -> Server:
        """A small app of `peers/`, from the environment that Ringback itself runs in."""
        port = free_port()
        command = [sys.executable, *uvicorn(app, port)]
        return Server(name, port, self.start(name, command, port))

    def redis(self) -> int:
        """A Redis that syncs every write; its port."""
        port = free_port()
        folder = self.folder / f"redis-{port}"
        folder.mkdir()
        self.redis_process = self.start(
            f"redis-{port}",
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1",
             "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", ""],
            port,
        )  # fmt: skip
        return port

    def flask(
        self,
        app: str,
        path: str,
        environ: dict[str, str],
        name: str = "Flask + Celery + durable Redis",
    ) -> Server:
        """A Flask app of `peers/` that takes `path`, under gunicorn."""
        port = free_port()
        command = [
            str(self.peers), "-m", "gunicorn", app, "-k", "gthread", "--threads", "8",
            "-w", "1", "-b", f"127.0.0.1:{port}", "--log-level", "warning",
        ]  # fmt: skip
        process = self.start(f"flask-{port}", command, port, self.peer_environ(path) | environ)
        return Server(name, port, process)

    def peer_environ(self, path: str) -> dict[str, str]:
        """What a peer must know of the requests that it gets."""
        return {"BENCH_URL": BASE + path, "BENCH_TOKEN": TOKEN, "BENCH_DIR": str(self.folder)}


def uvicorn(app: str, port: int) -> list[str]:
    """The arguments of an interpreter that serve an app as fast as it can."""
    return [
        "-m", "uvicorn", app, "--port", str(port), "--no-access-log", "--log-level", "warning",
        "--loop", "uvloop", "--http", "httptools",
    ]  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def node_red_program() -> Path | None:
    """The program of Node-RED, installed on the first run; None when it cannot be."""
    folder = CACHE / "node-red"
    program = folder / "node_modules" / "node-red" / "red.js"
    if not program.exists() and shutil.which("npm"):
        print(f"installing Node-RED in {folder} …", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", NODE_RED]
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return program if program.exists() else None


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
