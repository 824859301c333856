"""Channels of notices: a real web server and a real mail server on the loopback take them."""

import asyncio
import base64
import json
import logging
import re
import socketserver
import ssl
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from ringback.actions import Notify
from ringback.errors import (
    BadRequest,
    GatewayError,
    ServerError,
    Unauthorized,
    Unreachable,
    UsageError,
)
from ringback.gateway import email
from ringback.gateway.channel_tables import Table
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound, signature

NOTICE = Notify(text="5 of 9 failed", via="ops", key="delivery/x", severity="error")


class MailServer(socketserver.ThreadingTCPServer):
    """Enough of SMTP to take an e-mail. `says` replaces the answer to a command."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.tls = tls
        self.says: dict[str, str] = {}
        self.refuses: dict[str, str] = {}
        self.emails: list[Message] = []
        self.logins: list[str] = []
        self.recipients: list[str] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class MailHandler(socketserver.StreamRequestHandler):
    """One connection."""

    server: MailServer

    def handle(self) -> None:
        """Talk until the other side is done."""
        self.say("220 box ready")
        while line := self.rfile.readline().decode().strip():
            command = line.partition(" ")[0].upper()
            answer = self.server.says.get(command, "")
            if answer:
                self.say(answer)
            elif command == "EHLO":
                secure = isinstance(self.connection, ssl.SSLSocket)
                words = ["box", *(["AUTH PLAIN"] if secure else []),
                         *(["STARTTLS"] if self.server.tls and not secure else [])]  # fmt: skip
                for index, word in enumerate(words):
                    self.say(f"250{' ' if index == len(words) - 1 else '-'}{word}")
            elif command == "STARTTLS":
                assert self.server.tls is not None
                self.say("220 go on")
                try:
                    self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
                except ssl.SSLError:  # the client does not trust us
                    return
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb")
            elif command == "AUTH":
                self.server.logins.append(base64.b64decode(line.split()[2]).decode())
                self.say("235 welcome")
            elif command == "RCPT":
                who = line.split("<")[1].rstrip(">")
                self.server.recipients.append(who)
                self.say(self.server.refuses.get(who, "250 fine"))
            elif command == "DATA":
                self.say("354 go")
                self.take()
            else:
                self.say("221 bye" if command == "QUIT" else "250 fine")
                if command == "QUIT":
                    return

    def finish(self) -> None:
        """Close what STARTTLS has put in the place of the plain connection."""
        super().finish()
        self.connection.close()

    def take(self) -> None:
        """The e-mail itself, up to its dot."""
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        self.server.emails.append(message_from_bytes(b"".join(lines)))
        self.say(self.server.says.get("AFTER", "250 taken"))

    def say(self, text: str) -> None:
        """One line to the other side."""
        self.wfile.write(text.encode() + b"\r\n")
        self.wfile.flush()


def serving(server: MailServer) -> Iterator[MailServer]:
    """Run it in a thread for the time of a test."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    """A mail server without TLS, such as a relay on the same machine."""
    yield from serving(MailServer())


@pytest.fixture
def secure(certificate: Path) -> Iterator[MailServer]:
    """A mail server that offers STARTTLS and wants a login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    yield from serving(MailServer(context))


class WebServer:
    """Takes requests and keeps them."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, dict[str, str], bytes]] = []
        self.status = b"202 Accepted"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, _, rest = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
        lines = [line.partition(": ") for line in rest.decode().split("\r\n") if line]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((first, headers, body))
        writer.write(b"HTTP/1.1 " + self.status + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


async def give(table: dict[str, Any], notice: Notify = NOTICE, *, port: int = 0) -> None:
    """Give one notice through a channel called `ops`."""
    async with Outbound(allow=(f"localhost:{port}",)) as outbound:
        channels = Channels({"ops": table}, outbound)
        assert channels.problems == []
        await channels.give(notice, "evt_1", "act_1")


async def given(web: WebServer, table: dict[str, Any], notice: Notify = NOTICE) -> None:
    """Give the notice while a web server listens; `PORT` in an address becomes its port."""
    server = await asyncio.start_server(web, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await give({**table, "url": table["url"].replace("PORT", str(port))}, notice, port=port)
    finally:
        server.close()
        await server.wait_closed()


async def test_pagerduty_gets_a_trigger_with_our_key() -> None:
    """The key is the dedup key, so that a storm is one incident there."""
    web = WebServer()
    await given(web, {"kind": "pagerduty", "routing_key": "R1", "url": "http://localhost:PORT/v2"})
    ((first, headers, body),) = web.requests
    assert first == b"POST /v2 HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "routing_key": "R1",
        "event_action": "trigger",
        "dedup_key": "delivery/x",
        "payload": {
            "summary": "5 of 9 failed",
            "source": "ringback",
            "severity": "error",
            "custom_details": {"event": "evt_1"},
        },
    }


async def test_a_named_webhook_is_signed() -> None:
    """By Standard Webhooks, with the channel's secret."""
    web = WebServer()
    await given(web, {"kind": "webhook", "secret": "s3", "url": "http://localhost:PORT/hook"})
    ((_, headers, body),) = web.requests
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature("s3", "act_1", stamp, body)
    assert headers["webhook-id"] == "act_1"
    assert json.loads(body)["text"] == "5 of 9 failed"


