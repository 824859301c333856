"""Contestants of the benchmark of reactions: a node and its peers, which look at signed texts and
answer some of them, each through a gateway of its own."""

import asyncio
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import nodes
from nodes import start_node
from servers import (
    ACCOUNT,
    HERE,
    Bench,
    Server,
    cpu_seconds,
    free_port,
    node_red_program,
    signed,
)  # fmt: skip

PATH = "/twilio/message"
OURS = "+14155550100"
ACT_SHARE = 12
FLOW = HERE / "peers" / "node_red_flow.json"

RULES = f"""{nodes.RULES}
  - name: parking
    on: message.received
    if: event.body.keyword(['parking', 'garage'])
    do:
      - reply: Behind the station
"""


def text_of(number: int, body: str = "", share: int = ACT_SHARE) -> bytes:
    """A signed inbound text from a number of its own; so many of a hundred ask for the hours."""
    sid = f"SM{number:032x}"
    acts = (number * 7919) % 100 < share
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


async def one(port: int, request: bytes) -> bytes:
    """Send one request; the status line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.partition(b"\r\n")[0]


@dataclass
class Sustained:
    """Rates per second: acknowledged under load, handled to the last action, actions sent. And the
    processor time of all processes in µs for each that was handled."""

    accepted: float
    handled: float
    actions: float
    cpu: float


@dataclass
class Contestant:
    """A server with a gateway of its own, and the processes that work for it, each the leader of a
    group. `own` is the folder of a node, which is waited for between rounds. One that is not
    `careful` asks for no signature."""

    server: Server
    gateway: int
    groups: tuple[int, ...]
    own: Path | None = None
    careful: bool = True
    rounds: list[Sustained] = field(default_factory=list)

    def cpu(self) -> float:
        """Processor time of all of them so far."""
        return sum(map(cpu_seconds, self.groups))


def ringback(bench: Bench) -> Contestant:
    """The node."""
    port = gateway(bench, "gateway-ours")
    server = node(bench, "ringback", port)
    return Contestant(server, port, (server.process.pid,), bench.folder / "ringback")


def celery(bench: Bench, pool: str, processes: int) -> Contestant:
    """Flask, Celery and Redis that do the same; the worker in threads, or in processes that were
    forked before."""
    port = gateway(bench, f"gateway-{pool}")
    environ = {
        "BENCH_REDIS": f"redis://127.0.0.1:{bench.redis()}/0",
        "BENCH_GATEWAY": f"http://127.0.0.1:{port}",
    }
    server = bench.flask("flask_react:app", PATH, environ, f"Flask + Celery ({pool}) + Redis")
    worker = [
        str(bench.peers), "-m", "celery", "-A", "flask_react:queue", "worker", "-P", pool,
        "-c", str(processes), "-l", "warning",
    ]  # fmt: skip
    process = bench.launch(f"celery-{pool}", worker, bench.peer_environ(PATH) | environ)
    time.sleep(4)  # the worker has no port that could be waited for
    redis = bench.redis_process
    groups = (server.process.pid, process.pid, *([redis.pid] if redis else []))
    return Contestant(server, port, groups)


def plain_flask(bench: Bench) -> Contestant:
    """Flask with SQLite, which answers in the request itself."""
    port = gateway(bench, "gateway-sqlite")
    environ = {"BENCH_GATEWAY": f"http://127.0.0.1:{port}"}
    server = bench.flask("flask_sqlite:app", PATH, environ, "Flask + gunicorn + SQLite + requests")
    return Contestant(server, port, (server.process.pid,))


def node_red(bench: Bench) -> Contestant | None:
    """Node-RED with a flow of six nodes that does the same, in memory and without signatures; None
    where it cannot be installed."""
    program = node_red_program()
    if program is None:
        return None
    port, home = gateway(bench, "gateway-node-red"), bench.folder / "node-red"
    home.mkdir()
    settings = "httpAdminRoot: false, logging: {console: {level: 'error'}}, telemetry: {}"
    (home / "settings.js").write_text(f"module.exports = {{{settings}}};\n")
    listens = free_port()
    command = [
        "node", str(program), "-p", str(listens), "-u", str(home), str(FLOW),
    ]  # fmt: skip
    environ = {"BENCH_GATEWAY": f"http://127.0.0.1:{port}", "NODE_ENV": "production"}
    process = bench.start("node-red", command, listens, environ)
    server = Server("Node-RED (in memory, unsigned)", listens, process)
    return Contestant(server, port, (process.pid,), careful=False)


def works(contestant: Contestant) -> bool:
    """Whether a server does the work: of a text that asks and one that does not, each sent twice
    over, and one with a wrong signature, the gateway hears of the first, once or twice. Whoever is
    not careful need not refuse the last one."""
    before, port = count(contestant.gateway), contestant.server.port
    asks, does_not = text_of(9_999_001, "your hours please"), text_of(9_999_002, "thanks a lot")
    answers = [asyncio.run(one(port, request)) for request in (asks, asks, does_not)]
    forged = text_of(9_999_003, "your hours please").replace(b"Signature: ", b"Signature: x")
    refused = asyncio.run(one(port, forged)) if contestant.careful else b" 403 "
    deadline = time.monotonic() + 15
    while count(contestant.gateway) == before and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    acted = count(contestant.gateway) - before  # of different people
    good = all(b" 20" in answer for answer in answers) and b" 403 " in refused and acted == 1
    if not good:
        print(
            f"{contestant.server.name} answers {answers}, {refused!r} to a forged text, and acted "
            f"{acted} times: it is left out"
        )
    return good
