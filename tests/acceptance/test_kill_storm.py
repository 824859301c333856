"""kill -9 at random points, under load, against a gateway that misbehaves.

25 kills by default; for more:
`RINGBACK_KILLS=200 pytest -m slow tests/acceptance/test_kill_storm.py`
"""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

KILLS = int(os.environ.get("RINGBACK_KILLS", "25"))
SEED = int(os.environ.get("RINGBACK_KILL_SEED", "4"))

RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""

PLAN = {
    "messaging": {"rates": {"default": 1000}},
    "maton": {"rate": 1000},
    "faults": [
        {"on": "messages.create", "do": "error", "status": 500, "rate": 0.05},
        {"on": "messages.create", "do": "error", "status": 503, "created": True, "rate": 0.05},
        {"on": "messages.create", "do": "reset", "at": "before", "rate": 0.03},
        {"on": "messages.create", "do": "reset", "at": "created", "rate": 0.03},
        {"on": "messages.create", "do": "malform", "how": "truncated", "rate": 0.03},
        {"on": "messages.create", "do": "throttle", "retry_after": "1", "rate": 0.03},
        {"on": "messages.list", "do": "error", "status": 500, "rate": 0.05},
        {"on": "callback", "do": "duplicate", "rate": 0.1},
        {"on": "callback", "do": "reorder", "rate": 0.1},
        {"on": "callback", "do": "lose", "rate": 0.1},
    ],
}


def fields(index: int, number: str) -> dict[str, str]:
    sid = f"SM{index:032x}"
    return {
        "MessageSid": sid, "SmsSid": sid, "From": f"+1415{5_560_000 + index}", "To": number,
        "Body": f"text {index}", "NumMedia": "0", "SmsStatus": "received",
    }  # fmt: skip


class Load:
    """Texts at a steady pace, from numbers of their own; those that were acknowledged."""

    def __init__(self, node: Any, number: str) -> None:
        self.node = node
        self.number = number
        self.acknowledged: set[int] = set()
        self.index = iter(range(1_000_000))
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self.over.is_set():
                number = next(self.index)
                try:
                    form = fields(number, self.number)
                    answer = self.node.post("/twilio/message", form, client)
                except httpx.TransportError:
                    self.over.wait(0.05)
                    continue
                if answer.status_code == 200:
                    self.acknowledged.add(number)
                self.over.wait(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600 + 12 * KILLS)
def test_a_storm_of_kills_loses_and_doubles_nothing(
    make_node: Callable[..., Any], box: Any
) -> None:
    """Half of the kills hit the worker, half the receiver with it. In the end every text that was
    acknowledged got one reply, no text got two, and nothing hangs."""
    box.http.put("/_sim/plan", json=PLAN).raise_for_status()
    node = make_node(
        {"rules/all.yaml": RULES}, RINGBACK_TOTAL_PER_HOUR="0", RINGBACK_GATEWAY_RATE="1000",
        RINGBACK_SETTLE_SECONDS="2",
    ).start()  # fmt: skip
    node.wait_ready()
    rng = random.Random(SEED)
    load = Load(node, box.facts["numbers"][0])
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(load.run) for _ in range(4)]
        try:
            for _ in range(KILLS):
                load.over.wait(rng.uniform(0.2, 1.5))
                if rng.random() < 0.5:
                    kill_worker(node)
                else:
                    node.process.kill()
                    node.process.wait()
                    node.start()
        finally:
            load.over.set()
        for each in running:
            each.result()
    node.wait_ready()
    node.until(lambda: caught_up(node), timeout=300 + 6 * KILLS)
    box.http.put("/_sim/plan", json={**PLAN, "faults": []}).raise_for_status()
    bodies = Counter(item["body"] for item in box.messages())
    assert [body for body, times in bodies.items() if times > 1] == []
    assert {index for index in load.acknowledged if not bodies[f"Got text {index}"]} == set()
    states = dict(node.ask("select state, count(*) from actions group by state"))
    assert set(states) <= {"accepted", "settled"}, states
    print(f"seed {SEED}: {KILLS} kills, {len(load.acknowledged)} acknowledged, {states}")


def kill_worker(node: Any) -> None:
    try:
        os.kill(node.worker_pid(), signal.SIGKILL)
    except (ProcessLookupError, ValueError, OSError):
        return  # between two lives


def caught_up(node: Any) -> bool:
    """Everything in the log is matched, and no action waits for anything but its final status."""
    last = node.ask("select coalesce(max(id), 0) from log", file="log.db")[0][0]
    cursor = int(node.ask("select value from meta where key = 'cursor'")[0][0])
    pending = node.ask(
        "select (select count(*) from runs where state in ('pending', 'running')) +"
        " (select count(*) from actions where state in"
        " ('planned', 'deferred', 'sending', 'unknown'))"
    )[0][0]
    return bool(cursor >= last and not pending)
