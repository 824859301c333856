"""kill -9 of either of two nodes and of their PostgreSQL server, under load, at random points.

The gateway misbehaves meanwhile. Three ledgers are compared at the end: what the load client was
told, what the gateway received, what the database holds. 12 kills by default; for more:
`RINGBACK_KILLS=200 pytest -m slow tests/acceptance/test_takeover_storm.py`
"""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from acceptance.test_kill_storm import PLAN, caught_up, kill_worker
from acceptance.test_server_node import RULES, run, text
from postgres.pair import Pair
from postgres.server import Server

KILLS = int(os.environ.get("RINGBACK_KILLS", "12"))
SEED = int(os.environ.get("RINGBACK_KILL_SEED", "4"))
PACE_SECONDS = 0.1


class Load:
    """Texts at a steady pace to one of several nodes, as a load balancer sends them; those that
    were acknowledged."""

    def __init__(self, nodes: list[Any], number: str) -> None:
        self.nodes = nodes
        self.number = number
        self.acknowledged: set[int] = set()
        self.index = iter(range(1_000_000))
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self.over.is_set():
                number = next(self.index)
                node = self.nodes[number % len(self.nodes)]
                with suppress(httpx.TransportError):
                    answer = node.post("/twilio/message", text(number, self.number), client)
                    if answer.status_code == 200:
                        self.acknowledged.add(number)
                self.over.wait(PACE_SECONDS)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send on four connections meanwhile."""
        with ThreadPoolExecutor(4) as pool:
            sending = [pool.submit(self.run) for _ in range(4)]
            try:
                yield
            finally:
                self.over.set()
            for each in sending:
                each.result()


def start(make_node: Callable[..., Any], box: Any, url: str) -> list[Any]:
    """Two nodes on a database, one of which works, and a gateway that misbehaves."""
    box.http.put("/_sim/plan", json=PLAN).raise_for_status()
    nodes = [
        make_node(
            {"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=url, RINGBACK_NODE=name,
            RINGBACK_TOTAL_PER_HOUR="0", RINGBACK_GATEWAY_RATE="1000", RINGBACK_SETTLE_SECONDS="2",
        )
        for name in ("a", "b")
    ]  # fmt: skip
    run(nodes[0], "cluster", "create").check_returncode()
    for node in nodes:
        node.start()
    nodes[0].until(lambda: any(node.ready() for node in nodes))
    return nodes


def compare(nodes: list[Any], box: Any, load: Load, seconds: float) -> str:
    """Wait until nothing is left to do, and compare the three ledgers; what there was."""
    one = nodes[0]
    one.until(lambda: any(node.ready() for node in nodes), timeout=120)
    one.until(lambda: caught_up(one), timeout=seconds)
    box.http.put("/_sim/plan", json={**PLAN, "faults": []}).raise_for_status()
    bodies = Counter(item["body"] for item in box.messages())
    assert [body for body, times in bodies.items() if times > 1] == []
    assert {index for index in load.acknowledged if not bodies[f"Got text {index}"]} == set()
    twice = "select dedupe_key from events group by dedupe_key having count(*) > 1"
    assert one.ask(twice) == []
    states = dict(one.ask("select state, count(*) from actions group by state"))
    assert set(states) <= {"accepted", "settled"}, states
    owners = one.ask("select epoch from owner")[0][0]
    return f"{len(load.acknowledged)} acknowledged, {owners} owners, {states}"


@pytest.mark.slow
@pytest.mark.timeout(900 + 20 * KILLS)
def test_a_storm_over_two_nodes_loses_and_doubles_nothing(
    make_node: Callable[..., Any], box: Any, own_postgres: Server
) -> None:
    """Every text that was acknowledged got one reply, no text got two, and nothing hangs."""
    nodes = start(make_node, box, own_postgres.create_database())
    rng, done = random.Random(SEED), Counter[str]()
    load = Load(nodes, box.facts["numbers"][0])
    with load.running():
        for number in range(KILLS):
            load.over.wait(rng.uniform(0.5, 2.5))
            kind = ("worker", "node", "server")[number % 3]
            done[kind] += 1
            if kind == "server":
                own_postgres.kill()
                own_postgres.start()
                continue
            node = rng.choice(nodes)
            kill_worker(node)
            if kind == "node":
                node.process.kill()
                node.process.wait()
                node.start()
    said = compare(nodes, box, load, 300 + 6 * KILLS)
    print(f"seed {SEED}: {dict(done)} killed, {said}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_primary_that_is_lost_takes_nothing_with_it(
    make_node: Callable[..., Any], box: Any, postgres_pair: Pair
) -> None:
    """It is killed under load, its synchronous standby is promoted a second later. What was
    acknowledged is there, and answered once."""
    primary, standby = postgres_pair.primary, postgres_pair.standby
    name = primary.create_database().rpartition("/")[2]
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    nodes = start(make_node, box, f"postgresql://postgres@{hosts}/{name}")
    load = Load(nodes, box.facts["numbers"][0])
    with load.running():
        load.over.wait(3)
        before = len(load.acknowledged)
        primary.kill()
        load.over.wait(1)
        postgres_pair.promote()
        promoted = time.monotonic()
        nodes[0].until(lambda: len(load.acknowledged) > before + 40, timeout=60)
        took = time.monotonic() - promoted
        load.over.wait(2)
    said = compare(nodes, box, load, 300)
    assert before
    print(f"40 more texts {took:.2f} s after the promotion; {said}")
