"""Stop of sending with real processes: a gateway takes nothing, and then it does again."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RULES = """\
version: 1
rules:
  - name: hello
    on: message.received
    do:
      - reply: Hello.
  - name: alarm
    on: [incident.opened, incident.resolved]
    do:
      - notify: "${{ event.type }}: ${{ event.body }}"
"""
ALERTS = Path(__file__).parents[2] / "plugins" / "delivery_alerts.py"
REFUSED = [{"on": "messages.create", "do": "error", "status": 401, "code": 20003}]


def shell(node: Any, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command in the project of the node."""
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *arguments],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip


def plan(box: Any, faults: list[dict[str, Any]]) -> None:
    """What goes wrong at the simulated Twilio from now on."""
    box.http.put("/_sim/plan", json={"faults": faults}).raise_for_status()


def readyz(node: Any) -> tuple[int, dict[str, Any]]:
    """The answer of the health page."""
    answer = node.http.get(f"{node.url}/readyz")
    return answer.status_code, answer.json()


def gauges(node: Any) -> dict[str, float]:
    """What the metrics say, by name with its label."""
    lines = node.http.get(f"{node.url}/metrics").text.splitlines()
    rows = [line.removeprefix("ringback_").split() for line in lines if line[:9] == "ringback_"]
    return {name: float(value) for name, value in rows}


@pytest.mark.slow
def test_a_gateway_that_refuses_us_is_told_to_everybody(
    make_node: Callable[..., Any], box: Any
) -> None:
    """401 to each text: incident, notices, health page, metrics, doctor, trace. Then it is mended
    and a person says so: all of it ends by itself, and the text goes out once."""
    files = {"rules/all.yaml": RULES, "plugins/delivery_alerts.py": ALERTS.read_text()}
    node = make_node(files).start()
    node.wait_ready()
    assert "degraded" not in readyz(node)[1]
    plan(box, REFUSED)
    box.text("+12025550142", "one")
    ((began, text),) = node.until(
        lambda: node.ask("select opened_at, text from incidents where kind = 'sending'")
    )
    assert "401" in text
    assert "1 action waits" in text
    # A slow machine also reports texts that it fetched back: that is another incident.
    told = (
        "select params from actions where rule = ? and state = 'settled'"
        " and json_extract(params, '$.text') like '%sending %'"
    )
    for rule in ("alarm", "delivery_alerts.incidents"):
        ((params,),) = node.until(lambda rule=rule: node.ask(told, rule))
        assert text in json.loads(params)["text"]
    status, health = node.until(lambda: node.ready() and readyz(node))
    assert (status, health["ready"], health["problems"]) == (200, True, {})
    assert f"sending has stopped since {began}" in health["degraded"]["sending"]
    stopped = 'sending_stopped{reason="credentials"}'
    node.until(lambda: gauges(node).get(stopped) == 1)
    node.until(lambda: gauges(node).get("waiting_actions") == 1)
    node.until(lambda: gauges(node).get("oldest_waiting_seconds", 0) > 0)
    traced = shell(node, "trace", "+12025550142")
    assert f"held since {began}" in traced.stdout
    assert "sending has stopped since" in traced.stderr

    plan(box, [])
    resumed = shell(node, "resume")
    assert (resumed.returncode, "sending has stopped" in resumed.stdout) == (1, True)
    node.until(
        lambda: node.ask("select 1 from incidents where kind = 'sending' and state = 'resolved'")
    )
    node.until(lambda: "degraded" not in readyz(node)[1])
    node.until(lambda: gauges(node).get(stopped) == 0)
    assert len(box.messages()) == 1
    assert node.ask("select count(*) from incidents where kind = 'sending'") == [(1,)]
    node.until(lambda: len(node.ask(told, "alarm")) == 2)


@pytest.mark.slow
def test_the_doctor_says_that_nothing_leaves(make_node: Callable[..., Any], box: Any) -> None:
    """While the node runs, and when it has ended."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    plan(box, REFUSED)
    box.text("+12025550142", "one")
    node.until(lambda: node.ask("select 1 from incidents where kind = 'sending'"))

    def sending() -> list[tuple[str, str]]:
        rows = [json.loads(line) for line in shell(node, "doctor", "--json").stdout.splitlines()]
        return [(row["state"], row["says"]) for row in rows if row["check"] == "sending"]

    ((state, says),) = sending()
    assert (state, "sending has stopped since" in says) == ("bad", True)
    node.stop()
    ((state, says),) = sending()
    assert (state, "sending has stopped since" in says) == ("warn", True)
