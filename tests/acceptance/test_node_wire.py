"""Node fed by requests that this project did not sign: Twilio's bodies and its own library."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    if: event.body.keyword(['hours'])
    do:
      - reply: We are open Mon-Fri 9-17.
  - name: support-line
    on: call.received
    do:
      - say: Thanks for calling.
      - enqueue: support
  - name: failed-reminder
    on: [message.failed, message.undelivered]
    if: event.error_code == 30003
    do:
      - call: {to: "${{ event.to }}", say: This is your reminder.}
"""

CALLER = "+14155550188"


def sid(prefix: str, seed: str) -> str:
    return prefix + hashlib.md5(seed.encode(), usedforsecurity=False).hexdigest()


def inbound(seed: str, body: str, number: str) -> dict[str, str]:
    message = sid("SM", seed)
    return {
        "ToCountry": "US", "ToState": "CA", "SmsMessageSid": message, "NumMedia": "0",
        "ToCity": "", "FromZip": "", "SmsSid": message, "FromState": "CA", "SmsStatus": "received",
        "FromCity": "", "Body": body, "FromCountry": "US", "To": number, "ToZip": "",
        "NumSegments": "1", "MessageSid": message, "From": CALLER,
    }  # fmt: skip


def test_a_signed_text_is_answered_and_followed_to_its_delivery(
    make_node: Callable[..., Any], box: Any
) -> None:
    """Text in, 200 with an empty Response, reply out, `delivered` comes back, one trace."""
    node = make_node({"rules/all.yaml": RULES}).start()
    number = box.facts["numbers"][0]
    answer = node.post("/twilio/message", inbound("one", "HOURS please", number))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.text.endswith("<Response/>")
    node.until(lambda: node.ask("select 1 from actions where outcome = 'delivered'"))
    assert [item["body"] for item in box.inbox(CALLER)] == ["We are open Mon-Fri 9-17."]
    (action,) = node.ask("select kind, state, outcome, remote_sid, rule from actions")
    assert action[:3] == ("send_message", "settled", "delivered")
    assert action[4] == "hours"
    (attempt,) = node.ask("select n, result, http_status from attempts")
    assert attempt == (1, "accepted", 201)
    types = [row[0] for row in node.ask("select type from events order by id")]
    assert types[0] == "message.received"
    assert "message.delivered" in types


@pytest.mark.slow
def test_a_call_is_answered_and_a_repeated_request_gets_the_same_answer(
    make_node: Callable[..., Any], box: Any
) -> None:
    """TwiML from the worker; the retry causes nothing new, also after a restart of the node."""
    node = make_node({"rules/all.yaml": RULES}).start()
    node.wait_ready()
    fields = {
        "CallSid": sid("CA", "call"), "From": CALLER, "To": box.facts["numbers"][0],
        "CallStatus": "ringing", "Direction": "inbound", "Caller": CALLER, "FromCity": "",
    }  # fmt: skip
    answers = {node.post("/twilio/call", fields).text for _ in range(3)}
    assert len(answers) == 1
    (twiml,) = answers
    assert "<Say>Thanks for calling.</Say>" in twiml
    assert ">support</Enqueue>" in twiml
    assert node.stop() == 0
    node.start()
    node.wait_ready()
    assert node.post("/twilio/call", fields).text == twiml
    assert node.ask("select kind, state from actions") == [("enqueue_call", "settled")]
    assert node.ask("select count(*) from events where type = 'call.received'") == [(1,)]


@pytest.mark.slow
def test_a_failed_delivery_becomes_a_call(make_node: Callable[..., Any], box: Any) -> None:
    """A status callback is an event like any other: a rule reacts to it."""
    node = make_node({"rules/all.yaml": RULES}).start()
    message = sid("SM", "reminder")
    answer = node.post(
        "/twilio/message/status",
        {
            "MessageSid": message, "SmsSid": message, "MessageStatus": "undelivered",
            "SmsStatus": "undelivered", "ErrorCode": "30003", "To": CALLER,
            "From": box.facts["numbers"][0],
        },
    )  # fmt: skip
    assert answer.status_code == 204
    node.until(lambda: node.ask("select 1 from actions where state = 'settled'"))
    (action,) = node.ask("select kind, outcome, conversation from actions")
    assert action == ("place_call", "completed", f"{box.facts['numbers'][0]}/{CALLER}")


@pytest.mark.slow
def test_a_forged_request_leaves_no_trace(make_node: Callable[..., Any], box: Any) -> None:
    """Wrong signature: 403, nothing recorded."""
    import httpx

    node = make_node({"rules/all.yaml": RULES}).start()
    answer = httpx.post(
        f"{node.url}/twilio/message",
        data={"AccountSid": node.account, **inbound("forged", "hours", box.facts["numbers"][0])},
        headers={"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    )
    assert answer.status_code == 403
    assert node.ask("select count(*) from log", file="log.db") == [(0,)]
