"""Fixtures of the scenarios: a receiver on a real socket with a client that writes raw bytes to it,
and stories of the real worker in virtual time."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import uvicorn

from ringback import ipc
from ringback.config import Settings
from ringback.receiver.app import application
from ringback.receiver.node import Node
from ringback.receiver.server import running
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.store.log import LogReader, LogRow
from ringback.twilio.signature import sign
from simulation import life
from simulation.faults import Faults, calm
from simulation.story import Story, quiet

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
SECRET = "s3cr3t-path-of-this-hook-4711"
BASE = "https://hooks.example.org"
FORM = "application/x-www-form-urlencoded"


class Reply(NamedTuple):
    """One parsed HTTP answer; status 0 when the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read one answer, by its content-length."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Reply(0, {}, b"")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            headers[name.lower()] = value
    if status.startswith("HTTP/1.1 100"):
        return await read_reply(reader)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(int(status.split()[1]), headers, body)


@dataclass
class Receiver:
    """A running receiver as a test sees it."""

    node: Node
    settings: Settings
    url: str
    ended: "asyncio.Task[int] | None" = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    async def raw(self, data: bytes, *, replies: int = 1, seconds: float = 30.0) -> list[Reply]:
        """Write bytes to a fresh connection and read that many answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        try:
            writer.write(data)
            async with asyncio.timeout(seconds):
                return [await read_reply(reader) for _ in range(replies)]
        finally:
            writer.close()

    async def send(
        self,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> Reply:
        """One request as it stands. Without a content type of its own it is a form."""
        (reply,) = await self.raw(self.bytes_of(path, body, headers, method))
        return reply

    def bytes_of(
        self,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> bytes:
        """The bytes of a request."""
        lines = {"Host": "hooks.example.org", "Content-Length": str(len(body))}
        if method == "POST":
            lines["Content-Type"] = FORM
        lines |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body

    async def post(
        self, path: str, fields: dict[str, str], *, token: str = TOKEN, base: str = BASE
    ) -> Reply:
        """A signed form POST, as Twilio sends it."""
        pairs = list({"AccountSid": ACCOUNT, **fields}.items())
        signature = sign(token, base + path, pairs)
        return await self.send(path, urlencode(pairs).encode(), {"X-Twilio-Signature": signature})

    def rows(self) -> list[LogRow]:
        """What is on disk."""
        reader = LogReader(self.settings.data / "log.db")
        try:
            return reader.after(0, 100_000)
        finally:
            reader.close()

    def count(self, *labels: str) -> int:
        """A counter of the receiver."""
        return self.node.counts.total(*labels)


@pytest.fixture
def receiver_settings(tmp_path: Path) -> Settings:
    """Settings of a receiver that serves: a token, a secret path, a free port."""
    return Settings(
        project=tmp_path,
        data=tmp_path / "data",
        port=0,
        public_url=BASE,
        account_sid=ACCOUNT,
        auth_tokens=(TOKEN,),
        hook_secret=SECRET,
        answer_seconds=0.5,
    )


@asynccontextmanager
async def by_protocol(settings: Settings) -> AsyncIterator[Receiver]:
    """A receiver as `ringback serve` runs it, without a worker."""
    async with running(settings) as (serving, ended):
        yield Receiver(serving.node, settings, serving.url, ended)


class Server(uvicorn.Server):
    """uvicorn that ends when it is asked to, and not at its next look, a tenth of a second later:
    that is half a minute of all tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.over.wait()


@asynccontextmanager
async def by_asgi(settings: Settings) -> AsyncIterator[Receiver]:
    """The ASGI application under uvicorn as everybody runs it, with its lifespan."""

    async def load() -> Settings:
        return settings

    app = application(load, worker=False)
    config = uvicorn.Config(app, port=0, loop="none", ws="none", lifespan="on", log_config=None)
    server = Server(config)
    serving = asyncio.create_task(server._serve())  # serve() would take this process's signals
    while not server.started and not serving.done():
        await asyncio.sleep(0.001)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Receiver(app.state.node, settings, f"http://127.0.0.1:{port}")
    finally:
        server.over.set()
        await serving


