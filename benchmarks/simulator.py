"""Cost of a message in the simulator: `python benchmarks/simulator.py [--messages 2000]`.

Messages are posted on 16 connections; each is accepted, queued, sent, delivered, and both of its
callbacks are posted, signed, to a web server of the benchmark. Beside it, in the same run, a bare
uvicorn that answers 201 to the same requests and does nothing else. Processor time is that of the
server's own process, so neither load nor web server counts.
"""

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

CONNECTIONS = 16
TICK = os.sysconf("SC_CLK_TCK")
PLAN = '{"messaging": {"rates": {"default": 1000000}, "latency": [0.1, 2.0]}}'

BARE = """
import asyncio, socket, sys, uvicorn
BODY = b'{"sid": "SM00000000000000000000000000000000", "status": "queued"}' + b" " * 900
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201,
                "headers": [(b"content-length", str(len(BODY)).encode())]})
    await send({"type": "http.response.body", "body": BODY})
plug = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
plug.bind(("127.0.0.1", 0))
plug.listen(64)
print('{"base_url": "http://127.0.0.1:%d", "account_sid": "AC", "auth_token": "x", '
      '"numbers": ["+1"]}' % plug.getsockname()[1], flush=True)
config = uvicorn.Config(app, http="httptools", loop="asyncio", lifespan="off",
                        log_level="critical", access_log=False)
uvicorn.Server(config).run(sockets=[plug])
"""


class Site(asyncio.Protocol):
    """The application's web server: counts callbacks and answers 204."""

    count = 0
    wanted = 0
    done: "asyncio.Event"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            Site.count += 1
            if Site.count == Site.wanted:
                Site.done.set()


async def post(card: dict[str, object], callback: str, numbers: Iterator[int]) -> None:
    """One connection: post a message, read the answer, the next."""
    where = urlsplit(str(card["base_url"]))
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    pair = base64.b64encode(f"{card['account_sid']}:{card['auth_token']}".encode()).decode()
    path = f"/2010-04-01/Accounts/{card['account_sid']}/Messages.json"
    sender = next(iter(card["numbers"]))  # type: ignore[call-overload]
    for number in numbers:
        body = urlencode(
            {
                "To": f"+1415556{number % 10_000:04d}",
                "From": sender,
                "Body": f"Your table is ready, number {number}.",
                "StatusCallback": callback,
            }
        )
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 201 " not in head.split(b"\r\n", 1)[0] + b" ":
            raise SystemExit(f"not created: {head!r}")
        at = head.lower().find(b"content-length:")
        await reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0]))
    writer.close()


@contextmanager
def server(*arguments: str) -> Iterator[tuple[int, dict[str, object]]]:
    """A server process: its id and the line that it printed."""
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_megabytes(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def load(
    pid: int, card: dict[str, object], messages: int, callbacks: int
) -> tuple[float, float, float]:
    """Seconds until the last answer, until the last callback, and of processor time."""
    Site.count, Site.wanted, Site.done = 0, messages * callbacks, asyncio.Event()
    loop = asyncio.get_running_loop()
    site = await loop.create_server(Site, "127.0.0.1", 0, backlog=256)
    port = site.sockets[0].getsockname()[1]
    numbers = iter(range(messages))
    begun, used = time.perf_counter(), processor_seconds(pid)
    url = f"http://127.0.0.1:{port}/status"
    await asyncio.gather(*(post(card, url, numbers) for _ in range(CONNECTIONS)))
    answered = time.perf_counter() - begun
    if callbacks:
        async with asyncio.timeout(300):
            await Site.done.wait()
    total = time.perf_counter() - begun
    used = processor_seconds(pid) - used
    site.close()
    return answered, total, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    messages, rounds = (options := parser.parse_args()).messages, options.rounds
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        plan.write_text(PLAN)
        box = ("-m", "ringback.cli.main", "simulator", "--speed", "20", "--plan", str(plan))
        ours, bare = [], []
        for _ in range(rounds):
            with server("-c", BARE) as (pid, card):
                bare.append(asyncio.run(load(pid, card, messages, 0)))
            with server(*box) as (pid, card):
                ours.append(asyncio.run(load(pid, card, messages, 2)))
                resident = resident_megabytes(pid)
    mine, other = min(ours, key=lambda run: run[2]), min(bare, key=lambda run: run[2])
    print(f"{messages} messages, {2 * messages} callbacks, best of {rounds} rounds")
    print(f"  simulator   {mine[2] / messages * 1e3:7.3f} ms of processor a message")
    print(f"  bare 201    {other[2] / messages * 1e3:7.3f} ms of processor a request")
    print(f"  ratio       {mine[2] / max(other[2], 1 / TICK):7.1f}  (one request in, two out)")
    print(
        f"  wall        {mine[0]:7.2f} s to the last answer, {mine[1]:.2f} s to the last callback"
    )
    print(f"  resident    {resident:7.1f} MB at the end")


if __name__ == "__main__":
    main()
