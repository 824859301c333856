"""Benchmark of webhooks of other systems beside Twilio's: `python benchmarks/hooks.py`.

One node with a rule on `hook.shop`. One-second slices of load go to it in turns: unique deliveries
that are signed by Standard Webhooks, and Twilio's signed status callbacks; each ratio is of two
slices of one round. Then both come at once at fixed rates, and each must be on disk.

Needs `wrk` (a Debian package).
"""

import argparse
import asyncio
import base64
import hmac
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count as counting
from pathlib import Path

from nodes import Node, count, environment, pace, ready, start_node
from servers import Bench, Server, Slice, come_to_rest, load, request_of, write_pool

KEY = b"the secret of a benchmark"
RULES = """
version: 1
hooks:
  shop: {secret: {$env: BENCH_HOOK}, phone: data.customer.phone, id: data.id}
rules:
  - name: large-order
    on: hook.shop
    if: ["hook.type == 'order.paid'", "hook.data.total > 100000"]
    do:
      - reply: Thanks
  - name: failures
    on: [message.failed, message.undelivered]
    do:
      - notify: "${{ event.to }} cannot be reached"
"""


def delivery_of(number: int) -> bytes:
    """One signed delivery of a shop, unique by its id; about 1 KiB of JSON."""
    items = [{"sku": f"A-{each}", "name": "A tent for two", "price": 99.5} for each in range(12)]
    customer = {"name": "Ann", "phone": f"+1415555{number % 10_000:04d}"}
    data = {"id": number, "total": 120.5, "customer": customer, "items": items}
    body = json.dumps({"type": "order.paid", "data": data}).encode()
    head = f"msg_{number}.{int(time.time())}"
    signed = base64.b64encode(hmac.digest(KEY, head.encode() + b"." + body, "sha256")).decode()
    name, _, moment = head.partition(".")
    lines = (
        "POST /hook/shop HTTP/1.1", "Host: hooks.example.org", "Content-Type: application/json",
        f"Content-Length: {len(body)}", f"webhook-id: {name}", f"webhook-timestamp: {moment}",
        f"webhook-signature: v1,{signed}", "User-Agent: Svix-Webhooks/1.0",
    )  # fmt: skip
    return "\r\n".join((*lines, "", "")).encode() + body


KINDS: dict[str, Callable[[int], bytes]] = {"other system": delivery_of, "Twilio": request_of}


def main() -> int:
    """Measure, and print the table; 1 when a request that was accepted is not on disk."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--pool", type=int, default=20_000, help="unique requests of a slice")
    parser.add_argument("--rate", type=float, default=1000.0, help="of other systems, at once")
    parser.add_argument("--beside", type=float, default=300.0, help="of Twilio, at the same time")
    parser.add_argument("--seconds", type=float, default=10.0, help="of both at once")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is missing (Debian: apt-get install wrk): nothing can be measured")
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringback-bench-")))
        bench = Bench(stack, folder, None)
        secret = "whsec_" + base64.b64encode(KEY).decode()
        node = start_node(bench, "node", rules=RULES, environ={"BENCH_HOOK": secret})
        ready(node.port, delivery_of(0))
        accepted = in_turns(node, options, folder)
        come_to_rest(Server("node", node.port, node.process))
        lost = accepted - node.rows()
        print(f"on disk: {node.rows()} of at least {accepted} accepted")
        lost = max(lost, asyncio.run(at_once(node, options)))
    return 1 if lost > 0 else 0


def in_turns(node: Node, options: argparse.Namespace, folder: Path) -> int:
    """Slices of load in turns, and their table; how many requests were accepted."""
    servers = {name: Server(name, node.port, node.process) for name in KINDS}
    slices: dict[str, list[Slice]] = {name: [] for name in KINDS}
    numbers = counting(1)
    for turn in range(options.rounds + 1):
        for name, make in KINDS.items():
            first = next(numbers) * options.pool
            write_pool(folder / "pool", map(make, range(first, first + options.pool)))
            come_to_rest(servers[name])
            server = servers[name]
            part = load(server, folder / "pool", options.pool, options.connections, 1.0)
            if turn:  # the first round warms up
                slices[name].append(part)
    print(f"\n{options.connections} connections, {options.rounds} rounds; {environment()}\n")
    print(f"{'':14} {'req/s':>8} {'best':>8} {'p50 ms':>8} {'p99 ms':>8} {'cpu µs':>8} not 2xx")
    for name, parts in slices.items():
        print(
            f"{name:14} {statistics.median(each.rate for each in parts):8.0f}"
            f" {max(each.rate for each in parts):8.0f}"
            f" {statistics.median(each.p50 for each in parts):8.2f}"
            f" {statistics.median(each.p99 for each in parts):8.2f}"
            f" {statistics.median(each.cpu for each in parts):8.0f}"
            f" {sum(each.bad for each in parts):7d}"
        )
    ratios = [one.rate / other.rate for one, other in zip(*slices.values(), strict=True)]
    print(f"\nother system / Twilio: {statistics.median(ratios):.2f}"
          f"  (rounds: {min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip
    if any(part.repeated for parts in slices.values() for part in parts):
        print("the pool was too small: some requests came twice; give a larger --pool")
    return sum(server.accepted for server in servers.values())


async def at_once(node: Node, options: argparse.Namespace) -> int:
    """Both at fixed rates; how many accepted requests are missing on disk."""
    before, first = node.rows(), 10_000_000
    made = [delivery_of(first + each) for each in range(int(options.rate * options.seconds))]
    jobs = [
        pace(node.port, options.rate, options.seconds, lambda at: made[at]),
        pace(node.port, options.beside, options.seconds, request_of, first),
    ]
    others, twilios = await asyncio.gather(*jobs)
    print(f"\nat once for {options.seconds:g} s, latency from when each was due:")
    print(f"{options.rate:6.0f}/s of another system   {others}")
    print(f"{options.beside:6.0f}/s of Twilio           {twilios}")
    accepted = others.statuses[204] + twilios.statuses[204]
    missing = accepted - (node.rows() - before)
    deadline = time.monotonic() + 30
    last = count(node.data / "log.db", "select max(id) from log")
    while node.matched() < last and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    left = last - node.matched()
    print(f"accepted {accepted}, missing on disk {missing}, not matched {left}")
    return missing


if __name__ == "__main__":
    sys.exit(main())
