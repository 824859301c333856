"""Deployment page: its examples of proxies let through what the node takes, and nothing else."""

import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ringback.receiver.routes import JSON_BYTES

PAGE = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text("utf-8")
UNITS = {"m": 1024**2, "MiB": 1024**2, "MB": 1000**2}
"""How nginx and Caddy count: https://nginx.org/en/docs/syntax.html, and go-humanize."""


def example(heading: str) -> str:
    """The first block of code below a heading."""
    found = re.search(rf"^## {heading}\n.*?```\w*\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("heading", "pattern"),
    [("nginx", r"client_max_body_size (\d+)(\w+);"), ("Caddy", r"max_size (\d+)(\w+)")],
)
def test_the_largest_body_is_that_of_the_node(heading: str, pattern: str) -> None:
    """A smaller limit would refuse events of Event Streams, which Twilio does not send again."""
    found = re.search(pattern, example(heading))
    assert found is not None
    assert int(found[1]) * UNITS[found[2]] == JSON_BYTES


def test_caddy_passes_webhooks_and_links_on_and_nothing_else() -> None:
    """What is neither, /metrics above all, ends in a 404."""
    handled = re.findall(r"handle(?: (\S+))? \{\s*(\w+ \S+)", example("Caddy"))
    found = re.findall(r"@node path ([^#\n]*\S) *#", example("Caddy"))
    assert found == ["/twilio/* /hook/* /incident/*"]
    assert handled == [("@node", "reverse_proxy 127.0.0.1:8080"), ("", "respond 404")]


class Node(BaseHTTPRequestHandler):
    """Says which path came, and how many bytes."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        body = f"{self.path} {size}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[str]:
    """The address of a real nginx with the example of the page, but for its certificate."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = ThreadingHTTPServer(("127.0.0.1", 0), Node)
    serving = threading.Thread(target=node.serve_forever)
    serving.start()
    server = re.sub(r"\n *ssl_certificate[^\n]*", "", example("nginx"))
    server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    server = server.replace("127.0.0.1:8080", f"127.0.0.1:{node.server_address[1]}")
    temporary = "client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;"
    (tmp_path / "nginx.conf").write_text(
        "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; {temporary} uwsgi_temp_path u; scgi_temp_path s;\n{server} }}\n"
    )
    process = subprocess.Popen(
        ["nginx", "-p", str(tmp_path), "-c", "nginx.conf"], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "nginx did not start"
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        node.shutdown()
        serving.join()
        node.server_close()


def ask(url: str, body: bytes | None = None) -> tuple[int, str]:
    """What is answered: status and text."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_nginx_passes_webhooks_and_links_on_and_nothing_else(proxied: str) -> None:
    """Path and query come as they were called; what is inside stays there."""
    path = "/twilio/message?a=%2F&b=x%20y//z"
    assert ask(proxied + path, b"From=1") == (200, f"{path} 6")
    full = b"x" * JSON_BYTES
    assert ask(f"{proxied}/twilio/events", full) == (200, f"/twilio/events {JSON_BYTES}")
    assert ask(f"{proxied}/twilio/events", full + b"x")[0] == 413
    link = "/incident/inc_01/0123abcd"
    assert ask(proxied + link) == ask(proxied + link, b"") == (200, f"{link} 0")
    for inside in (
        "/incident",
        "/x/incident/a/b",
        "/metrics",
        "/readyz",
        "/healthz",
        "/",
        "/metrics/",
        "//metrics",
    ):
        assert ask(proxied + inside)[0] == 404, inside
