"""Bad plugins: receiving goes on, the other rules run, and the culprit is named."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

GOOD = """
version: 1
rules:
  - name: good
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""

PLUGIN = """
import os, re, time
from ringback import rule

@rule("message.received", if_="event.body.startsWith('bad')")
def culprit(event):
    {body}
"""

BODIES = {
    "raises": 'raise RuntimeError("broken on purpose")',
    "exits": "raise SystemExit(3)",
    "sleeps": "time.sleep(3600)",
    "burns": "\n    while True:\n        pass",
    "spins": "re.match(r'(a+)+$', 'a' * 60 + 'b')",
    "dies": "os._exit(7)",
    "returns": "return 42",
}


def text(index: int, body: str, number: str) -> dict[str, str]:
    sid = f"SM{index:032x}"
    return {
        "MessageSid": sid, "SmsSid": sid, "From": f"+1415557{index:04d}", "To": number,
        "Body": body, "NumMedia": "0", "SmsStatus": "received",
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if kind == "dies" else ()) for kind in BODIES],
)
def test_a_bad_plugin_hurts_nobody_else_and_is_named(
    kind: str, make_node: Callable[..., Any], box: Any
) -> None:
    """One bad text among good ones: every text is acknowledged, each gets the good rule's reply,
    and the run of the bad rule has failed with the plugin's name in its reason."""
    node = make_node(
        {
            "rules/all.yaml": GOOD,
            "plugins/rotten.py": PLUGIN.format(body=BODIES[kind]),
            "ringback.toml": "handler_seconds = 1.0\n",
        },
        RINGBACK_GATEWAY_RATE="100",
    ).start()
    node.wait_ready()
    number = box.facts["numbers"][0]
    with httpx.Client(timeout=5) as client:
        for index in range(20):
            body = "bad one" if index == 5 else f"text {index}"
            assert (
                node.post("/twilio/message", text(index, body, number), client).status_code == 200
            )
    node.until(
        lambda: (
            node.ask("select count(*) from actions where state in ('accepted', 'settled')")
            == [(20,)]
        ),
        timeout=60,
    )
    run = node.until(
        lambda: node.ask(
            "select state, reason from runs where rule = 'rotten.culprit' and ended_at is not null"
        ),
        timeout=60,
    )
    assert [state for state, _ in run] == ["failed"] if kind != "dies" else ["cancelled"]
    listed = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "plugins", "list", "--json"],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    (row,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert row["name"] == "rotten"
    assert "rotten" in run[0][1] or "quarantined" in run[0][1]
    assert row["state"].startswith("rotten.culprit")
    assert node.process.poll() is None
