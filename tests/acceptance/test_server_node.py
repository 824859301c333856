"""Node whose log and journal lie on a PostgreSQL server."""

import subprocess
from collections.abc import Callable
from typing import Any

from acceptance.conftest import RINGBACK

RULES = """
version: 1
rules:
  - name: echo
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
"""
CALLER = "+14155550188"


def run(node: Any, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RINGBACK, "-C", str(node.project), *arguments], env=dict(node.environ),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def text(index: int, number: str) -> dict[str, str]:
    sid = f"SM{index:032x}"
    return {
        "MessageSid": sid, "SmsSid": sid, "From": f"+1415{5_560_000 + index}", "To": number,
        "Body": f"text {index}", "NumMedia": "0", "SmsStatus": "received",
    }  # fmt: skip


def test_a_text_is_answered_and_followed_to_its_delivery(
    make_node: Callable[..., Any], box: Any, postgres_url: str
) -> None:
    """The tables are made by hand, once. No file holds anything of it."""
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_DATABASE_URL=postgres_url)
    assert run(node, "cluster", "create").stdout == "the tables are made\n"
    node.start()
    answer = node.post("/twilio/message", text(1, box.facts["numbers"][0]))
    assert (answer.status_code, answer.text.endswith("<Response/>")) == (200, True)
    node.until(lambda: node.ask("select 1 from actions where outcome = 'delivered'"))
    assert " ERROR " not in node.lines.rest()
    assert [item["body"] for item in box.inbox("+14155560001")] == ["Got text 1"]
    assert node.ask("select n, result, http_status from attempts") == [(1, "accepted", 201)]
    assert not list((node.project / "data").glob("*.db"))
