"""Fixtures of the simulator's tests: it as a real process, a web server, the official client."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import jsonschema
import pytest
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

PATIENCE = 60.0


@dataclass(frozen=True)
class Hook:
    """One webhook as it came over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    pairs: list[tuple[str, str]]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        return dict(self.pairs)


@dataclass(frozen=True)
class Page:
    """What the web server answers."""

    body: str | bytes = "<Response/>"
    status: int = 200
    type: str | None = "text/xml"
    headers: Mapping[str, str] = field(default_factory=dict)


class Site:
    """A web server of the tests: pages by path, and every request that came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page | Callable[[Hook], Page]] = {}
        self.hooks: list[Hook] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536  # head and body in one packet, or each answer waits 40 ms

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path, _, query = self.path.partition("?")
                text = query if self.command == "GET" else body.decode()
                pairs = parse_qsl(text, keep_blank_values=True)
                hook = Hook(self.command, path, dict(self.headers), pairs, body)
                site.hooks.append(hook)
                page = site.pages.get(path, Page())
                page = page(hook) if callable(page) else page
                data = page.body.encode() if isinstance(page.body, str) else page.body
                self.send_response(page.status)
                if page.type is not None:
                    self.send_header("Content-Type", page.type)
                for name, value in page.headers.items():
                    self.send_header(name, value)
                if page.status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if page.status != 204:
                    self.wfile.write(data)

            do_GET = do_POST = serve

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256

            def handle_error(self, *_: object) -> None:
                pass  # a caller that hangs up is part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, path: str, verbs: str) -> str:
        """Put a TwiML document on the web; its URL."""
        self.pages[path] = Page(f"<Response>{verbs}</Response>")
        return self.url + path

    def at(self, path: str) -> list[Hook]:
        """The requests to a path, in order of arrival."""
        return [hook for hook in self.hooks if hook.path == path]

    def clear(self) -> None:
        self.pages.clear()
        self.hooks.clear()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Auditor:
    """Holds every answer against Twilio's OpenAPI document, when there is one."""

    def __init__(self) -> None:
        name = os.environ.get("RINGBACK_TWILIO_OPENAPI")
        self.document = json.loads(Path(name).read_text()) if name else None
        self.checked = 0
        self.routes: list[tuple[re.Pattern[str], dict[str, Any]]] = []
        if self.document:
            _nullable(self.document)
            for template, item in self.document["paths"].items():
                pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
                self.routes.append((re.compile(pattern), item))
            # A literal path stands above one with a parameter.
            self.routes.sort(key=lambda entry: entry[0].pattern.count("[^/]+"))

    def check(self, method: str, path: str, status: int, text: str) -> None:
        if not self.document or not 200 <= status < 300 or not path.endswith(".json"):
            return
        item = next((item for pattern, item in self.routes if pattern.fullmatch(path)), None)
        assert item is not None, f"{path} is in no document"
        operation = item.get(method.lower())
        assert operation, f"{method} {path} is in no document"
        answers = operation["responses"]
        assert str(status) in answers, f"{method} {path} answers {status}, not {list(answers)}"
        content = answers[str(status)].get("content", {})
        if not content:
            assert not text, f"{method} {path} should have no body"
            return
        schema = content["application/json"]["schema"]
        data = json.loads(text)
        jsonschema.Draft7Validator(schema | {"components": self.document["components"]}).validate(
            data
        )
        known = _properties(schema, self.document)
        assert known is None or set(data) <= known, f"{path}: unknown {set(data) - known}"
        self.checked += 1


def _nullable(node: Any) -> None:
    """OpenAPI 3.0 says `nullable`; JSON Schema says a list of types."""
    if isinstance(node, dict):
        if node.pop("nullable", False):
            if isinstance(node.get("type"), str):
                node["type"] = [node["type"], "null"]
            if "enum" in node:
                node["enum"] = [*node["enum"], None]
        for value in list(node.values()):
            _nullable(value)
    elif isinstance(node, list):
        for value in node:
            _nullable(value)


def _properties(schema: dict[str, Any], document: dict[str, Any]) -> set[str] | None:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return set(schema["properties"]) if "properties" in schema else None


