"""Benchmark of the gateway: requests per second and latency, beside the official client in threads.

    python benchmarks/gateway.py [--seconds 3] [--rounds 3]

Both send the same message over and over to a stand-in for Twilio on loopback, a process of its
own, with 1, 10 and 50 requests in flight. Rounds alternate, so that a noisy machine bothers both
alike; the ratio is what counts. On a machine that is busy with other work, many threads get more of
it than one event loop does; the CPU time per request says which client does more with what it gets.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.twilio.rest import Request, path

AC = "AC" + "0a" * 16
SM = "SM" + "1b" * 16
TOKEN = "t" * 32
FORM = (("To", "+15550000002"), ("From", "+15550000001"), ("Body", "Hello from a benchmark"))

Result = tuple[float, float, float, float]
"""Requests per second, p50 and p99 in milliseconds, milliseconds of CPU per request."""


def reply() -> bytes:
    """A message as Twilio answers it, with all its fields."""
    body = json.dumps(
        {
            "sid": SM, "account_sid": AC, "to": "+15550000002", "from": "+15550000001",
            "body": "Hello from a benchmark", "status": "queued", "direction": "outbound-api",
            "num_segments": "1", "num_media": "0", "error_code": None, "error_message": None,
            "price": None, "price_unit": "USD", "messaging_service_sid": None,
            "date_created": "Mon, 09 Feb 2026 21:00:00 +0000", "date_sent": None,
            "date_updated": "Mon, 09 Feb 2026 21:00:00 +0000", "api_version": "2010-04-01",
            "uri": f"/2010-04-01/Accounts/{AC}/Messages/{SM}.json", "subresource_uris": {},
        }
    ).encode()  # fmt: skip
    head = f"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class StandIn(asyncio.Protocol):
    """Answers every POST with the same message, as cheaply as can be."""

    answer = reply()

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once for each whole request."""
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            lowered = head.lower()
            at = lowered.find(b"content-length:")
            length = int(lowered[at + 15 :].split(b"\r\n")[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.transport.write(self.answer)


def stand_in(pipe: Connection) -> None:
    """The other process: serve until killed."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def ours(port: int, in_flight: int, seconds: float) -> Result:
    """The gateway, on one event loop."""
    request = Request("POST", path(AC, "Messages"), FORM, "messages", ("SM", "MM"))
    times: list[float] = []

    async def one(gateway: Gateway, until: float) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            await gateway.perform(request)
            times.append(time.perf_counter() - began)

    async def run() -> tuple[float, float]:
        access = Credentials.direct(AC, TOKEN, base_url=f"http://127.0.0.1:{port}")
        async with Gateway(access) as gateway:
            await asyncio.gather(*(gateway.perform(request) for _ in range(in_flight)))
            began, spent = time.perf_counter(), time.process_time()
            await asyncio.gather(*(one(gateway, began + seconds) for _ in range(in_flight)))
            return time.perf_counter() - began, time.process_time() - spent

    return summary(times, *asyncio.run(run()))


class Nearby(TwilioHttpClient):
    """The official HTTP client, pointed at the stand-in, with a connection for each thread."""

    def __init__(self, port: int, in_flight: int) -> None:
        super().__init__(timeout=30)
        self._base = f"http://127.0.0.1:{port}"
        adapter = type(self.session.adapters["http://"])(pool_connections=1, pool_maxsize=in_flight)
        self.session.mount("http://", adapter)
        self.session.trust_env = False

    def request(self, method: str, url: str, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        """Send to the stand-in what was meant for Twilio."""
        return super().request(
            method, url.replace("https://api.twilio.com", self._base), *args, **kwargs
        )  # type: ignore[arg-type]


def official(port: int, in_flight: int, seconds: float) -> Result:
    """The official client, in one thread per request in flight."""
    client = Client(AC, TOKEN, http_client=Nearby(port, in_flight))
    given = {"to": "+15550000002", "from_": "+15550000001", "body": "Hello from a benchmark"}
    client.messages.create(**given)
    times: list[float] = []
    until = time.perf_counter() + seconds

    def one() -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            client.messages.create(**given)
            times.append(time.perf_counter() - began)

    began, spent = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=one) for _ in range(in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return summary(times, time.perf_counter() - began, time.process_time() - spent)


def summary(times: list[float], took: float, spent: float) -> Result:
    """The figures of one measurement."""
    cuts = statistics.quantiles(times, n=100)
    count = len(times)
    return count / took, cuts[49] * 1000, cuts[98] * 1000, spent / count * 1000


def middle(results: list[Result]) -> Result:
    """The median of each figure over the rounds."""
    rates, medians, tails, costs = map(statistics.median, zip(*results, strict=True))
    return rates, medians, tails, costs


def main() -> None:
    """Run the rounds and print one line per load."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=stand_in, args=(there,))
    process.start()
    try:
        port: int = here.recv()
        heads = ("in flight", "client", "req/s", "p50 ms", "p99 ms", "CPU ms/req")
        print("  ".join(head.rjust(10) for head in heads))
        peers: tuple[Callable[[int, int, float], Result], ...] = (ours, official)
        for in_flight in (1, 10, 50):
            results: tuple[list[Result], list[Result]] = ([], [])
            for _ in range(options.rounds):
                for peer, found in zip(peers, results, strict=True):
                    found.append(peer(port, in_flight, options.seconds))
            mine, theirs = middle(results[0]), middle(results[1])
            for name, figures in (("gateway", mine), ("official", theirs)):
                cells = [str(in_flight), name, *(f"{figure:.2f}" for figure in figures)]
                print("  ".join(cell.rjust(10) for cell in cells))
            rate, cost = mine[0] / theirs[0], theirs[3] / mine[3]
            print(f"{'':10}  ratio: {rate:.2f} x the requests per second, {cost:.2f} x per CPU")
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()
