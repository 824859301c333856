"""Bad plugins: receiving goes on, the other rules run, and the culprit is named."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

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

@rule("message.received", if_="event.body == 'bad {kind}'")
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
    "kinds",
    [
        pytest.param(["raises", "exits", "returns", "sleeps"], id="fails or waits"),
        pytest.param(["burns"], id="burns", marks=pytest.mark.slow),
        pytest.param(["spins"], id="spins"),
        pytest.param(["dies"], id="dies", marks=pytest.mark.slow),
    ],
)
def test_a_bad_plugin_hurts_nobody_else_and_is_named(
    kinds: list[str], make_node: Callable[..., Any], box: Any
) -> None:
    """Bad texts among good ones: every text is acknowledged, each gets the good rule's reply,
    and the run of each bad rule has failed with the plugin's name in its reason."""
    rotten = {f"plugins/{kind}.py": PLUGIN.format(kind=kind, body=BODIES[kind]) for kind in kinds}
    node = make_node(
        {"rules/all.yaml": GOOD, "ringback.toml": "handler_seconds = 1.0\n", **rotten},
        RINGBACK_GATEWAY_RATE="100",
    ).start()
    node.wait_ready()
    number = box.facts["numbers"][0]
    bad = dict(enumerate(kinds, 5))
    for index in range(20):
        body = f"bad {bad[index]}" if index in bad else f"text {index}"
        assert node.post("/twilio/message", text(index, body, number)).status_code == 200
    answered = "select count(*) from actions where state in ('accepted', 'settled')"
    node.until(lambda: node.ask(answered) == [(20,)], timeout=60)
    listed = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "plugins", "list", "--json"],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    states = {row["name"]: row["state"] for row in map(json.loads, listed.stdout.splitlines())}
    assert set(states) == set(kinds)
    for kind in kinds:
        ended = "select state, reason from runs where rule = ? and ended_at is not null"
        run = node.until(lambda ended=ended, kind=kind: node.ask(ended, f"{kind}.culprit"), 60)
        assert [state for state, _ in run] == ["cancelled" if kind == "dies" else "failed"]
        assert kind in run[0][1] or "quarantined" in run[0][1]
        assert states[kind].startswith(f"{kind}.culprit")
    assert node.process.poll() is None
