"""Locks of runs on a real node: one of many gets each, through kills."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

RULES = """
rules:
  - name: take
    on: message.received
    do:
      - first:
          key: ${{ event.body }}
          for: 12h
          else: [{reply: "Taken ${{ event.body }}."}, stop: too late]
      - reply: Yours ${{ event.body }}.
"""
JOBS, DRIVERS = 20, 8


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_of_many_gets_each_job_through_kills(make_node: Callable[..., Any], box: Any) -> None:
    """Eight drivers want each of twenty jobs; the worker is killed after each third of the jobs,
    and the whole node once, at whatever it is doing."""
    rates = {"messaging": {"rates": {"default": 1000}}, "maton": {"rate": 1000}}
    box.http.put("/_sim/plan", json=rates).raise_for_status()
    node = make_node(
        {"rules/jobs.yaml": RULES}, RINGBACK_TOTAL_PER_HOUR="0", RINGBACK_GATEWAY_RATE="1000",
        RINGBACK_SENDER_RATE="1000", RINGBACK_SETTLE_SECONDS="1",
    ).start()  # fmt: skip
    node.wait_ready()
    for job in range(JOBS):
        for driver in range(DRIVERS):
            number = job * DRIVERS + driver
            node.post("/twilio/message", {
                "MessageSid": f"SM{number:032x}", "To": box.facts["numbers"][0],
                "From": f"+1415600{number:04}", "Body": f"job-{job}", "SmsStatus": "received",
            })  # fmt: skip
        if job % 3 == 2:
            before = node.worker_pid()
            os.kill(before, signal.SIGKILL)
            node.until(lambda before=before: worker_of(node) not in (0, before))
        elif job == JOBS // 2:
            node.stop(signal.SIGKILL)
            node.start().wait_ready()
    over = "select count(*) from runs where rule = 'take' and state = 'done'"
    node.until(lambda: node.ask(over)[0][0] == JOBS * DRIVERS, timeout=60)
    said = Counter(
        body for (body,) in node.ask("select json_extract(params, '$.body') from actions")
    )
    assert said == {
        **{f"Yours job-{job}.": 1 for job in range(JOBS)},
        **{f"Taken job-{job}.": DRIVERS - 1 for job in range(JOBS)},
    }
    assert node.ask("select count(*) from run_locks") == [(JOBS,)]


def worker_of(node: Any) -> int:
    """The worker's process, 0 while one takes over from another."""
    try:
        return int(node.worker_pid())
    except ValueError:
        return 0
