"""An action kind and a voice verb from outside, from a rule file to the wire and back.

The plugin of the manual brings both: real processes, real HTTP, and a simulated Twilio that checks
the requests and reads the TwiML.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ANN = "+12025550142"
TEMPLATE = "HX" + "5e" * 16

MANUAL = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text("utf-8")
PLUGIN = MANUAL[MANUAL.index("# plugins/templates.py") :].partition("```")[0]

RULES = f"""
version: 1
rules:
  - name: order
    on: message.received
    do: [template: {TEMPLATE}]
  - name: caller
    on: call.received
    do:
      - say: One moment.
      - sms: "You called ${{{{ event.to }}}}."
      - say: Good bye.
      - hangup
cases:
  - name: a text is answered by a template
    given: [text: order]
    expect: [template: {{to: "+14155550123", template: {TEMPLATE}}}]
  - name: a call is answered in order
    given: [call: {{}}]
    expect: [say: One moment., sms: {{text: "You called +12025550100."}}, say: Good bye., hangup]
"""


def shell(node: Any, *words: str) -> str:
    """What a command printed beside the node."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *words], cwd=node.project,
        env=dict(node.environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def requests(box: Any) -> list[Any]:
    """The creates that Twilio saw."""
    entries = box.http.get("/_sim/ledger", params={"kind": "request"}).json()["entries"]
    return [entry for entry in entries if entry["operation"] == "messages.create"]


@pytest.mark.slow
def test_both_go_from_a_rule_file_to_the_wire_and_back(
    make_node: Callable[..., Any], box: Any
) -> None:
    """The kind is created, reported and settled like our own; the verb is spoken in its place."""
    node = make_node({"rules/own.yaml": RULES, "plugins/templates.py": PLUGIN}).start()
    node.wait_ready()
    assert "2 passed" in shell(node, "test")

    asked = box.text(ANN, "order")
    columns = "effect, state, outcome, remote_sid, params"
    of_kind = f"select {columns} from actions where kind = 'send_template'"
    node.until(lambda: node.ask(f"{of_kind} and state = 'settled'"))
    ((effect, _, outcome, sid, params),) = node.ask(of_kind)
    assert (effect, outcome) == ("message", "delivered")
    (made,) = box.messages()
    assert (made["sid"], made["to"], made["status"]) == (sid, ANN, "delivered")
    (request,) = requests(box)
    assert TEMPLATE in str(request)
    assert TEMPLATE in params
    trace = shell(node, "trace", asked)
    assert f"send_template to {ANN}" in trace
    assert TEMPLATE in trace
    assert "message.delivered" in trace

    number = box.facts["numbers"][0]
    call = box.http.post("/_sim/calls", json={"from": ANN, "to": number}).json()["sid"]
    node.until(lambda: box.http.get(f"/_sim/calls/{call}").json()["status"] == "completed")
    said = f"You called {number}."
    node.until(lambda: said in [text["body"] for text in box.inbox(ANN)])
    heard = str(box.http.get(f"/_sim/calls/{call}").json()["heard"])
    assert heard.index("One moment.") < heard.index("Good bye.")
    assert f"say One moment., sms {said}, say Good bye." in shell(node, "trace", call)
