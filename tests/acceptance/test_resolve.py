"""Resolution by a person of a text whose answer got lost, on a real node."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

STRANGER = "+14155550778"
RULES = """version: 1
rules:
  - name: once
    on: message.received
    do:
      - reply: {body: "Got ${{ event.body }}", policy: at_most_once}
"""
BLIND = {
    "faults": [
        {"on": "messages.create", "do": "reset", "at": "created", "times": 1},
        {"on": "messages.create", "do": "reset", "at": "before", "times": 2},
        {"on": "callback", "do": "lose", "times": 100},
    ],
}
"""The first text leaves and nobody hears of it, the next two do not."""


def resolve(node: Any, *arguments: str, code: int = 0) -> str:
    """The command; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "actions", "resolve", *arguments],
        cwd=node.project, env=dict(node.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_person_says_what_became_of_a_text(make_node: Callable[..., Any], box: Any) -> None:
    """With the SID the action is followed from then on; a SID that is taken, or is none, is
    refused; what was not sent is cancelled; and nobody decides twice."""
    box.http.put("/_sim/plan", json=BLIND).raise_for_status()
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_SETTLE_SECONDS="3600").start()
    node.wait_ready()
    doubtful = []
    for count, body in enumerate(("one", "two", "three"), 1):
        box.text(STRANGER, body)
        rows = node.until(
            lambda count=count: (
                len(found := node.ask("select uid from actions where state = 'unknown'")) == count
                and found
            )
        )
        doubtful += [uid for (uid,) in rows if uid not in doubtful]
    sent, unsent, other = doubtful
    (text,) = node.until(box.messages)

    assert "no SID of a send_message" in resolve(
        node, sent, "--sent", "--sid", "CA" + "0" * 32, code=2
    )
    assert "--not-sent" in resolve(node, sent, code=2)
    assert "has no SID" in resolve(node, sent, "--not-sent", "--sid", text["sid"], code=2)
    assert f"{sent} is accepted" in resolve(node, sent, "--sent", "--sid", text["sid"])
    assert node.ask("select remote_sid, state from actions where uid = ?", sent) == [
        (text["sid"], "accepted")
    ]
    assert f"belongs to action {sent}" in resolve(
        node, other, "--sent", "--sid", text["sid"], code=2
    )
    assert "is accepted; this wants parked or unknown" in resolve(
        node, sent, "--sent", "--sid", "SM" + "9" * 32, code=2
    )
    assert f"{unsent} is cancelled" in resolve(node, unsent, "--not-sent")
    assert f"{other} is settled" in resolve(node, other, "--sent")

    status = {
        "MessageSid": text["sid"], "SmsSid": text["sid"], "MessageStatus": "delivered",
        "From": box.facts["numbers"][0], "To": STRANGER,
    }  # fmt: skip
    assert node.post("/twilio/message/status", status).status_code == 204
    node.until(
        lambda: (
            node.ask("select state, outcome from actions where uid = ?", sent)
            == [("settled", "delivered")]
        )
    )
    assert len(box.messages()) == 1


@pytest.mark.slow
def test_what_was_reported_before_counts(make_node: Callable[..., Any], box: Any) -> None:
    """A failure that came in without a tag, before anybody knew whose text it was about."""
    box.http.put("/_sim/plan", json=BLIND).raise_for_status()
    node = make_node({"rules/all.yaml": RULES}, RINGBACK_SETTLE_SECONDS="3600").start()
    node.wait_ready()
    box.text(STRANGER, "one")
    ((uid,),) = node.until(lambda: node.ask("select uid from actions where state = 'unknown'"))
    (text,) = node.until(box.messages)
    status = {
        "MessageSid": text["sid"], "SmsSid": text["sid"], "MessageStatus": "undelivered",
        "ErrorCode": "30003", "From": box.facts["numbers"][0], "To": STRANGER,
    }  # fmt: skip
    assert node.post("/twilio/message/status", status).status_code == 204
    node.until(lambda: node.ask("select 1 from events where type = 'message.undelivered'"))
    resolve(node, uid, "--sent", "--sid", text["sid"])
    assert node.ask("select state, outcome, error_code from actions where uid = ?", uid) == [
        ("failed", "undelivered", 30003)
    ]