TRANSPORTS = {"protocol": by_protocol, "asgi": by_asgi}


@pytest.fixture
def transport() -> str:
    """How requests come to the receiver. A module that wants both ways makes a fixture of its own
    of this name, with both as its parameters."""
    return "protocol"


@pytest.fixture
async def start_receiver(transport: str) -> AsyncIterator[Callable[[Settings], Any]]:
    """Start receivers in this process; they end with the test."""
    async with AsyncExitStack() as stack:

        async def start(settings: Settings) -> Receiver:
            return await stack.enter_async_context(TRANSPORTS[transport](settings))

        yield start
    async with asyncio.timeout(30):  # whoever talked to it sees the end of the line
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)
    for _ in range(3):  # a transport closes one turn after its task
        await asyncio.sleep(0)


@pytest.fixture
async def receiver(
    start_receiver: Callable[[Settings], Any], receiver_settings: Settings
) -> Receiver:
    """A running receiver without a worker."""
    started: Receiver = await start_receiver(receiver_settings)
    return started


class FakeWorker:
    """What listens on the worker's socket in these tests: it notes the messages and answers calls
    as the test says. The socket and the protocol are the real ones."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.heard = asyncio.Event()
        self.twiml: str | None = "<Response><Say>worker</Say></Response>"
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, message: ipc.Message) -> ipc.Message | None:
        self.messages.append(dict(message))
        self.heard.set()
        if message["op"] != "answer":
            return {"ok": True}
        await self.gate.wait()
        return {"twiml": self.twiml}

    def ops(self, name: str) -> list[int]:
        """The ids of the messages of this kind."""
        return [message["id"] for message in self.messages if message["op"] == name]


@pytest.fixture
async def fake_worker(receiver_settings: Settings) -> AsyncIterator[FakeWorker]:
    """Somebody on the worker's socket of the receiver's data folder."""
    worker = FakeWorker()
    receiver_settings.data.mkdir(exist_ok=True)
    path = ipc.socket_path(receiver_settings.data)
    server = await ipc.serve(path, worker.handle)
    yield worker
    worker.gate.set()
    await server.close()
    path.unlink(missing_ok=True)


def count_rows(path: Path) -> int:
    """How many rows a log file holds, read by a connection of our own."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("select count(*) from log").fetchone()[0])


def as_json(reply: Reply) -> Any:
    """The JSON body of an answer."""
    return json.loads(reply.body)


@pytest.fixture(scope="module")
def twilio(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The card of a simulated Twilio, a process of its own; it runs at the module's SPEED."""
    speed = str(getattr(request.module, "SPEED", "1"))
    process = subprocess.Popen(
        [sys.executable, "-m", "ringback.cli.main", "simulator", "--port", "0", "--speed", speed],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.terminate()
    process.wait(10)
    process.stdout.close()


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Story]]:
    """Begin a story in which nothing goes wrong by itself, unless asked for: of the simulated
    project or of other `rules`, with some settings changed."""
    quiet()
    stories: list[Story] = []

    def begin(
        faults: Faults | None = None, *, seed: int = 1, rules: str = "", **changed: Any
    ) -> Story:
        folder = tmp_path / str(len(stories))
        folder.mkdir()
        if rules:
            (folder / "rules.yaml").write_text(rules)
            loaded = load_rules([folder / "rules.yaml"])
            assert loaded.problems == []
            given = life.Rules(RuleSet(loaded.rules, loaded.language))
            monkeypatch.setattr(life, "rules", lambda: given)
        settings = replace(life.settings_for(folder), **changed)
        stories.append(Story(seed, folder, faults=faults or calm(), settings=settings))
        return stories[-1]

    yield begin
    for story in stories:
        story.end()
