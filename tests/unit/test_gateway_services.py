"""Channels of chats and pagers: a stand-in of each service on the loopback judges what it gets.

It refuses what the service's documentation does not allow, as the service would.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ringback.actions import SEVERITIES, Notify
from ringback.cli.main import run
from ringback.errors import (
    BadRequest,
    GatewayError,
    RateLimited,
    ServerError,
    Unreachable,
    UsageError,
)
from ringback.gateway.channels import Channels
from ringback.gateway.pool import Limits
from ringback.gateway.safe_http import LIMITS, Outbound
from ringback.runtime import REAL
from ringback.store.interface import Journal
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.worker.recovery.channel_watch import ChannelWatch
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.send.notices import Notices

NASTY = "<!channel> @everyone & *5 of 9* failed\n[link](https://x.org)"
TELEGRAM = "123456:AAH_of-a-bot"

Wrong = Callable[[str, dict[str, str], Any], str]
"""What is wrong with a request (path, headers, body); empty when nothing is."""


def slack(path: str, headers: dict[str, str], body: Any) -> str:
    """https://api.slack.com/messaging/webhooks: `&`, `<` and `>` are control characters."""
    bare = re.sub(r"&(?:amp|lt|gt);", "", body.get("text", ""))
    good = path == "/services/T0/B0/xyz" and set(body) == {"text"} and body["text"]
    return "" if good and not re.search("[&<>]", bare) else "invalid_payload"


def discord(path: str, headers: dict[str, str], body: Any) -> str:
    """https://discord.com/developers/docs/resources/webhook#execute-webhook"""
    good = path == "/api/webhooks/1/x" and 0 < len(body.get("content", "")) <= 2000
    return "" if good and body["allowed_mentions"] == {"parse": []} else "50006"


def teams(path: str, headers: dict[str, str], body: Any) -> str:
    """A workflow takes messages with one adaptive card."""
    (attachment,) = body.get("attachments", [{}])
    card = attachment.get("content", {})
    good = (
        body.get("type") == "message"
        and attachment.get("contentType") == "application/vnd.microsoft.card.adaptive"
        and card.get("type") == "AdaptiveCard"
        and card.get("version") == "1.4"
        and [each["type"] for each in card["body"]] == ["TextBlock"]
    )
    return "" if good and path == "/workflows/1?sig=s" else "BadRequest"


def opsgenie(path: str, headers: dict[str, str], body: Any) -> str:
    """https://docs.opsgenie.com/docs/alert-api"""
    if headers.get("authorization") != "GenieKey K1":
        return "Could not authenticate"
    if path == "/v2/alerts":
        good = 0 < len(body["message"]) <= 130 and re.fullmatch("P[1-5]", body["priority"])
        known = {"message", "alias", "description", "priority", "source", "details"}
        return "" if good and set(body) <= known and body["alias"] else "Request body is invalid"
    good = re.fullmatch(r"/v2/alerts/[^/?]+/close\?identifierType=alias", path)
    return "" if good and set(body) <= {"user", "source", "note"} else "Request body is invalid"


def ntfy(path: str, headers: dict[str, str], body: Any) -> str:
    """https://docs.ntfy.sh/publish/#publish-as-json: to the root, not to the topic."""
    good = path == "/" and re.fullmatch(r"[-_A-Za-z0-9]{1,64}", body.get("topic", ""))
    meant = body.get("priority") in range(1, 6) and isinstance(body.get("tags"), list)
    allowed = headers.get("authorization") == "Bearer tk_1"
    return "" if good and meant and allowed else "40024"


def telegram(path: str, headers: dict[str, str], body: Any) -> str:
    """https://core.telegram.org/bots/api#sendmessage"""
    good = path == f"/bot{TELEGRAM}/sendMessage" and 0 < len(body.get("text", "")) <= 4096
    return "" if good and body.get("chat_id") and "parse_mode" not in body else "Bad Request"


SERVICES: dict[str, tuple[dict[str, Any], Wrong, str]] = {
    "slack": ({"url": "http://localhost:PORT/services/T0/B0/xyz"}, slack, "200 OK"),
    "discord": ({"url": "http://localhost:PORT/api/webhooks/1/x"}, discord, "204 No Content"),
    "teams": ({"url": "http://localhost:PORT/workflows/1?sig=s"}, teams, "202 Accepted"),
    "opsgenie": ({"api_key": "K1", "url": "http://localhost:PORT"}, opsgenie, "202 Accepted"),
    "ntfy": (
        {"topic": "alerts", "token": "tk_1", "url": "http://localhost:PORT"}, ntfy, "200 OK",
    ),
    "telegram": (
        {"token": TELEGRAM, "chat": "-1001", "url": "http://localhost:PORT"}, telegram, "200 OK",
    ),
}  # fmt: skip


@dataclass
class StandIn:
    """One service: what it got, and what it answers instead of judging it."""

    wrong: Wrong
    good: str
    instead: str = ""
    got: list[tuple[str, Any]] = field(default_factory=list)
    port: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, _, value in lines}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            path = head.split()[1]
            self.got.append((path, body))
            if self.instead == "silence":
                await reader.read()
                return
            wrong = self.wrong(path, headers, body)
            answer = self.instead or (f"400 {wrong}" if wrong else self.good)
            head = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
        finally:
            writer.close()


