"""Storm of failures on an old journal: its alerts keep up, and no rule is put into quarantine."""

import importlib.util
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EVENTS, FAILURES, RATE = 300_000, 600, 100
COUNTING = """\
version: 1
rules:
  - name: storm
    on: [message.failed, message.undelivered]
    if:
      - count('message.undelivered', '15m') > 5
      - count('message.*', '1h') > 5
      - count('message.undelivered', '24h', event.conversation) < 100
    do:
      - notify: "${{ count('message.undelivered', '15m') }} texts were not delivered"
  - name: unreachable
    on: message.undelivered
    key: everybody
    if: rate('message.undelivered', 'message.*', '15m') > 0.01
    once_within: 10m
    do:
      - notify: many people are out of reach
"""


def benchmark(name: str) -> ModuleType:
    """A module of the benchmarks."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def storm(node: Any) -> None:
    """Failures at an even rate, each on time whether or not the last one is answered."""
    begun = time.monotonic()

    def fail(number: int) -> int:
        time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        fields = {
            "MessageSid": f"SM{'5' * 24}{number:08x}", "MessageStatus": "undelivered",
            "ErrorCode": "30005", "From": "+12025550100", "To": f"+1415555{number:04d}",
        }  # fmt: skip
        status: int = node.post("/twilio/message/status", fields).status_code
        return status

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(fail, range(FAILURES))) == {204}


@pytest.mark.slow
def test_alerts_keep_up_with_a_storm_of_failures(make_node: Callable[..., Any]) -> None:
    """600 at 100 a second on 300,000 events: every run ends well, nobody gets a strike, and the
    worker is the same one all the while."""
    node = make_node({"rules/storm.yaml": COUNTING})
    for name in ("rules", "plugins"):
        shutil.copytree(ROOT / name, node.project / name, dirs_exist_ok=True)
    benchmark("filled").fill(node.project / "data", EVENTS)
    node.start()
    node.wait_ready()
    worker = node.worker_pid()
    storm(node)
    done = "select count(*) from runs where rule = ? and state = 'done'"
    for rule in ("delivery_alerts.failures", "storm"):
        least = FAILURES if rule != "storm" else FAILURES - 6
        node.until(lambda rule=rule, least=least: node.ask(done, rule)[0][0] >= least)
    assert node.ask("select rule, reason from strikes") == []
    failed = "select rule, reason from runs where state = 'failed' and rule in (?, ?, ?)"
    assert node.ask(failed, "delivery_alerts.failures", "storm", "unreachable") == []
    assert node.ask(done, "unreachable") == [(1,)]
    assert node.worker_pid() == worker
