"""kill -9 in the middle of traffic: what was acknowledged is kept, and nothing happens twice."""

import contextlib
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

RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""


def fields(index: int, number: str) -> dict[str, str]:
    sid = f"SM{index:032x}"
    return {
        "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "From": f"+1415556{index:04d}",
        "To": number, "Body": f"text {index}", "NumMedia": "0", "SmsStatus": "received",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killing_the_worker_loses_and_doubles_nothing(
    make_node: Callable[..., Any], box: Any
) -> None:
    """1,000 texts, the worker killed five times meanwhile: each is handled once."""
    node = make_node(
        {"rules/all.yaml": RULES}, RINGBACK_TOTAL_PER_HOUR="0", RINGBACK_GATEWAY_RATE="150"
    ).start()
    node.wait_ready()
    number = box.facts["numbers"][0]
    total = 1000
    done = threading.Event()
    rng = random.Random(11)

    def killer() -> None:
        for _ in range(5):
            if done.wait(rng.uniform(0.5, 1.5)):
                return
            try:
                os.kill(node.worker_pid(), signal.SIGKILL)
            except (ProcessLookupError, ValueError, OSError):
                continue

    killing = threading.Thread(target=killer)
    killing.start()
    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(8) as pool:
        codes = Counter(
            pool.map(
                lambda index: node.post("/twilio/message", fields(index, number), client)
                .status_code,
                range(total),
            )
        )  # fmt: skip
        assert codes == {200: total}
        node.until(
            lambda: node.ask(
                "select count(*) from actions where state in ('accepted', 'settled')"
            ) == [(total,)],
            timeout=240,
        )  # fmt: skip
    done.set()
    killing.join()
    created = Counter(item["body"] for item in box.messages())
    assert created == {f"Got text {index}": 1 for index in range(total)}
    assert node.ask("select count(*), count(distinct dedupe_key) from events "
                    "where type = 'message.received'") == [(total, total)]  # fmt: skip
    assert node.ask("select state, count(*) from runs group by state") == [("done", total)]


@pytest.mark.slow
def test_killing_the_receiver_keeps_every_acknowledged_webhook(
    make_node: Callable[..., Any], box: Any
) -> None:
    """Five lives of a node, each ended by kill -9 under load: every 2xx is in the log."""
    node = make_node(
        {"rules/all.yaml": RULES}, RINGBACK_TOTAL_PER_HOUR="0", RINGBACK_GATEWAY_RATE="150"
    )
    number = box.facts["numbers"][0]
    rng = random.Random(12)
    acknowledged: set[str] = set()
    index = iter(range(1_000_000))

    def send(client: httpx.Client) -> None:
        while True:
            one = fields(next(index), number)
            try:
                answer = node.post("/twilio/message", one, client)
            except httpx.TransportError:
                return
            if answer.status_code == 200:
                acknowledged.add(one["MessageSid"])

    for _ in range(5):
        node.start()
        with httpx.Client(timeout=10) as client, ThreadPoolExecutor(4) as pool:
            running = [pool.submit(send, client) for _ in range(4)]
            threading.Event().wait(rng.uniform(0.3, 0.8))
            node.process.kill()
            node.process.wait()
            for each in running:
                each.result()
    node.start()
    bodies = {bytes(row[0]) for row in node.ask("select body from log", file="log.db")}
    recorded = {body.split(b"MessageSid=")[1][:34].decode() for body in bodies}
    assert len(acknowledged) > 100
    assert acknowledged <= recorded


@pytest.mark.slow
def test_a_worker_that_hangs_when_its_receiver_is_killed_does_not_keep_the_next_node_away(
    make_node: Callable[..., Any], box: Any
) -> None:
    """It is stopped, as by a debugger or a disk that does not answer, and sees no end of file."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    hung = node.worker_pid()
    os.kill(hung, signal.SIGSTOP)
    try:
        node.process.kill()
        node.process.wait()
        node.start()
        node.wait_ready()
        assert node.worker_pid() != hung
        assert node.post("/twilio/message", fields(1, box.facts["numbers"][0])).status_code == 200
        node.until(lambda: [item["body"] for item in box.messages()] == ["Got text 1"])
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(hung, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_hangs_leaves_an_incident(make_node: Callable[..., Any]) -> None:
    """It is killed after 15 s without a sign of life; the next one tells since when it stood."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    os.kill(node.worker_pid(), signal.SIGSTOP)
    told = "select text, opened_at, state from incidents where kind = 'worker'"
    ((text, opened, _),) = node.until(lambda: node.ask(told), 40.0)
    assert "the worker hung (it has not moved for 15." in text
    assert opened
    node.until(lambda: node.ask(told)[0][2] == "resolved", 40.0)