async def at_service(kind: str, do: Callable[[StandIn, dict[str, Any]], Awaitable[None]]) -> None:
    """Do something with the stand-in of a service and the table of a channel to it."""
    table, wrong, good = SERVICES[kind]
    service = StandIn(wrong, good)
    server = await asyncio.start_server(service, "localhost", 0)
    service.port = server.sockets[0].getsockname()[1]
    address = table["url"].replace("PORT", str(service.port))
    try:
        await do(service, {"kind": kind, **table, "url": address})
    finally:
        server.close()
        await server.wait_closed()


async def give(service: StandIn, table: dict[str, Any], *notices: Notify) -> None:
    """Give notices through a channel with this table."""
    short = Limits(connect=5.0, read=0.2, total=0.2, body=1024)
    limits = short if service.instead == "silence" else LIMITS
    async with Outbound(allow=(f"localhost:{service.port}",), limits=limits) as outbound:
        channels = Channels({"ops": table}, outbound)
        assert channels.problems == []
        for number, notice in enumerate(notices):
            await channels.give(notice, "evt_1", f"act_{number}")


@pytest.mark.parametrize("kind", SERVICES)
async def test_a_service_takes_a_notice_of_every_sort(kind: str) -> None:
    """However bad, however long, the end of a matter, and words that would mean something to it."""
    notices = [
        *(Notify(NASTY, "ops", key="delivery/x y", severity=each) for each in SEVERITIES),
        Notify("x" * 30_000, "ops"),
        Notify("over", "ops", key="delivery/x y", resolved=True),
    ]

    async def do(service: StandIn, table: dict[str, Any]) -> None:
        await give(service, table, *notices)
        assert len(service.got) == len(notices)
        said = json.dumps(service.got)
        assert "5 of 9" in said
        assert "over" in said

    await at_service(kind, do)


@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("400 bad", BadRequest), ("403 no", BadRequest), ("429 slow down", RateLimited),
        ("503 busy", ServerError), ("302 elsewhere", BadRequest), ("silence", Unreachable),
    ],
)  # fmt: skip
async def test_what_a_service_refuses_or_leaves_unanswered_is_an_error_without_its_secret(
    kind: str, answer: str, error: type[GatewayError]
) -> None:
    async def do(service: StandIn, table: dict[str, Any]) -> None:
        service.instead = answer
        with pytest.raises(error) as raised:
            await give(service, table, Notify("x", "ops"))
        for secret in (TELEGRAM, "xyz", "K1", "sig=s", "tk_1"):
            assert secret not in str(raised.value)

    await at_service(kind, do)


async def test_a_pager_is_told_the_end_by_the_same_alias() -> None:
    async def do(service: StandIn, table: dict[str, Any]) -> None:
        notices = (Notify("a", "ops", key="k/1"), Notify("b", "ops", key="k/1", resolved=True))
        await give(service, table, *notices)
        (_, alert), (path, _) = service.got
        assert alert["alias"] == "k/1"
        assert path == "/v2/alerts/k%2F1/close?identifierType=alias"

    await at_service("opsgenie", do)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "slack"}, r"url: "),
        ({"kind": "telegram", "token": "abc", "chat": "1"}, "token: must be the token of a bot"),
        ({"kind": "telegram", "token": TELEGRAM, "chat": "Ann"}, "chat: must be the id of a chat"),
        ({"kind": "ntfy", "topic": "a b"}, "topic: must be letters, digits"),
        ({"kind": "opsgenie", "api_key": ""}, "api_key"),
        ({"kind": "discord", "url": "x"}, "url: must be an address that begins with https://"),
        ({"kind": "pigeon"}, "kind"),
    ],
)
def test_a_table_that_cannot_work_says_where(table: dict[str, Any], words: str) -> None:
    (problem,) = Channels({"ops": table}, Outbound()).problems
    assert problem.startswith("[channels.ops] ")
    assert re.search(words, problem), problem


