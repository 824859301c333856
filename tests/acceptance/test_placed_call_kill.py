"""A call of ours on a real node against the simulator, with the worker killed at every step."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

PERSON, MACHINE, BUSY = "+14155550777", "+15005550034", "+15005550031"
RULES = """
version: 1
rules:
  - name: remind
    on: message.received
    if: event.body.begins_with('call')
    do:
      - call:
          to: ${{ '+' + event.body.word(1) }}
          timeout: 10m
          do:
            - gather:
                say: Press 1 to confirm.
                digits: 1
                timeout: 20m
                choices: {"1": [{say: Thank you.}]}
                else: [{say: Goodbye.}]
            - gather: {say: "How many?", digits: 1, timeout: 20m, as: count}
            - say: Until then.
          machine: [{say: Please call us back.}]
          else: [{reply: "Nobody: ${{ reply.status }}"}]
      - reply: "Done: ${{ vars.count }}"
"""


HOLDS = "<Response><Pause length='600'/></Response>"
"""Who answers while the worker is dead waits for the next one."""


def kill(node: Any) -> None:
    """kill -9 of the worker, and wait for the next one."""
    before = node.worker_pid()
    os.kill(before, signal.SIGKILL)
    node.until(lambda: _pid(node) not in (0, before))
    node.wait_ready()


def _pid(node: Any) -> int:
    try:
        return int(node.worker_pid())
    except ValueError:
        return 0


def heard(box: Any, sid: str) -> list[str]:
    """What was said in a call."""
    call = box.http.get(f"/_sim/calls/{sid}").json()
    return [sound["text"] for sound in call["heard"] if sound["kind"] == "say"]


def placed(node: Any) -> str:
    """The SID of the call, once Twilio has taken it."""
    found = "select remote_sid from actions where kind = 'place_call' and remote_sid <> ''"
    node.until(lambda: node.ask(found))
    return str(node.ask(found)[-1][0])


def said(box: Any) -> list[str]:
    return [message["body"] for message in box.inbox(PERSON)]


@pytest.fixture
def node(make_node: Callable[..., Any], box: Any) -> Any:
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_FALLBACK_TWIML=HOLDS)
    node.start()
    node.wait_ready()
    return node


@pytest.mark.slow
def test_a_callee_is_asked_twice_though_the_worker_dies_between(node: Any, box: Any) -> None:
    """It is killed behind the call, behind each question and behind the last key."""
    box.http.post(f"/_sim/handsets/{PERSON}", json={"calls": "manual"})
    box.text(PERSON, f"call {PERSON[1:]}")
    sid = placed(node)
    kill(node)
    node.until(lambda: box.http.get(f"/_sim/calls/{sid}").json()["state"] == "ringing")
    box.http.post(f"/_sim/calls/{sid}/answer")
    node.until(lambda: "Press 1 to confirm." in heard(box, sid))
    kill(node)
    box.http.post(f"/_sim/calls/{sid}/keys", json={"digits": "1"})
    node.until(lambda: "How many?" in heard(box, sid))
    kill(node)
    box.http.post(f"/_sim/calls/{sid}/keys", json={"digits": "3"})
    node.until(lambda: "Until then." in heard(box, sid))
    node.until(lambda: said(box))
    assert said(box) == ["Done: 3"]
    assert heard(box, sid) == ["Press 1 to confirm.", "Thank you.", "How many?", "Until then."]
    assert node.ask("select state, reason from runs where rule = 'remind'") == [("done", "")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "spoken", "texts"),
    [
        (MACHINE, ["Please call us back."], ["Done:"]),
        (BUSY, [], ["Nobody: busy", "Done:"]),
    ],
)
def test_a_machine_and_nobody(
    node: Any, box: Any, who: str, spoken: list[str], texts: list[str]
) -> None:
    """The message begins behind the beep; who is busy has a text."""
    box.text(PERSON, f"call {who[1:]}")
    sid = placed(node)
    kill(node)
    node.until(lambda: node.ask("select 1 from runs where rule = 'remind' and state = 'done'"))
    node.until(lambda: len(said(box)) == len(texts))
    assert sorted(each.strip() for each in said(box)) == sorted(texts)
    node.until(lambda: heard(box, sid) == spoken)
