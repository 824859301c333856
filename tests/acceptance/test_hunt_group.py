"""Hunt group on a real node against the simulator: who picks up presses 1, or is not connected."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

CALLER, BUSY, MAILBOX, AGENT = "+14155559004", "+15005550031", "+14155550178", "+14155550179"
RULES = f"""
version: 1
rules:
  - name: hunt
    on: call.received
    do:
      - dial:
          numbers: ["{BUSY}", "{MAILBOX}", "{AGENT}"]
          in_turn: true
          timeout: 10m
          whisper: A call for you.
          screen: Press 1 to take it.
          else: [{{say: Nobody is here.}}, hangup]
"""
HOLDS = "<Response><Pause length='600'/></Response>"


def said(box: Any, sid: str) -> list[str]:
    call = box.http.get(f"/_sim/calls/{sid}").json()
    return [sound["text"] for sound in call["heard"] if sound["kind"] == "say"]


def _pid(node: Any) -> int:
    try:
        return int(node.worker_pid())
    except ValueError:
        return 0


def legs(box: Any, to: str) -> list[dict[str, Any]]:
    return [call for call in box.http.get("/_sim/calls").json()["calls"] if call["to"] == to]


@pytest.fixture
def node(make_node: Callable[..., Any], box: Any) -> Any:
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_FALLBACK_TWIML=HOLDS)
    node.start()
    node.wait_ready()
    box.http.post(f"/_sim/handsets/{MAILBOX}", json={"calls": "busy"})
    return node


def ring(box: Any) -> str:
    number = box.facts["numbers"][0]
    call = box.http.post("/_sim/calls", json={"from": CALLER, "to": number}).json()
    return str(call["sid"])


@pytest.mark.slow
def test_the_third_takes_the_call_though_the_worker_dies_while_it_rings(
    node: Any, box: Any
) -> None:
    box.http.post(f"/_sim/handsets/{AGENT}", json={"calls": "manual", "keys": "1"})
    caller = ring(box)
    node.until(lambda: [leg for leg in legs(box, AGENT) if leg["state"] == "ringing"])
    before = node.worker_pid()
    os.kill(before, signal.SIGKILL)
    node.until(lambda: _pid(node) not in (0, before))
    node.wait_ready()
    agent = legs(box, AGENT)[0]["sid"]
    box.http.post(f"/_sim/calls/{agent}/answer")
    node.until(lambda: box.http.get(f"/_sim/calls/{caller}").json()["state"] == "bridged")
    assert said(box, agent) == ["A call for you.", "Press 1 to take it."]
    assert said(box, caller) == []


@pytest.mark.slow
def test_who_presses_no_key_does_not_get_the_call(node: Any, box: Any) -> None:
    box.http.post(f"/_sim/handsets/{AGENT}", json={"calls": "machine"})
    caller = ring(box)
    node.until(lambda: "Nobody is here." in said(box, caller))
    assert "Press 1 to take it." in said(box, legs(box, AGENT)[0]["sid"])