async def test_what_the_other_side_refuses_is_an_error() -> None:
    """The worker decides whether to try again."""
    web = WebServer()
    web.status = b"503 Busy"
    with pytest.raises(ServerError):
        await given(web, {"kind": "webhook", "url": "http://localhost:PORT/hook"})


async def test_a_private_address_needs_to_be_allowed() -> None:
    """Channels use the same guarded client as everything else."""
    with pytest.raises(BadRequest, match="allow list"):
        await give({"kind": "webhook", "url": "http://localhost:9/hook"}, port=1)


async def test_an_email_arrives(mailbox: MailServer) -> None:
    """Subject, recipients, the event to trace, and no way for a text to add a header."""
    smtp = f"smtp://localhost:{mailbox.port}"
    table = {"kind": "email", "smtp": smtp, "from": "a@example.org", "to": ["b@x.org", "c@x.org"]}
    text = "Line ö one\r\nBcc: evil@example.org\n.\nlast"
    await give(table, Notify(text=text, via="ops", key="k"))
    (message,) = mailbox.emails
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Bcc"] is None
    assert mailbox.recipients == ["b@x.org", "c@x.org"]
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().replace("\r\n", "\n").startswith(text.replace("\r\n", "\n"))
    assert "ringback trace evt_1" in body.decode()


def test_the_same_notice_has_the_same_message_id() -> None:
    """A mail reader sees that it came twice, and that another with the same words did not."""
    one, two, other = (
        email.compose("a@x.org", ["b@x.org"], "same", name=name, key="k", event_uid="e")
        for name in ("act_1", "act_1", "act_2")
    )
    assert one["Message-ID"] == two["Message-ID"] != other["Message-ID"]
    dated = parsedate_to_datetime(one["Date"])
    assert abs((datetime.now(UTC) - dated).total_seconds()) < 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ({"c@x.org": "550 no such user"}, BadRequest, "c@x.org .550 no such user.; 1 others"),
        ({"c@x.org": "451 greylisted"}, ServerError, "c@x.org .451 greylisted. for now"),
        ({"b@x.org": "451 a", "c@x.org": "550 b"}, ServerError, "b@x.org"),
        ({"b@x.org": "550 a", "c@x.org": "550 b"}, BadRequest, "b@x.org .550 a., c@x.org"),
    ],
    ids=["one for good", "one for now", "one of each", "all"],
)
async def test_a_recipient_who_is_refused_is_not_told(
    mailbox: MailServer, answers: dict[str, str], error: type[GatewayError], words: str
) -> None:
    """Not even when the others are: the action says who."""
    mailbox.refuses = answers
    table = {"kind": "email", "smtp": f"smtp://localhost:{mailbox.port}", "from": "a@example.org",
             "to": ["b@x.org", "c@x.org"]}  # fmt: skip
    with pytest.raises(error, match=words):
        await give(table, Notify(text="x", via="ops"))


