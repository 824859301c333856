"""Repair of a downtime: what came meanwhile is fetched back, once, and not answered too late."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
  - name: answered
    on: incident.opened
    do:
      - notify: "${{ event.field('Text') }}"
"""


@pytest.fixture
def speed() -> str:
    """Repair compares the box's clock with the node's, so they run alike."""
    return "1"


@pytest.mark.slow
def test_texts_of_a_downtime_are_fetched_back_and_answered_once(
    make_node: Callable[..., Any], box: Any
) -> None:
    """Five texts while the node is down: after its start each is in the log as `repair`, is
    answered, and the webhook that arrives late after all changes nothing."""
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_GATEWAY_RATE="100").start()
    node.wait_ready()
    box.text("+14155554000", "before")
    node.until(lambda: node.ask("select 1 from actions where outcome = 'delivered'"))
    assert node.stop() == 0
    sids = [box.text(f"+1415555400{index}", f"missed {index}") for index in range(1, 6)]
    node.start()
    node.wait_ready()
    node.until(
        lambda: node.ask("select count(*) from actions where outcome = 'delivered'"
                         " and kind = 'send_message'") == [(6,)],
        timeout=60,
    )  # fmt: skip
    repaired = node.ask(
        "select subject_sid, trust from events where source = 'repair' and type = ?"
        " and sender <> '+14155554000' order by id",
        "message.received",
    )
    assert repaired == [(sid, "confirmed") for sid in sids]
    over = "select 1 from incidents where kind = 'repair' and state = 'resolved'"
    node.until(lambda: node.ask(over))
    node.until(
        lambda: node.ask("select 1 from actions where rule = 'answered' and state = 'settled'")
    )
    late = {
        "MessageSid": sids[0], "SmsSid": sids[0], "From": "+14155554001",
        "To": box.facts["numbers"][0], "Body": "missed 1", "NumMedia": "0",
    }  # fmt: skip
    with httpx.Client() as client:
        assert node.post("/twilio/message", late, client).status_code == 200
    node.until(lambda: node.ask("select value from meta where key = 'cursor'")
               == [(str(node.ask("select max(id) from log", file="log.db")[0][0]),)])  # fmt: skip
    assert node.ask("select count(*) from events where subject_sid = ?", sids[0]) == [(1,)]
    assert len(box.inbox("+14155554001")) == 1
