"""Benchmark of the plugin hosts, side by side: `python benchmarks/hosts.py [--rounds 5]`.

The same event of about 600 bytes goes to a rule that answers with a text, through the pool and, in
turns, through the least that could do it: two forked processes that unpickle the event and send the
same answer back over a socket pair. What the pool adds is limits, blame, fair turns, the call of
the function with what it names, and an answer that is read back as actions.

Printed: the round trip of a call, calls a second through two hosts with eight calls at once, and
the processor time of the worker's own process for each call.
"""

import argparse
import asyncio
import os
import pickle
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from ringback.config import Settings
from ringback.events import Event
from ringback.plugins.requests import HandlerCall
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.testing import sms
from ringback.worker.hosts.pool import Pool
from ringback.worker.hosts.server_link import command_for

PLUGIN = """
from ringback import reply, rule

@rule("message.received")
def pong(event):
    return reply(event, "pong")
"""
REACH = {"round trip, us": 250, "calls/s": 10_000, "worker, us a call": 60}
Exchange = Callable[[Event], Awaitable[object]]


class Bare:
    """Two forked processes and nothing else."""

    def __init__(self, answer: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._free: list[socket.socket] = []
        self._waiting: list[tuple[bytes, asyncio.Future[bytes]]] = []
        self._asked: dict[socket.socket, asyncio.Future[bytes]] = {}
        self._pids = []
        for _ in range(2):
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                ours.close()
                while data := theirs.recv(1 << 14):
                    pickle.loads(data)
                    theirs.sendall(answer)
                os._exit(0)
            theirs.close()
            ours.setblocking(False)
            self._pids.append(pid)
            self._free.append(ours)
            self._loop.add_reader(ours, self._readable, ours)

    async def call(self, event: Event) -> bytes:
        """Send an event, get the answer."""
        future = self._loop.create_future()
        data = pickle.dumps(event, protocol=5)
        if self._free:
            self._begin(self._free.pop(), data, future)
        else:
            self._waiting.append((data, future))
        answer: bytes = await future
        return answer

    def _begin(self, sock: socket.socket, data: bytes, future: "asyncio.Future[bytes]") -> None:
        self._asked[sock] = future
        sock.send(data)

    def _readable(self, sock: socket.socket) -> None:
        data, future = sock.recv(1 << 14), self._asked.pop(sock)
        if self._waiting:
            self._begin(sock, *self._waiting.pop(0))
        else:
            self._free.append(sock)
        future.set_result(data)

    def close(self) -> None:
        """End them."""
        for sock in self._free:
            self._loop.remove_reader(sock)
            sock.close()
        for pid in self._pids:
            os.waitpid(pid, 0)


async def measure(exchange: Exchange, event: Event, calls: int) -> dict[str, float]:
    """The three figures of one round."""

    async def lane(number: int) -> None:
        for _ in range(number):
            await exchange(event)

    await asyncio.gather(*(lane(50) for _ in range(8)))
    began = time.perf_counter()
    await lane(calls // 4)
    alone = (time.perf_counter() - began) / (calls // 4)
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(lane(calls // 8) for _ in range(8)))
    took, used = time.perf_counter() - began, time.process_time() - used
    return {
        "round trip, us": alone * 1e6,
        "calls/s": calls / took,
        "worker, us a call": used / calls * 1e6,
    }


async def run(rounds: int, calls: int) -> None:
    """All rounds, and what came of them."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "plugins").mkdir()
        (project / "plugins" / "p.py").write_text(PLUGIN)
        settings = Settings.load(project, os.environ)
        settings.data.mkdir()
        SqliteDatabase(settings.data / "journal.db").close()  # as every node has one
        bare = Bare(b"x" * 200)
        pool = Pool(command_for(settings, dict(os.environ)))
        await pool.start()

        async def hosts(event: Event) -> object:
            return await pool.call(HandlerCall("p.pong", "p", event), limit=5.0)

        found: dict[str, list[dict[str, float]]] = {"bare": [], "hosts": []}
        for _ in range(rounds):
            for name, exchange in (("bare", bare.call), ("hosts", hosts)):
                found[name].append(await measure(exchange, sms("hello"), calls))
        bare.close()
        await pool.close()
    print(f"{'':20} {'hosts':>10} {'bare':>10} {'ratio':>7} {'reach':>8}")
    for name, reach in REACH.items():
        ours = statistics.median(each[name] for each in found["hosts"])
        theirs = statistics.median(each[name] for each in found["bare"])
        print(f"{name:20} {ours:10.0f} {theirs:10.0f} {ours / theirs:7.2f} {reach:8}")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=4000)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(options.rounds, options.calls))


if __name__ == "__main__":
    main()
