"""Node on PostgreSQL whose worker, receiver or server is killed amid texts."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from acceptance.test_server_node import RULES, run, text
from postgres.server import Server

TEXTS = 40


def begun(make_node: Callable[..., Any], url: str) -> Any:
    node = make_node(
        {"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=url, RINGBACK_TOTAL_PER_HOUR="0",
        RINGBACK_GATEWAY_RATE="200", RINGBACK_SETTLE_SECONDS="2",
    )  # fmt: skip
    assert run(node, "cluster", "create").returncode == 0
    node.start()
    node.wait_ready()
    return node


def sent(node: Any, number: str, index: int) -> None:
    """Send a text until it is acknowledged, as Twilio does with the right overrides."""

    def acknowledged() -> bool:
        return bool(node.post("/twilio/message", text(index, number)).status_code == 200)

    node.until(acknowledged, timeout=90)


def answered_once(node: Any, box: Any, count: int) -> None:
    """Each text got its one reply, and nothing hangs."""
    node.until(
        lambda: node.ask(
            "select count(*) from actions where state in ('accepted', 'settled') "
            "and not exists (select 1 from actions where state in "
            "('planned', 'deferred', 'sending', 'unknown'))"
        ) == [(count,)],
        timeout=90,
    )  # fmt: skip
    bodies = Counter(item["body"] for item in box.messages())
    assert bodies == {f"Got text {index}": 1 for index in range(count)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_worker_and_a_killed_node_lose_and_double_nothing(
    make_node: Callable[..., Any], box: Any, postgres_url: str
) -> None:
    node = begun(make_node, postgres_url)
    number = box.facts["numbers"][0]
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(sent, node, number, index) for index in range(TEXTS)]
        node.until(lambda: len(box.messages()) >= 5)
        os.kill(node.worker_pid(), signal.SIGKILL)
        node.until(lambda: len(box.messages()) >= 15)
        node.process.kill()
        node.process.wait()
        node.start()
        for each in running:
            each.result()
    answered_once(node, box, TEXTS)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_server_is_waited_for(
    make_node: Callable[..., Any], box: Any, own_postgres: Server
) -> None:
    """While it is away nothing is acknowledged, and `/readyz` says why; when it is back the node
    goes on by itself."""
    node = begun(make_node, own_postgres.create_database())
    number = box.facts["numbers"][0]
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(sent, node, number, index) for index in range(TEXTS)]
        node.until(lambda: len(box.messages()) >= 5)
        own_postgres.kill()
        refused = node.post("/twilio/message", text(TEXTS, number))
        assert refused.status_code == 503
        problems = node.until(lambda: _problems(node).get("database"))
        assert "postgresql://127.0.0.1" in problems
        own_postgres.start()
        for each in running:
            each.result()
    sent(node, number, TEXTS)
    answered_once(node, box, TEXTS + 1)
    node.until(node.ready)
    assert node.process.poll() is None


def _problems(node: Any) -> dict[str, str]:
    return dict(httpx.get(f"{node.url}/readyz").json()["problems"])


@pytest.mark.slow
def test_a_database_without_tables_is_refused(
    make_node: Callable[..., Any], postgres_url: str
) -> None:
    """With the code of a wrong setting, and what mends it; nothing is made by itself."""
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=postgres_url)
    done = run(node, "serve")
    assert done.returncode == 78
    assert "ringback cluster create" in done.stderr
    assert run(node, "cluster", "create").returncode == 0
    shown = json.loads(run(node, "cluster", "status", "--json").stdout)
    assert (shown["fits"], shown["database"]) == (True, postgres_url.replace("postgres@", ""))
