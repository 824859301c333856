"""Node without an auth token: a secret path, and every claim read back before a rule sees it."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

SECRET = "k3J9xQ2mT7vB5nR8wZ1cY6pL4hD0sG"
RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    do:
      - reply: "Got ${{ event.body }}"
  - name: support-line
    on: call.received
    do:
      - say: Thanks for calling.
      - enqueue: support
  - name: reckless
    on: message.received
    trust: claimed
    do:
      - notify: "claimed ${{ event.body }}"
"""


def node_with_secret(make_node: Callable[..., Any], box: Any) -> Any:
    node = make_node(
        {"rules/all.yaml": RULES}, TWILIO_AUTH_TOKEN="", TWILIO_ACCOUNT_SID="",
        RINGBACK_HOOK_SECRET=SECRET,
    ).start()  # fmt: skip
    node.wait_ready()
    number = box.facts["numbers"][0].replace("+", "%2B")
    base = f"{node.environ['RINGBACK_PUBLIC_URL']}/twilio/~{SECRET}"
    box.http.post(
        f"/_sim/numbers/{number}", json={"sms_url": f"{base}/message", "voice_url": f"{base}/call"}
    ).raise_for_status()
    return node


@pytest.mark.slow
def test_a_real_text_is_confirmed_and_answered(make_node: Callable[..., Any], box: Any) -> None:
    """The SID is read back, the rule fires, the reply's own callbacks prove themselves by tag.

    Key and secret are all that it takes: the account is asked for, and is not a sub-account."""
    box.http.post(
        "/2010-04-01/Accounts.json", data={"FriendlyName": "Shop"},
        auth=(box.facts["account_sid"], box.facts["auth_token"]),
    ).raise_for_status()  # fmt: skip
    node = node_with_secret(make_node, box)
    box.text("+14155559001", "hello")
    node.until(lambda: node.ask("select 1 from actions where outcome = 'delivered'"))
    (event,) = node.ask("select trust from events where type = 'message.received'")
    assert event == ("confirmed",)
    trusts = node.ask("select distinct trust from events where type = 'message.delivered'")
    assert trusts == [("confirmed",)]
    runs = node.ask("select rule, count(*) from runs group by rule order by rule")
    assert runs == [("hours", 1), ("reckless", 1)]


@pytest.mark.slow
def test_a_forged_text_never_reaches_a_rule(make_node: Callable[..., Any], box: Any) -> None:
    """Right path, made-up SID: recorded as a claim, shown only to the rule that asked for claims;
    it does not even opt anybody out."""
    node = node_with_secret(make_node, box)
    sid = "SM" + "5" * 32
    answer = httpx.post(
        f"{node.url}/twilio/~{SECRET}/message",
        data={
            "MessageSid": sid, "SmsSid": sid, "AccountSid": node.account, "From": "+14155559002",
            "To": box.facts["numbers"][0], "Body": "STOP", "NumMedia": "0",
        },
    )  # fmt: skip
    assert answer.status_code == 200
    verdicts = json.loads(
        node.until(
            lambda: node.ask(
                "select verdicts from events where json_extract(verdicts, '$.proof') is not null"
            ),
            timeout=60,
        )[0][0]
    )
    assert verdicts["hours"] == "trust:claimed"
    assert "does not know" in verdicts["proof"]
    assert node.ask("select rule from runs") == [("reckless",)]
    assert node.ask("select count(*) from consents") == [(0,)]


@pytest.mark.slow
def test_a_call_is_confirmed_while_it_waits(make_node: Callable[..., Any], box: Any) -> None:
    """The read-back fits into the two seconds: the caller hears the rule, not the fallback."""
    node = node_with_secret(make_node, box)
    answer = box.http.post(
        "/_sim/calls", json={"from": "+14155559003", "to": box.facts["numbers"][0]}
    )
    sid = answer.json()["sid"]
    node.until(lambda: "Thanks" in json.dumps(box.http.get(f"/_sim/calls/{sid}").json()["heard"]))


@pytest.mark.slow
def test_a_wrong_secret_is_refused(make_node: Callable[..., Any], box: Any) -> None:
    """403, and nothing is recorded."""
    node = node_with_secret(make_node, box)
    answer = httpx.post(
        f"{node.url}/twilio/~{SECRET[:-1]}X/message",
        data={"MessageSid": "SM" + "6" * 32, "AccountSid": node.account, "Body": "x"},
    )
    assert answer.status_code in (403, 404)
    assert node.ask("select count(*) from log", file="log.db") == [(0,)]


@pytest.mark.slow
def test_with_neither_token_nor_secret_it_does_not_serve(
    make_node: Callable[..., Any], box: Any
) -> None:
    """Exit 78, and a line that says what to set."""
    node = make_node({"rules/all.yaml": RULES}, TWILIO_AUTH_TOKEN="")
    ended = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "serve", str(node.project)],
        env=dict(node.environ), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 78
    assert "TWILIO_AUTH_TOKEN" in ended.stderr
    assert "RINGBACK_HOOK_SECRET" in ended.stderr