async def test_who_has_a_mail_does_not_get_it_again(mailbox: MailServer) -> None:
    """It is tried again for the one who was refused for now; who never gets it is named."""
    table = {"kind": "email", "smtp": f"smtp://localhost:{mailbox.port}", "from": "a@example.org",
             "to": ["b@x.org", "c@x.org", "d@x.org"]}  # fmt: skip
    notice = Notify(text="x", via="ops")
    async with Outbound() as outbound:
        channels = Channels({"ops": table}, outbound)
        mailbox.refuses = {"c@x.org": "451 later", "d@x.org": "550 gone"}
        with pytest.raises(ServerError, match=r"c@x\.org"):
            await channels.give(notice, "evt_1", "act_1")
        mailbox.refuses, mailbox.recipients = {}, []
        with pytest.raises(BadRequest, match=r"d@x\.org .550 gone.; 2 others have it"):
            await channels.give(notice, "evt_1", "act_1")
        assert mailbox.recipients == ["c@x.org"]
        mailbox.recipients = []
        await channels.give(notice, "evt_1", "act_2")
        assert mailbox.recipients == ["b@x.org", "c@x.org", "d@x.org"]


async def test_the_end_of_a_matter_closes_its_incident() -> None:
    """By the key of the notice that opened it."""
    web = WebServer()
    table = {"kind": "pagerduty", "routing_key": "R1", "url": "http://localhost:PORT/v2"}
    await given(web, table)
    await given(web, table, replace(NOTICE, resolved=True))
    sent = [json.loads(body) for _, _, body in web.requests]
    assert [(each["event_action"], each["dedup_key"]) for each in sent] == [
        ("trigger", "delivery/x"),
        ("resolve", "delivery/x"),
    ]


def test_a_password_goes_through_tls_only(
    secure: MailServer, mailbox: MailServer, certificate: Path
) -> None:
    """With STARTTLS it logs in; a server without TLS never sees the password."""
    message = email.compose("a@x.org", ["b@x.org"], "text", name="act_1")
    trust = ssl.create_default_context(cafile=certificate)
    email.send(f"smtp://me%40x.org:p%3Aw@localhost:{secure.port}", message, tls=trust)
    assert secure.logins == ["\0me@x.org\0p:w"]
    assert len(secure.emails) == 1
    with pytest.raises(UsageError, match="offers no TLS"):
        email.send(f"smtp://me:pw@localhost:{mailbox.port}", message)
    assert (mailbox.logins, mailbox.emails) == ([], [])


def test_a_wrong_certificate_stops_it(secure: MailServer) -> None:
    """An authority that nobody trusts is no TLS."""
    with pytest.raises(Unreachable, match="certificate"):
        email.send(
            f"smtp://me:pw@localhost:{secure.port}",
            email.compose("a@x.org", ["b@x.org"], "text", name="act_1"),
        )
    assert secure.logins == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "answer", "error"),
    [
        ("MAIL", "451 later", ServerError),
        ("MAIL", "550 never", BadRequest),
        ("RCPT", "550 who?", BadRequest),
        ("AFTER", "452 full", ServerError),
        ("AFTER", "554 spam", BadRequest),
    ],
)
def test_what_a_mail_server_says_decides(
    mailbox: MailServer, command: str, answer: str, error: type[GatewayError]
) -> None:
    """4xx is worth another try, 5xx is final."""
    mailbox.says[command] = answer
    with pytest.raises(error):
        email.send(
            f"smtp://localhost:{mailbox.port}",
            email.compose("a@x.org", ["b@x.org"], "text", name="act_1"),
        )


def test_a_refused_login_says_so(secure: MailServer, certificate: Path) -> None:
    """With the server's words."""
    secure.says["AUTH"] = "535 bad credentials"
    trust = ssl.create_default_context(cafile=certificate)
    with pytest.raises(Unauthorized, match="bad credentials"):
        email.send(
            f"smtp://me:pw@localhost:{secure.port}",
            email.compose("a@x.org", ["b@x.org"], "text", name="act_1"),
            tls=trust,
        )


def test_nobody_there_wrote_nothing() -> None:
    """A port that nobody listens on: certainly not sent."""
    with pytest.raises(Unreachable) as caught:
        email.send("smtp://localhost:1", email.compose("a@x.org", ["b@x.org"], "x", name="act_1"))
    assert caught.value.wrote is False


async def test_apprise_is_used_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """And named when it is not."""
    table = {"kind": "apprise", "urls": ["json://localhost"]}
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match="pip install apprise"):
        await give(table)

    class Apprise:
        """What the library of this name offers."""

        heard: list[str] = []  # noqa: RUF012

        def add(self, url: str) -> bool:
            """Know an address."""
            return url.startswith("json")

        async def async_notify(self, *, body: str, title: str) -> bool:
            """Tell all of them."""
            self.heard.append(f"{title}: {body}")
            return len(self.heard) == 1

    library = ModuleType("apprise")
    library.Apprise = Apprise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apprise", library)
    await give(table)
    assert Apprise.heard == ["Ringback error: 5 of 9 failed"]
    with pytest.raises(ServerError):
        await give(table)
    with pytest.raises(UsageError, match="does not understand"):
        await give({"kind": "apprise", "urls": ["nothing"]})


