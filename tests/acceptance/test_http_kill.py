"""A web request whose worker is killed while it is asked: a text and a call get its answer all the
same, once."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

PERSON = "+14155550778"
RULES = """
version: 1
rules:
  - name: status
    on: [message.received, call.received]
    do:
      - choose: [{if: event.call_sid != '', do: [{say: One moment.}]}]
      - let: {code: "${{ random_digits(6) }}"}
      - http:
          url: SHOP/orders
          json: {code: "${{ code }}"}
          auth: shop
          as: order
          timeout: 60s
          retries: 3
          else: [{stop: the shop is silent}]
      - choose:
          - if: event.call_sid != ''
            do: [{say: "It is ${{ order.json.state }}."}]
          - else: [{reply: "It is ${{ order.json.state }}, ${{ order.json.code == code }}."}]
"""


class Shop(ThreadingHTTPServer):
    """A shop that is slow at the first request: until it is let go on, or left alone."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.asked: list[tuple[str, str]] = []
        self.came, self.slow = threading.Event(), threading.Event()


class _Counter(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        shop: Any = self.server
        said = json.loads(self.rfile.read(int(self.headers["content-length"])))
        shop.asked.append((self.headers["authorization"], self.headers["idempotency-key"]))
        first = len(shop.asked) == 1
        shop.came.set()
        if first:
            shop.slow.wait(60)
            return  # nobody listens any more
        body = json.dumps({"state": "sent", **said}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def speed() -> str:
    """The pause that a caller hears lasts as long as the node takes it to."""
    return "1"


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.slow.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def node(make_node: Callable[..., Any], shop: Shop) -> Any:
    """A node whose rule asks the shop, with credentials for it."""
    host = f"127.0.0.1:{shop.server_port}"
    table = f'[credentials.shop]\nhost = "{host}"\ntoken = {{"$env" = "SHOP_TOKEN"}}\n'
    files = {"rules/all.yaml": RULES.replace("SHOP", f"http://{host}"), "ringback.toml": table}
    node = make_node(files, RINGBACK_OUTBOUND_ALLOW=host, SHOP_TOKEN="canary-4711-secret").start()
    node.wait_ready()
    return node


def killed_while_asking(node: Any, shop: Shop) -> None:
    """kill -9 while the shop thinks, and wait for the next worker."""
    assert shop.came.wait(60)
    before = int(node.worker_pid())
    os.kill(before, signal.SIGKILL)
    node.until(lambda: node.ready() and node.worker_pid() not in (0, before))


@pytest.mark.slow
def test_a_text_gets_the_answer_once(node: Any, box: Any, shop: Shop) -> None:
    """What was worked out before is kept: the second request has the same code, and its answer
    agrees with it. The secret is in no file of the node."""
    box.text(PERSON, "status")
    killed_while_asking(node, shop)
    node.until(lambda: box.inbox(PERSON))
    node.until(lambda: node.ask("select state from runs") == [("done",)])
    assert [each["body"] for each in box.inbox(PERSON)] == ["It is sent, true."]
    assert [secret for secret, _ in shop.asked] == ["Bearer canary-4711-secret"] * 2
    assert len({key for _, key in shop.asked}) == 1
    for path in (node.project / "data").rglob("*.db*"):
        assert b"canary-4711" not in path.read_bytes()


@pytest.mark.slow
def test_a_caller_waits_on_the_line_and_hears_it(node: Any, box: Any, shop: Shop) -> None:
    number = box.facts["numbers"][0]
    call = box.http.post("/_sim/calls", json={"from": PERSON, "to": number}).json()["sid"]

    def heard() -> str:
        return json.dumps(box.http.get(f"/_sim/calls/{call}").json()["heard"])

    node.until(lambda: "One moment." in heard())
    killed_while_asking(node, shop)
    node.until(lambda: "It is sent." in heard())
    assert heard().index("One moment.") < heard().index("It is sent.")
    assert heard().count("It is sent.") == 1
