"""Another system and the shell start rules of a real node: text sent, event kept, refusals said."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from acceptance.conftest import RINGBACK, Box, Node
from ringback import start_rule
from ringback.errors import Conflict, Missing, UsageError

KEY = "whsec_" + base64.b64encode(b"a secret of the shop, 24+").decode()
PLAIN = "a-plain-secret-of-31-characters"
ANN, ZOE = "+14155550123", "+14155550124"
RULES = """
version: 1
hooks:
  shop:
    secret: {$env: SHOP_HOOK}
    phone: data.customer.phone
    id: data.id
  git: {secret: {$env: GIT_HOOK}, scheme: github}
rules:
  - name: paid
    on: hook.shop
    if:
      - hook.type == 'order.paid'
      - hook.data.total > 100
    do:
      - reply: "Thanks ${{ hook.data.customer.name }}, ${{ hook.data.total }} came."
  - name: remind
    on: rule.started
    mode: single
    do:
      - reply: "See you ${{ hook.when }}."
      - wait: 1h
  - name: resting
    on: rule.started
    state: off
    do:
      - notify: hello
"""


def order(number: int, total: float, phone: str = ANN) -> bytes:
    data = {"id": number, "total": total, "customer": {"name": "Ann", "phone": phone}}
    return json.dumps({"type": "order.paid", "data": data}).encode()


def deliver(node: Node, body: bytes, name: str = "msg_1", key: str = KEY) -> httpx.Response:
    """A delivery of the shop, signed by the official library."""
    moment = int(time.time())
    signed = Webhook(key).sign(name, datetime.fromtimestamp(moment, UTC), body.decode())
    return node.http.post(
        f"{node.url}/hook/shop", content=body,
        headers={
            "Content-Type": "application/json", "webhook-id": name,
            "webhook-timestamp": str(moment), "webhook-signature": signed,
        },
    )  # fmt: skip


def shell(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RINGBACK, *words], cwd=node.project, env=dict(node.environ), text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    started = make_node({"rules/shop.yaml": RULES}, SHOP_HOOK=KEY, GIT_HOOK=PLAIN).start()
    started.wait_ready()
    return started


def inbox(node: Node, box: Box, number: str, count: int) -> list[str]:
    def arrived() -> list[dict[str, Any]]:
        found = box.inbox(number)
        return found if len(found) >= count else []

    return [text["body"] for text in node.until(arrived)]


@pytest.mark.slow
def test_an_order_becomes_a_text_once_and_after_a_kill(node: Node, box: Box) -> None:
    assert deliver(node, order(1, 120.5)).status_code == 204
    assert inbox(node, box, ANN, 1) == ["Thanks Ann, 120.5 came."]
    assert deliver(node, order(1, 120.5), "msg_2").status_code == 204
    assert deliver(node, order(2, 99)).status_code == 204
    forged = deliver(node, order(3, 500), key="whsec_" + base64.b64encode(b"x" * 24).decode())
    assert (forged.status_code, forged.text) == (403, "Forbidden\n")
    body = b'{"ref":"main"}'
    signed = hmac.new(PLAIN.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signed}"}
    assert node.http.post(f"{node.url}/hook/git", content=body, headers=headers).status_code == 204
    node.until(lambda: node.ask("select 1 from events where type = 'hook.git'"))

    # The worker stands still, so that nothing but the log can know of the last one.
    os.kill(node.worker_pid(), signal.SIGSTOP)
    worker = node.worker_pid()
    assert deliver(node, order(4, 400, ZOE), "msg_4").status_code == 204
    node.stop(signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    node.start()
    assert inbox(node, box, ZOE, 1) == ["Thanks Ann, 400 came."]
    assert inbox(node, box, ANN, 1) == ["Thanks Ann, 120.5 came."]
    events = node.ask(
        "select type, sender, subject_sid, trust, source from events "
        "where type like 'hook.%' order by id"
    )
    assert [row[:3] for row in events] == [
        ("hook.shop", ANN, "1"), ("hook.shop", ANN, "2"), ("hook.git", "", events[2][2]),
        ("hook.shop", ZOE, "4"),
    ]  # fmt: skip
    assert {row[3:] for row in events} == {("signed", "webhook")}

    shown = shell(node, "trace", "4")
    assert "hook.shop" in shown.stdout
    assert "delivered" in shown.stdout
    exported = shell(node, "events", "list", "--type", "hook.shop", "--json").stdout
    assert exported.count("hook.shop") == 3
    as_test = node.project / "tests" / "test_order.py"
    as_test.parent.mkdir()
    as_test.write_text(shell(node, "trace", "4", "--pytest").stdout)
    failed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", as_test],
        cwd=node.project, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert "this is what happened" in failed.stdout, failed.stdout
    again = shell(node, "replay", "4")
    assert "✓ paid" in again.stdout


@pytest.mark.slow
def test_a_saved_hook_is_there_at_the_next_delivery(node: Node) -> None:
    changed = RULES.replace("  shop:\n", "  other:\n    secret: {$env: SHOP_HOOK}\n  shop:\n")
    (node.project / "rules/shop.yaml").write_text(changed)
    assert shell(node, "rules", "reload").returncode == 0
    reply = node.http.post(f"{node.url}/hook/other", content=b"{}")
    assert reply.status_code == 403
    assert node.http.post(f"{node.url}/hook/third", content=b"{}").status_code == 404


@pytest.mark.slow
def test_a_rule_is_started_from_the_shell_and_from_python(node: Node, box: Box) -> None:
    done = shell(node, "start", "remind", "--to", ANN, "--json", '{"when": "Monday"}')
    assert done.returncode == 0, done.stderr
    assert inbox(node, box, ANN, 1) == ["See you Monday."]
    ((uid, run),) = node.ask("select event_uid, uid from runs where rule = 'remind'")
    assert done.stdout == f"started remind: event {uid}, run {run}\n"
    assert node.ask("select type, source, sender, conversation from events where uid = ?", uid) == [
        ("rule.started", "internal", ANN, f"{box.facts['numbers'][0]}/{ANN}")
    ]

    busy = shell(node, "start", "remind", "--to", ANN, "--json", '{"when": "Friday"}')
    assert (busy.returncode, busy.stdout[:12]) == (1, "not started:")
    for words, said in (
        (("start", "remnd"), "did you mean 'remind'?"),
        (("start", "resting"), "is off: `ringback rules state resting live"),
        (("start", "remind"), "--to"),
        (("start", "remind", "--to", "12"), "12"),
        (("start", "remind", "--to", ANN, "--json", "{"), "not JSON"),
    ):
        refused = shell(node, *words)
        assert refused.returncode != 0
        assert said in refused.stderr, (words, refused.stderr)

    environ = dict(os.environ)
    os.environ.update(node.environ)
    try:
        started = start_rule("remind", to=ZOE, data={"when": "Sunday"}, project=node.project)
        assert inbox(node, box, ZOE, 1) == ["See you Sunday."]
        assert node.ask("select event_uid from runs where uid = ?", started.run) == [
            (started.event,)
        ]
        with pytest.raises(Missing):
            start_rule("remnd", project=node.project)
        with pytest.raises(Conflict):
            start_rule("resting", project=node.project)
        with pytest.raises(UsageError):
            start_rule("remind", to=ZOE, data={"when": float("nan")}, project=node.project)
    finally:
        os.environ.clear()
        os.environ.update(environ)
    node.stop(signal.SIGKILL)
    node.start().wait_ready()
    states = "select state from runs where rule = 'remind' order by id"
    assert node.ask(states) == [("waiting",), ("waiting",)]
    assert inbox(node, box, ANN, 1) == ["See you Monday."]
    trace = shell(node, "trace", uid).stdout
    assert "rule.started" in trace
    assert "remind" in trace
