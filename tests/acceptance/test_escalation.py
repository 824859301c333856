"""Escalation in real processes: the link of a notice, and kill -9 between two steps."""

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from acceptance.conftest import RINGBACK

ANNA, CUSTOMER = "+12025550101", "+12025550199"
RULES = """
version: 1
rules:
  - name: alarm
    on: message.received
    do: [{notify: {text: Somebody wrote., via: tickets}}]
"""
PROJECT = """
[channels.tickets]
kind = "webhook"
url = "%(url)s/tickets"

[channels.chat]
kind = "webhook"
url = "%(url)s/chat"

[channels.anna]
kind = "text"
to = "+12025550101"

[escalations.oncall]
incidents = "channel"
steps = [{tell = "chat", wait = "%(wait)s"}, {tell = "anna"}]
"""
LINK = re.compile(r"Acknowledge: http://[^/]+(\S+)")


class Site(ThreadingHTTPServer):
    """Takes what is posted to `/chat`, and refuses everything else."""

    def __init__(self) -> None:
        taken = self.taken = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/chat":
                    taken.append(json.loads(body)["text"])
                self.send_response(200 if self.path == "/chat" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def links(self) -> list[str]:
        """The paths of the links that it was given."""
        return [found[1] for text in self.taken if (found := LINK.search(text))]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def node_with(make_node: Callable[..., Any], site: Site, wait: str) -> Any:
    """A node whose channel for tickets does not work, which is an incident."""
    host = f"127.0.0.1:{site.server_address[1]}"
    toml = PROJECT % {"url": f"http://{host}", "wait": wait}
    files = {"rules/rules.yaml": RULES, "ringback.toml": toml}
    return make_node(files, RINGBACK_OUTBOUND_ALLOW=host).start()


@pytest.mark.slow
def test_the_button_behind_the_link_acknowledges(
    make_node: Callable[..., Any], box: Any, site: Site
) -> None:
    """A look at the page does not, nor a link of other letters; it says nothing of the incident but
    its kind. The second press changes nothing."""
    node = node_with(make_node, site, "1h")
    box.text(CUSTOMER, "hello")
    node.until(site.links)
    (path,) = site.links()
    known = "select acked_by from incidents where kind = 'channel' and acked_at is not null"
    page = node.http.get(f"{node.url}{path}")
    assert (page.status_code, "<button>" in page.text) == (200, True)
    assert "Kind channel, since 2" in page.text
    assert "tickets" not in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    node.http.head(f"{node.url}{path}")
    other = path[:-1] + ("0" if path[-1] != "0" else "1")
    assert node.http.post(f"{node.url}{other}").status_code == 404
    assert node.http.post(f"{node.url}{path.replace('inc_0', 'inc_1')}").status_code == 404
    assert node.ask(known) == []
    for _ in range(2):
        page = node.http.post(f"{node.url}{path}")
        assert (page.status_code, "<button>" in page.text) == (200, False)
        assert node.ask(known) == [("link",)]


@pytest.mark.slow
def test_a_test_of_a_channel_reaches_the_person(
    make_node: Callable[..., Any], box: Any, site: Site
) -> None:
    """No node runs; the text and the call leave through the gateway."""
    toml = PROJECT % {"url": "http://127.0.0.1:9", "wait": "1h"}
    bell = f'[channels.bell]\nkind = "call"\nto = "{ANNA}"\n'
    node = make_node({"rules/rules.yaml": RULES, "ringback.toml": toml + bell})
    node.run([*RINGBACK, "channels", "test", "anna", "bell"])
    assert node.process.wait(60.0) == 0
    (text,) = node.until(lambda: box.inbox(ANNA))
    assert "This is a test of the channel anna" in text["body"]
    account = box.facts["account_sid"]
    listed = box.http.get(
        f"/2010-04-01/Accounts/{account}/Calls.json", auth=(account, box.facts["auth_token"])
    )
    assert [call["to"] for call in listed.json()["calls"]] == [ANNA]


@pytest.mark.slow
def test_a_step_behind_a_kill_comes_once(
    make_node: Callable[..., Any], box: Any, site: Site
) -> None:
    """All processes end by kill -9 while the second step is waited for. Anna is told a minute after
    the first step, once, and her "ok" is taken."""
    node = node_with(make_node, site, "1m")
    box.text(CUSTOMER, "hello")
    node.until(site.links)
    worker = node.worker_pid()
    node.stop(signal.SIGKILL)
    node.until(lambda: not _alive(worker))
    node.start()
    node.until(lambda: box.inbox(ANNA), timeout=120.0)
    box.text(ANNA, "ok")
    node.until(lambda: len(box.inbox(ANNA)) > 1)
    told, answer = (each["body"] for each in box.inbox(ANNA))
    assert " Reply OK " in told
    assert " is acknowledged: " in answer
    assert len(site.links()) == 1


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
