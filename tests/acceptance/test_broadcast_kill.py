"""A broadcast to many people through kills and a pause: each once, the result right, the rate held.

10,000 people at 80 a second by default; for others, with what is printed:
`RINGBACK_MEMBERS=2000 RINGBACK_BROADCAST_RATE=8 pytest -s -m slow -k through_kills_and_a_pause`
"""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from acceptance.conftest import RINGBACK

MEMBERS = int(os.environ.get("RINGBACK_MEMBERS", "10000"))
RATE = float(os.environ.get("RINGBACK_BROADCAST_RATE", "80"))
RULES = f"""
groups: {{news: {{}}}}
rules:
  - name: announce
    on: message.received
    if: event.body == 'go'
    do:
      - broadcast: {{to: groups.news, body: "We open at nine.", rate: {RATE:g}/s, as: result}}
      - reply: "${{{{ result.text }}}}"
"""
PLAN = {
    "messaging": {"rates": {"default": 1000}},
    "maton": {"rate": 1000},
    "faults": [
        {"on": "messages.create", "do": "error", "status": 400, "code": 21614, "rate": 0.01},
    ],
}
ASKS = {"From": "+14155550199", "Body": "go", "NumMedia": "0", "SmsStatus": "received"}


def shell(node: Any, *words: str) -> str:
    done = subprocess.run(
        [*RINGBACK, *words], cwd=node.project, env=dict(node.environ),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill_worker(node: Any) -> None:
    os.kill(node.worker_pid(), signal.SIGKILL)


def handled(node: Any) -> int:
    """How many members have a text by now."""
    return int(node.ask("select count(*) from bulk_items where state <> ''")[0][0])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_of_many_is_texted_once_through_kills_and_a_pause(
    make_node: Callable[..., Any], box: Any
) -> None:
    """1 % are refused by Twilio, the worker is killed twice and the whole node once, and between
    two of them everything is paused."""
    box.http.put("/_sim/plan", json=PLAN).raise_for_status()
    node = make_node(
        {"rules/all.yaml": RULES}, RINGBACK_TOTAL_PER_HOUR="0", RINGBACK_GATEWAY_RATE="1000",
        RINGBACK_SENDER_RATE="1000", RINGBACK_SETTLE_SECONDS="2",
    ).start()  # fmt: skip
    node.wait_ready()
    lines = "".join(f"+1415{6_000_000 + number}\n" for number in range(MEMBERS))
    (node.project / "people.csv").write_text(f"number\n{lines}")
    began = time.monotonic()
    shell(node, "groups", "import", "news", "people.csv")
    imported = time.monotonic() - began
    began = time.monotonic()
    node.post("/twilio/message", {**ASKS, "MessageSid": "SM" + "1" * 32,
                                  "To": box.facts["numbers"][0]})  # fmt: skip
    for share in (0.2, 0.4, 0.6):
        node.until(lambda share=share: handled(node) > MEMBERS * share, timeout=600)
        if share == 0.4:
            shell(node, "pause")
            stood = node.until(lambda: _still(node), timeout=60)
            shell(node, "resume")
            assert stood < MEMBERS
        if share == 0.6:
            node.process.kill()
            node.process.wait()
            node.start()
        else:
            kill_worker(node)
        node.wait_ready()
    node.until(lambda: node.ask("select 1 from bulks where state = 'done'"), timeout=600)
    took = time.monotonic() - began
    reply = node.until(lambda: [m["body"] for m in box.messages() if m["to"] == ASKS["From"]])
    texts = [each for each in box.messages() if each["body"] == "We open at nine."]
    sent = Counter(each["to"] for each in texts)
    assert set(sent.values()) == {1}
    ((total, done, refused, failed),) = node.ask("select total, done, refused, failed from bulks")
    assert (total, done, refused, done + failed) == (MEMBERS, len(sent), 0, MEMBERS)
    assert MEMBERS * 0.003 < failed < MEMBERS * 0.02
    assert reply == [f"sent {done}, refused 0, failed {failed}"]
    fastest = _fastest(node)
    print(
        f"{MEMBERS:,} imported in {imported:.1f} s; texted in {took:.1f} s, "
        f"{MEMBERS / took:.1f}/s with kills and pause, {fastest:.1f}/s in the fastest 10 s; "
        f"sent {done}, failed {failed}"
    )
    assert fastest <= RATE * 1.1 + 3


def _still(node: Any) -> int:
    """How many have a text, once nobody has got one for two seconds."""
    before = handled(node)
    time.sleep(2.0)  # the real pace of real processes is what is looked at
    return before if handled(node) == before else 0


def _fastest(node: Any) -> float:
    """The most texts in a second that were planned within any ten seconds."""
    rows = node.ask(
        "select planned_at from actions where kind = 'send_message' order by planned_at"
    )
    moments = [datetime.fromisoformat(row[0]).timestamp() for row in rows]
    first, most = 0, 0
    for place, moment in enumerate(moments):
        while moments[first] < moment - 10:
            first += 1
        most = max(most, place - first + 1)
    return most / 10