def project(folder: Path, tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with these channels, in which we are."""
    (folder / "ringback.toml").write_text(tables)
    monkeypatch.chdir(folder)


async def test_channels_test_says_what_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One takes it, one is refused, of one the name is wrong: each is said, and the code is 1."""

    async def do(service: StandIn, table: dict[str, Any]) -> None:
        good = f'url = "{table["url"]}"'
        bad = good.replace("/services", "/wrong")
        tables = f'[channels.a]\nkind = "slack"\n{good}\n[channels.b]\nkind = "slack"\n{bad}\n'
        project(tmp_path, tables, monkeypatch)
        monkeypatch.setenv("RINGBACK_OUTBOUND_ALLOW", f"localhost:{service.port}")
        for words, code in ((["a"], 0), (["b"], 1), (["--all"], 1), (["c"], 2), ([], 2)):
            assert await asyncio.to_thread(run, ["channels", "test", *words]) == code, words
        said = capsys.readouterr()
        assert said.out.count("✓ a (slack): took it in") == 2
        assert said.out.count("✗ b (slack): localhost answered 400") == 2
        assert "no channel is called 'c'; there are: log, webhook, a, b" in said.err
        assert "This is a test of the channel a" in service.got[0][1]["text"]

    await at_service("slack", do)


RULES = """version: 1
rules:
  - name: told
    on: message.received
    do: [{notify: {text: hi, via: a}}]
"""
CODE = """from ringback import notify, rule


@rule("message.received")
def one(event):
    return notify("x", via="pagr")


@rule("message.received")
def two(event):
    return notify("x", via="a")
"""


@pytest.mark.slow
def test_channels_list_and_check_know_every_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who uses a channel; and of a misspelt one, in rules or in code, the place and the name."""
    project(tmp_path, '[channels.a]\nkind = "ntfy"\ntopic = "t"\n', monkeypatch)
    for name, content in (("rules/all.yaml", RULES), ("plugins/shop.py", CODE)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
    assert run(["channels", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["name"], row["kind"], row["where"]) for row in rows] == [
        ("log", "built in", "the log"), ("webhook", "built in", "as the notice says"),
        ("a", "ntfy", "ntfy.sh, topic t"),
    ]  # fmt: skip
    assert rows[2]["used_by"] == ["plugin shop", "rule told"]
    assert run(["check"]) == 1
    said = capsys.readouterr().out
    assert "plugins/shop.py:6:28" in said
    assert "no channel is called 'pagr'" in said


@dataclass
class Watched:
    """The watch over channels, as a worker has it; `again` is that of the next one."""

    services: dict[str, StandIn]
    notices: Notices
    journal: Journal

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        """A worker begins."""
        self.watch = ChannelWatch(
            self.notices.give, tuple(self.services), journal=self.journal,
            incidents=Incidents(self.journal, REAL), runtime=REAL,
        )  # fmt: skip

    async def give(self, via: str = "a") -> bool:
        """Give a notice; whether it was taken."""
        try:
            return await self.watch.give(Notify("x", via), "", REAL.uid("act")) == "sent"
        except (GatewayError, UsageError):
            return False

    async def open(self) -> list[str]:
        """The incidents that are open."""
        return await self.journal.incidents.open_keys("channel")

    def told(self, name: str) -> list[str]:
        """What a channel was told of others."""
        texts = [body["text"].partition(": ")[2] for _, body in self.services[name].got]
        return [text.partition(":")[0] for text in texts if text != "x"]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A journal, two channels `a` and `b` with a stand-in each, and the watch over them."""
    services = {name: StandIn(slack, "200 OK") for name in ("a", "b")}
    servers = [await asyncio.start_server(each, "localhost", 0) for each in services.values()]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    tables = {
        name: {"kind": "slack", "url": f"http://localhost:{port}/services/T0/B0/xyz"}
        for name, port in zip(services, ports, strict=True)
    }
    Log.open(tmp_path / "log.db").close()
    store = open_store(tmp_path, threaded=False)
    async with Outbound(allow=("localhost",)) as outbound:
        notices = Notices(outbound, Channels(tables, outbound), REAL)
        yield Watched(services, notices, store.journal)
    for server in servers:
        server.close()
    store.close()


async def test_a_channel_that_fails_is_told_on_the_others_once(watched: Watched) -> None:
    """And that it delivers again, also by the worker after the next restart."""
    assert await watched.give()
    watched.services["a"].instead = "404 Not Found"
    for _ in range(3):
        assert not await watched.give()
    assert await watched.open() == ["channel:a"]
    assert watched.told("b") == ["the channel a does not deliver"]
    watched.again()
    assert not await watched.give()
    assert len(watched.told("b")) == 1
    watched.services["a"].instead = ""
    assert await watched.give()
    assert await watched.open() == []
    assert watched.told("b")[1:] == ["the channel a delivers again"]
    assert watched.told("a") == []


async def test_what_may_pass_is_an_incident_when_it_goes_on(watched: Watched) -> None:
    """A good one in between begins anew."""
    for answers, opened in (("503", []), ("503", []), ("", []), ("503", []), ("429", []),
                            ("503", ["channel:a"])):  # fmt: skip
        watched.services["a"].instead = answers and f"{answers} later"
        await watched.give()
        assert await watched.open() == opened


async def test_one_that_fails_too_is_not_asked_to_tell(watched: Watched) -> None:
    for name in ("b", "a"):
        watched.services[name].instead = "410 Gone"
        await watched.give(name)
    assert await watched.open() == ["channel:b", "channel:a"]
    assert watched.told("a") == ["the channel b does not deliver"]
    assert watched.told("b") == []


async def test_a_channel_that_is_not_there_is_told_on_all(watched: Watched) -> None:
    """A plugin may name it by what it computes; the next start forgets it."""
    await watched.give("pagr")
    assert await watched.open() == ["channel:pagr"]
    assert watched.told("a") == watched.told("b") == ["the channel pagr does not deliver"]
    watched.again()
    await watched.give()
    assert await watched.open() == []