async def test_the_log_needs_no_table(caplog: pytest.LogCaptureFixture) -> None:
    """At the level of the notice."""
    channels = Channels({}, Outbound())
    with caplog.at_level(logging.INFO):
        await channels.give(Notify(text="hello", severity="critical"), "evt_1", "act_1")
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == (
        "ringback.notice", logging.CRITICAL, "hello",
    )  # fmt: skip


async def test_an_unknown_channel_names_those_that_are_there() -> None:
    """So that the mend is in the message."""
    channels = Channels({"ops": {"kind": "pagerduty", "routing_key": "R"}}, Outbound())
    with pytest.raises(
        UsageError, match="no channel is called 'opps'; there are: log, webhook, ops"
    ):
        await channels.give(Notify(text="x", via="opps"), "evt_1", "act_1")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "pager"}, "[channels.ops] kind: is 'pager'; there are: "),
        ({}, "[channels.ops] kind: is missing"),
        ({"kind": "pagerduty"}, "[channels.ops] routing_key: is missing"),
        ({"kind": "webhook", "url": "ftp://x"}, "[channels.ops] url: must be an address"),
        ({"kind": "email", "smtp": "smtp://x", "from": "me", "to": []}, "[channels.ops] from: "),
        (
            {"kind": "webhook", "url": "https://x", "uri": "y"},
            "[channels.ops] uri: is no setting here; did you mean 'url'?",
        ),
        (
            {"kind": "pagerduty", "routing_key": {"$env": "NOPE"}},
            "[channels.ops] routing_key: the environment has no NOPE",
        ),
    ],
)
def test_a_wrong_table_is_told(table: dict[str, Any], words: str) -> None:
    """Channel, word and what is wrong."""
    channels = Channels({"ops": table}, Outbound())
    assert any(problem.startswith(words) for problem in channels.problems), channels.problems


def test_secrets_come_from_the_environment_and_names_are_not_taken() -> None:
    """`{"$env" = "NAME"}`; `log` and `webhook` are there already."""
    table = {"kind": "pagerduty", "routing_key": {"$env": "KEY"}}
    assert Channels({"ops": table}, Outbound(), environ={"KEY": "R"}).problems == []
    listed = {
        "kind": "email", "smtp": "smtp://x", "from": "a@example.org", "to": [{"$env": "KEY"}],
    }  # fmt: skip
    assert Channels({"ops": listed}, Outbound(), environ={"KEY": "b@example.org"}).problems == []
    taken = Channels({"log": table}, Outbound(), environ={"KEY": "R"})
    assert taken.problems == ["[channels.log]: the name is taken by a built-in channel"]


MANUAL = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()


@pytest.mark.parametrize("table", get_args(get_args(Table)[0]))
def test_every_kind_is_in_the_manual_with_its_words(table: type[BaseModel]) -> None:
    """One row of the table, with exactly the words that a table may have."""
    kind = get_args(table.model_fields["kind"].annotation)[0]
    row = re.search(rf"^\| `{kind}` \| (.*?) \|", MANUAL, re.MULTILINE)
    assert row, kind
    words = [field.alias or name for name, field in table.model_fields.items() if name != "kind"]
    assert sorted(re.findall(r"`(\w+)`", row[1])) == sorted(words)


def test_the_example_of_the_manual_is_right() -> None:
    """All its channels load."""
    example = re.search(r"```toml\n(.*?)```", MANUAL, re.DOTALL)
    assert example
    environ = {
        "PAGERDUTY_KEY": "R", "SMTP_URL": "smtp://u:p@x:587", "TICKETS_SECRET": "s",
        "CHAT_URL": "json://x",
    }  # fmt: skip
    tables = tomllib.loads(example[1])["channels"]
    (missing,) = Channels(tables, Outbound(), environ=environ).problems
    assert missing == ("[channels.chat] needs Apprise, which is not installed: pip install apprise")
    assert len(tables) == 4
