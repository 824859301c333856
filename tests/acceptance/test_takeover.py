"""Two nodes on one PostgreSQL: one works, the other stands by, records, and takes over."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from acceptance.test_server_node import RULES, run, text

pytestmark = pytest.mark.slow
MakeNode = Callable[..., Any]


@pytest.fixture
def pair(make_node: MakeNode, postgres_url: str) -> tuple[Any, Any]:
    """Two nodes; the first one works."""
    nodes = [
        make_node(
            {"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=postgres_url, RINGBACK_NODE=name,
            RINGBACK_SETTLE_SECONDS="2",
        )
        for name in ("a", "b")
    ]  # fmt: skip
    run(nodes[0], "cluster", "create").check_returncode()
    nodes[0].start().wait_ready()
    nodes[1].start()
    nodes[1].until(lambda: stands_by(nodes[1]))
    return nodes[0], nodes[1]


def stands_by(node: Any) -> bool:
    """Whether a node says that another one works."""
    answer = node.http.get(f"{node.url}/readyz")
    return answer.status_code == 503 and "standby" in answer.json()["problems"]


def kill(node: Any) -> None:
    """End all processes of a node, as a power cut does."""
    worker = node.worker_pid()
    node.process.kill()
    with suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)
    node.process.wait()


def texts(node: Any, number: str, *indexes: int) -> None:
    for index in indexes:
        assert node.post("/twilio/message", text(index, number)).status_code == 200


def answered(box: Any, *indexes: int) -> bool:
    """Whether each of them got its reply, and one."""
    inboxes = [box.inbox(f"+1415{5_560_000 + index}") for index in indexes]
    assert all(len(inbox) <= 1 for inbox in inboxes)
    return all(inboxes)


def test_who_stands_by_records_and_the_owner_answers(pair: tuple[Any, Any], box: Any) -> None:
    """A load balancer sends it nothing; what comes all the same is answered by the one that works.
    A call hears the fallback."""
    a, b = pair
    number = box.facts["numbers"][0]
    assert b.http.get(f"{b.url}/healthz").status_code == 200
    words = b.http.get(f"{b.url}/readyz").json()["problems"]["standby"]
    assert words == "this node stands by: node a works"
    texts(b, number, 1)
    a.until(lambda: answered(box, 1))
    call = {"CallSid": "CA" + "1" * 32, "From": "+14155560001", "To": number,
            "CallStatus": "ringing", "Direction": "inbound"}  # fmt: skip
    assert "We cannot take your call" in b.post("/twilio/call", call).text
    paused = run(b, "pause")
    assert paused.returncode == 75
    assert "this node stands by: node a works" in paused.stderr


def test_a_killed_node_is_followed_within_a_beat(pair: tuple[Any, Any], box: Any) -> None:
    a, b = pair
    number = box.facts["numbers"][0]
    texts(a, number, 1)
    a.until(lambda: answered(box, 1))
    kill(a)
    began = time.monotonic()
    texts(b, number, 2)
    b.until(lambda: answered(box, 2))
    took = time.monotonic() - began
    b.wait_ready()
    print(f"kill -9 of the owner's node: a text is answered {took:.2f} s after it")


def test_a_node_that_ends_in_order_gives_back(pair: tuple[Any, Any], box: Any) -> None:
    a, b = pair
    number = box.facts["numbers"][0]
    a.process.send_signal(signal.SIGTERM)
    assert a.process.wait(60) == 0
    began = time.monotonic()
    texts(b, number, 1)
    b.until(lambda: answered(box, 1))
    print(f"SIGTERM: a text is answered {time.monotonic() - began:.2f} s after the end")
    a.start()
    a.until(lambda: stands_by(a))


def test_a_second_node_of_a_name_does_not_start(pair: tuple[Any, Any], make_node: MakeNode) -> None:
    a = pair[0]
    url = a.environ["RINGBACK_DATABASE_URL"]
    other = make_node({"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=url, RINGBACK_NODE="a")
    done = run(other, "serve")
    assert done.returncode == 75
    assert "another node called a works on postgresql://" in done.stderr
    assert a.ready()


def test_a_frozen_node_is_followed_after_its_lease_and_writes_nothing(
    pair: tuple[Any, Any], box: Any
) -> None:
    """It is frozen amid texts for one and a half leases. When it goes on it is told, stands by, and
    nothing goes out twice."""
    a, b = pair
    number = box.facts["numbers"][0]
    texts(a, number, 1)
    a.until(lambda: answered(box, 1))
    worker = a.worker_pid()
    texts(a, number, *range(2, 12))
    for pid in (a.process.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    texts(b, number, *range(12, 20))
    b.until(lambda: answered(box, *range(12, 20)))
    print(f"SIGSTOP of the owner: a text is answered {time.monotonic() - began:.2f} s after it")
    while time.monotonic() - began < 15:
        time.sleep(0.1)
    for pid in (worker, a.process.pid):
        os.kill(pid, signal.SIGCONT)
    texts(a, number, *range(20, 25))
    b.until(lambda: answered(box, *range(1, 25)))
    a.until(lambda: stands_by(a))
    assert b.ask("select node, epoch from owner") == [("b", 2)]
