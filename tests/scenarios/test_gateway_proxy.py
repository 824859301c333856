"""Broken signatures behind a real nginx, in every way that proxies cause: the cause is named."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from twilio.request_validator import RequestValidator

from ringback.receiver import refusals
from ringback.twilio.explain import explain
from ringback.twilio.readings import Refused
from ringback.twilio.signature import Verifier

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")

AC = "AC" + "0a" * 16
TOKEN = "0123456789abcdeffedcba9876543210"
FIELDS = {
    "AccountSid": AC, "MessageSid": "SM" + "1b" * 16, "From": "+15551112222", "To": "+15553334444",
    "Body": "Grüße & more ", "ToCity": "", "ToState": "", "ToZip": "",
}  # fmt: skip


def dropped(*names: str) -> str:
    return urlencode({k: v for k, v in FIELDS.items() if k not in names})


# What stands in the location's block, per way of breaking a request.
WAYS = {
    "straight": "proxy_pass http://NODE;",
    "prefix": "proxy_pass http://NODE/;",
    "prefix-named": "proxy_pass http://NODE/; proxy_set_header X-Forwarded-Prefix /prefix-named;",
    "slash": "rewrite ^/slash(.*?)/?$ $1 break; proxy_pass http://NODE;",
    "rewritten": "rewrite ^ /twilio/message break; proxy_pass http://NODE;",
    "query-dropped": "rewrite ^/query-dropped(.*)$ $1 break; proxy_pass http://NODE$uri;",
    "query-added": "rewrite ^/query-added(.*)$ $1 break;"
    " proxy_pass http://NODE$uri?$args&utm_source=cdn;",
    "query-sorted": "rewrite ^/query-sorted(.*)$ $1 break;"
    " proxy_pass http://NODE$uri?a=$arg_a&b=$arg_b;",
    "no-signature": "proxy_pass http://NODE/; proxy_set_header X-Twilio-Signature '';",
    "cut-signature": "proxy_pass http://NODE/; proxy_set_header X-Twilio-Signature 'abc';",
    "blanks": f"proxy_pass http://NODE/; proxy_set_body '{dropped('ToCity', 'ToState', 'ToZip')}';",
    "trimmed": "proxy_pass http://NODE/; proxy_set_body '"
    + urlencode(FIELDS | {"Body": "Grüße & more"})
    + "';",
    "plus": "proxy_pass http://NODE/; proxy_set_body '"
    + urlencode({k: v.replace("+", " ") for k, v in FIELDS.items()})
    + "';",
    "tagged": "proxy_pass http://NODE/; proxy_set_body '" + urlencode(FIELDS | {"waf": "1"}) + "';",
    "redirect": "return 301 /straight-to$is_args$args;",
}


class Behind(ThreadingHTTPServer):
    """Stands where the node stands, and keeps each request as it came."""

    def __init__(self) -> None:
        kept = self.kept = list[tuple[str, str, dict[str, str], bytes]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                kept.append((self.command, self.path, headers, body))
                self.send_response(204)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Nginx:
    """nginx in front of a port on loopback, with one location per way."""

    def __init__(self, folder: Path, node: int) -> None:
        self.port = free_port()
        locations = "\n".join(
            f"location /{name}/ {{ {block.replace('NODE', f'127.0.0.1:{node}')} }}"
            for name, block in WAYS.items()
        )
        (folder / "nginx.conf").write_text(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\n"
            "events { worker_connections 64; }\n"
            "http { access_log off; client_body_temp_path b; proxy_temp_path p;\n"
            "fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
            f"server {{ listen 127.0.0.1:{self.port};\n"
            f"location = / {{ return 200; }}\n"
            f"location /straight-to {{ proxy_pass http://127.0.0.1:{node}/twilio/message; }}\n"
            f"location /twilio/ {{ proxy_pass http://127.0.0.1:{node}; }}\n"
            f"{locations} }} }}\n"
        )
        self.process = subprocess.Popen(
            ["nginx", "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/", timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "nginx did not start"
                assert self.process.poll() is None, "nginx ended"
                time.sleep(0.05)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    server = Behind()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def nginx(behind: Behind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    proxy = Nginx(tmp_path_factory.mktemp("nginx"), behind.server_address[1])
    yield proxy
    proxy.stop()


def webhook(url: str, fields: dict[str, str] | None = None) -> int:
    """Post as Twilio does, signed by the official library; follow redirects as it does."""
    given = FIELDS if fields is None else fields
    signature = RequestValidator(TOKEN).compute_signature(url, given)
    request = urllib.request.Request(
        url, urlencode(given).encode(),
        {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize(
    ("way", "path", "public", "known", "expected"),
    [
        ("straight", "/straight/twilio/message", "", False, []),
        ("straight", "/straight/twilio/message", "https", False, ["scheme"]),
        ("straight", "/straight/twilio/message", "localhost", False, ["host"]),
        ("straight", "/straight/twilio/message", "noport", True, ["port"]),
        ("prefix", "/prefix/twilio/message", "", True, ["prefix"]),
        ("prefix-named", "/prefix-named/twilio/message", "", False, ["prefix"]),
        ("prefix", "/prefix/twilio/message", "/prefix", False, []),
        ("slash", "/slash/twilio/message/", "/slash", False, ["slash"]),
        ("rewritten", "/rewritten/in.php", "", True, ["path"]),
        ("query-dropped", "/query-dropped/twilio/message?b=1&a=2", "/query-dropped", True,
         ["query-lost"]),
        ("query-added", "/query-added/twilio/message?b=1&a=2", "/query-added", False,
         ["query-added"]),
        ("query-sorted", "/query-sorted/twilio/message?b=1&a=2", "/query-sorted", False,
         ["query-order"]),
        ("no-signature", "/no-signature/twilio/message", "/no-signature", False, ["missing"]),
        ("cut-signature", "/cut-signature/twilio/message", "/cut-signature", False, ["malformed"]),
        ("blanks", "/blanks/twilio/message", "/blanks", False, ["blank-values"]),
        ("trimmed", "/trimmed/twilio/message", "/trimmed", False, ["trimmed"]),
        ("plus", "/plus/twilio/message", "/plus", False, ["plus"]),
        ("tagged", "/tagged/twilio/message", "/tagged", False, ["field-added"]),
        ("redirect", "/redirect/twilio/message", "/redirect", False, ["method"]),
        ("blanks", "/blanks/twilio/message", "https", True, ["scheme", "prefix", "blank-values"]),
    ],
)  # fmt: skip
def test_what_nginx_did_is_named(
    behind: Behind, nginx: Nginx, way: str, path: str, public: str, known: bool, expected: list[str]
) -> None:
    assert way in WAYS
    known_url = nginx.url + path
    assert webhook(known_url) == 204
    method, target, headers, body = behind.kept[-1]
    arrived, _, query = target.partition("?")
    public_url = {
        "https": nginx.url.replace("http:", "https:"),
        "localhost": nginx.url.replace("127.0.0.1", "localhost"),
        "noport": "http://127.0.0.1",
    }.get(public, nginx.url + public)
    params = parse_qsl(body.decode(), keep_blank_values=True) if method == "POST" else None
    verifier = Verifier({AC: (TOKEN,)})
    url = public_url + target
    proven = verifier.verify(url, params, b"", headers.get("x-twilio-signature", ""), account=AC)
    assert proven is (not expected)
    if not expected:
        return
    seen = Refused(
        method, arrived, query, headers, None if params is None else tuple(params), b"",
        dict(params or []).get("AccountSid", ""),
    )  # fmt: skip
    found = explain(
        seen, public_url=public_url, tokens={AC: (TOKEN,)}, known_urls=[known_url] if known else []
    )
    assert [cause.kind for cause in found] == expected
    if expected == ["scheme"]:
        assert found[0].mend == f"set RINGBACK_PUBLIC_URL to {nginx.url}/straight"


@pytest.mark.parametrize(
    ("public", "path", "known_url", "expected"),
    [
        ("https", "/twilio/message", False, "scheme"),
        pytest.param("", "/prefix/twilio/message", True, "prefix", marks=pytest.mark.slow),
    ],
)
def test_a_node_behind_nginx_says_why_it_refuses(
    tmp_path: Path, public: str, path: str, known_url: bool, expected: str
) -> None:
    port = free_port()
    (tmp_path / "n").mkdir()
    nginx = Nginx(tmp_path / "n", port)
    project = tmp_path / "p"
    project.mkdir()
    (project / "ringback.toml").write_text("")
    wrong = nginx.url.replace("http:", "https:") if public else nginx.url
    if known_url:
        # As `ringback connect` keeps it: the address that Twilio has.
        target = {"sid": "PN", "name": "x", "before": {}, "after": {"sms_url": nginx.url + path}}
        (project / "data").mkdir()
        (project / "data" / "wiring.json").write_text(json.dumps({"targets": [target]}))
    mend = f"set RINGBACK_PUBLIC_URL to {nginx.url}{'/prefix' if known_url else ''}"
    node = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "serve", "--no-worker"],
        cwd=project, stderr=subprocess.PIPE, text=True,
        env={
            "PATH": "/usr/bin:/bin", "TWILIO_ACCOUNT_SID": AC, "TWILIO_AUTH_TOKEN": TOKEN,
            "RINGBACK_PUBLIC_URL": wrong, "RINGBACK_PORT": str(port),
        },
    )  # fmt: skip
    lines: list[str] = []
    assert node.stderr is not None
    try:
        for line in node.stderr:
            if "serving on" in line:
                break
        reading = threading.Thread(target=lambda: lines.extend(node.stderr or ()), daemon=True)
        reading.start()
        assert webhook(f"{nginx.url}{path}") == 403
        deadline = time.monotonic() + 15
        while not refusals.read(project / "data"):
            assert time.monotonic() < deadline, lines
            time.sleep(0.05)
        (row,) = refusals.read(project / "data")
        assert [cause["kind"] for cause in row["causes"]] == [expected]
        assert row["causes"][0]["mend"] == mend
        assert TOKEN not in json.dumps(row)
    finally:
        node.terminate()
        node.wait(20)
        nginx.stop()
    reading.join(5)
    node.stderr.close()
    said = [line for line in lines if "was refused" in line]
    assert len(said) == 1
    assert mend in said[0]
