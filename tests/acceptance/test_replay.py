"""Replay on a real node: an old event through today's rules, dry and for real."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

STRANGER = "+14155550777"
OLD = """version: 1
rules:
  - name: first
    on: message.received
    do:
      - reply: {body: Once, policy: at_most_once}
"""
NEW = """version: 1
rules:
  - name: first
    on: message.received
    state: off
    do:
      - reply: Once
  - name: better
    on: message.received
    once_within: 1h
    do:
      - reply: "Better: ${{ event.body }}"
  - name: newcomer
    on: message.received
    if: contact.message_count == 1
    do:
      - remember: {seen: "yes"}
"""
LOST = {
    "faults": [{"on": "messages.create", "do": "reset", "at": "before", "times": 1}],
}
"""Nobody knows whether the first text was sent, and the box did not send it."""


def shell(node: Any, *arguments: str, code: int = 0) -> str:
    """One command about the node's project; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", *arguments], cwd=node.project,
        env=dict(node.environ), capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def lines(node: Any, *arguments: str) -> list[dict[str, Any]]:
    """The JSON lines that a command printed."""
    return [json.loads(line) for line in shell(node, *arguments, "--json").splitlines()]


@pytest.fixture
def node(make_node: Callable[..., Any]) -> Any:
    """A node with the rules of then."""
    made = make_node({"rules/all.yaml": OLD}).start()
    made.wait_ready()
    return made


def one(node: Any, query: str) -> Any:
    """The one row that a question has for an answer, as soon as there is one."""
    (row,) = node.until(lambda: node.ask(query))
    return row


@pytest.mark.slow
def test_an_old_event_meets_the_rules_of_today(node: Any, box: Any) -> None:
    """Dry it does nothing. For real a copy is recorded, whose actions are its own; `once_within`
    counts, and what the original changed is not changed again."""
    sid = box.text(STRANGER, "hello")
    (uid,) = one(node, "select uid from events where type = 'message.received'")
    node.until(lambda: [text["body"] for text in box.inbox(STRANGER)] == ["Once"])
    node.until(lambda: node.ask("select 1 from actions where state = 'settled'"))
    contacts = node.ask("select conversation, inbound from contacts")
    (node.project / "rules" / "all.yaml").write_text(NEW)
    shell(node, "rules", "reload")

    (dry,) = lines(node, "replay", sid)
    assert [action["params"].get("body") for action in dry["wishes"]] == ["Better: hello", None]
    assert node.ask("select count(*) from events where source = 'replay'") == [(0,)]

    (sent,) = lines(node, "replay", uid, "--send")
    assert {rule["rule"]: rule["verdict"] for rule in sent["rules"]} == {
        "better": "fired", "newcomer": "fired", "first": "off",
    }  # fmt: skip
    node.until(lambda: [text["body"] for text in box.inbox(STRANGER)] == ["Once", "Better: hello"])
    (again,) = lines(node, "replay", uid, "--send", "--rule", "better")
    (verdict,) = [rule["verdict"] for rule in again["rules"]]
    assert verdict.startswith("once_within")

    copies = node.ask(
        "select uid, dedupe_key, type, subject_sid, log_id, tag from events "
        "where source = 'replay' order by id"
    )
    assert copies == [
        (sent["replay"], f"replay:{uid}:1", "message.received", sid, None, ""),
        (again["replay"], f"replay:{uid}:2", "message.received", sid, None, ""),
    ]
    assert node.ask("select event_uid, rule from actions where kind = 'send_message'") == [
        (uid, "first"), (sent["replay"], "better"),
    ]  # fmt: skip
    assert node.ask("select conversation, inbound from contacts") == contacts
    assert f"replays {uid}" in shell(node, "trace", sent["replay"])
    (trace,) = lines(node, "trace", uid)
    assert trace["replayed"] == [sent["replay"], again["replay"]]


@pytest.mark.slow
def test_a_span_goes_in_its_order_and_copies_are_not_copied(node: Any, box: Any) -> None:
    """Each event from outside once, the older first; a copy is no event from outside."""
    for body in ("one", "two"):
        box.text(STRANGER, body)
        node.until(lambda body=body: body in shell(node, "events", "list", "--number", STRANGER))
    node.until(lambda: len(node.ask("select 1 from actions where state = 'settled'")) == 2)
    (node.project / "rules" / "all.yaml").write_text(NEW.replace("once_within: 1h", "priority: 1"))
    shell(node, "rules", "reload")
    asked = ("replay", "--since", "1h", "--rule", "better", "--send")
    sent = lines(node, *asked)
    texts = [line for line in sent if line["type"] == "message.received"]
    assert [line["body"] for line in texts] == ["one", "two"]
    assert node.ask("select count(*) from events where source = 'replay'") == [(len(sent),)]
    assert "replay" not in {line["source"] for line in lines(node, "replay", "--since", "1h")}
    node.until(
        lambda: (
            sorted(text["body"] for text in box.inbox(STRANGER))
            == ["Better: one", "Better: two", "Once", "Once"]
        )
    )


@pytest.mark.slow
def test_what_may_have_happened_is_not_replayed_unasked(node: Any, box: Any) -> None:
    """An action of the original is parked: only a person who says so may risk a second text."""
    box.http.put("/_sim/plan", json=LOST).raise_for_status()
    box.text(STRANGER, "hello")
    uid, action = one(
        node, "select event_uid, uid from actions where state = 'parked' and tries > 0"
    )
    refused = shell(node, "replay", uid, "--send", code=1)
    assert f"{action} (parked)" in refused
    assert "--may-duplicate" in refused
    assert node.ask("select count(*) from events where source = 'replay'") == [(0,)]
    (sent,) = lines(node, "replay", uid, "--send", "--may-duplicate")
    node.until(lambda: [text["body"] for text in box.inbox(STRANGER)] == ["Once"])
    assert node.ask("select event_uid from actions where state in ('accepted', 'settled')") == [
        (sent["replay"],)
    ]


ASKS = """version: 1
rules:
  - name: books
    on: message.received
    if: event.body == 'book'
    do:
      - reply: Which day?
      - wait_for: {timeout: 1h, as: day}
      - reply: "Noted: ${{ vars.day }}"
"""


@pytest.mark.slow
def test_old_news_wakes_nobody(make_node: Callable[..., Any], box: Any) -> None:
    """A run waits for an answer: a text of yesterday, replayed, is none; a fresh one is."""
    node = make_node({"rules/all.yaml": ASKS}).start()
    node.wait_ready()
    old = box.text(STRANGER, "monday")
    node.until(lambda: node.ask("select 1 from events where subject_sid = ?", old))
    box.text(STRANGER, "book")
    node.until(lambda: node.ask("select 1 from runs where state = 'waiting'"))
    (sent,) = lines(node, "replay", old, "--send")
    assert sent["rules"] == [{"rule": "books", "fired": False, "verdict": "if:1"}]
    assert node.ask("select state from runs") == [("waiting",)]
    assert node.ask("select count(*) from wakes") == [(0,)]
    box.text(STRANGER, "tuesday")
    node.until(lambda: "Noted: tuesday" in {text["body"] for text in box.inbox(STRANGER)})
    assert "Noted: monday" not in {text["body"] for text in box.inbox(STRANGER)}