class Transport(TwilioHttpClient):
    """The official client's own HTTP client, pointed elsewhere and looked at, not changed."""

    def __init__(self, base: str, auditor: Auditor) -> None:
        super().__init__()
        self.base, self.auditor = base, auditor

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        url = url.replace("https://api.twilio.com", self.base)
        response: Response = super().request(method, url, *args, **kwargs)
        text = response.text or ""
        self.auditor.check(method, urlsplit(url).path, response.status_code, text)
        return response


@dataclass
class Box:
    """The box, as a test uses it."""

    card: dict[str, Any]
    http: httpx.Client
    auditor: Auditor

    @property
    def base(self) -> str:
        return str(self.card["base_url"])

    @property
    def sender(self) -> str:
        return str(self.card["numbers"][0])

    @property
    def account(self) -> str:
        return f"/2010-04-01/Accounts/{self.card['account_sid']}"

    def control(self, path: str, method: str = "POST", **data: Any) -> Any:
        """One request by hand; its JSON. `from_` is written `from`."""
        body = {name.rstrip("_"): value for name, value in data.items()}
        url = f"/_sim/{quote(path)}"
        kwargs: dict[str, Any] = {} if method == "GET" else {"json": body}
        answer = self.http.request(method, url, **kwargs)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def look(self, path: str) -> Any:
        return self.control(path, "GET")

    def run(self, seconds: float = 0.0) -> None:
        """Let virtual time pass."""
        self.control("clock", advance=seconds)

    def finish(self) -> None:
        """Let everything happen that is still to come."""
        self.control("clock", idle=True)

    def text(self, sender: str, to: str, body: str = "", **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.control("messages", from_=sender, to=to, body=body, **more)
        return found

    def number(self, **urls: str) -> None:
        """Set the webhooks of our first number."""
        self.control(f"numbers/{self.sender}", **urls)

    def fault(self, on: str, do: str, **more: Any) -> None:
        self.control("faults", on=on, do=do, **more)

    def ledger(self, kind: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/_sim/ledger", params={"kind": kind}).json()[
            "entries"
        ]
        return found

    def rest(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """A bare request below the account."""
        auth = (self.card["account_sid"], self.card["auth_token"])
        return self.http.request(method, f"{self.account}/{path}", auth=auth, **kwargs)

    def client(self) -> Client:
        return Client(
            self.card["account_sid"],
            self.card["auth_token"],
            http_client=Transport(self.base, self.auditor),
        )


def start(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a box; the process and the line that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "simulator", *arguments],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def stop(process: subprocess.Popen[str]) -> int:
    process.terminate()
    code = process.wait(PATIENCE)
    assert process.stdout is not None
    process.stdout.close()
    return code


@pytest.fixture(scope="session")
def auditor() -> Auditor:
    return Auditor()


@pytest.fixture(scope="session")
def one_site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def site(one_site: Site) -> Site:
    one_site.clear()
    return one_site


@pytest.fixture(scope="session")
def stepped(auditor: Auditor) -> Iterator[Box]:
    process, card = start("--stepped")
    with httpx.Client(base_url=card["base_url"], timeout=PATIENCE) as http:
        yield Box(card, http, auditor)
    assert stop(process) == 0
    assert auditor.checked or not auditor.document


@pytest.fixture
def box(stepped: Box) -> Box:
    """A box with a stepped clock, as new."""
    stepped.control("reset")
    return stepped


@pytest.fixture
def client(box: Box) -> Client:
    return box.client()


@pytest.fixture
def make_box(auditor: Auditor) -> Iterator[Callable[..., Box]]:
    """Start further boxes with other flags."""
    processes: list[subprocess.Popen[str]] = []
    clients: list[httpx.Client] = []

    def make(*arguments: str) -> Box:
        process, card = start(*arguments)
        processes.append(process)
        http = httpx.Client(base_url=card["base_url"], timeout=PATIENCE)
        clients.append(http)
        return Box(card, http, auditor)

    yield make
    for http in clients:
        http.close()
    for process in processes:
        stop(process)


@pytest.fixture
def page() -> type[Page]:
    return Page
