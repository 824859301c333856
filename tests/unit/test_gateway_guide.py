"""Every call of the API reference, through Maton and direct: the exact request that leaves, and
whether Twilio's own OpenAPI document accepts it (with RINGBACK_TWILIO_OPENAPI set)."""

import asyncio
import base64
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import jsonschema
import pytest

from ringback.errors import UsageError
from ringback.gateway.catalogue import OPERATIONS, USAGE_SPANS, Operation, text_of
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.sync import SyncGateway

AC = "AC" + "0a" * 16
OTHER = "AC" + "0b" * 16
SM, CA, PN, AP, QU, AD, ME, RE, NO, CF, MG = (
    prefix + "1b" * 16
    for prefix in ("SM", "CA", "PN", "AP", "QU", "AD", "ME", "RE", "NO", "CF", "MG")
)
KEY = "maton-key"
TOKEN = "t" * 32
ROWS = (
    "accounts", "messages", "calls", "incoming_phone_numbers", "applications", "queues",
    "addresses", "usage_records", "media_list", "recordings", "notifications", "events",
    "queue_members", "conferences", "participants",
)  # fmt: skip
MADE = {
    "Messages": SM, "Calls": CA, "IncomingPhoneNumbers": PN, "Applications": AP, "Queues": QU,
    "Addresses": AD, "Recordings": RE, "Accounts": OTHER,
}  # fmt: skip


class Recorder:
    """A server that keeps each request and answers each one well."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, list[tuple[str, str]], dict[str, str]]] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                self._answer(*await self._read(reader), writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, str]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", head)
        body = (await reader.readexactly(int(length[1]))).decode() if length else ""
        first, *rest = head.strip().split("\r\n")
        method, target, _ = first.split()
        path, _, query = target.partition("?")
        headers = {name.lower(): value for name, _, value in (h.partition(": ") for h in rest)}
        form = parse_qsl(body or query, keep_blank_values=True, strict_parsing=bool(body or query))
        self.seen.append((method, path, form, headers))
        return method, path

    def _answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> None:
        last = path.removesuffix(".json").rpartition("/")[2]
        data: dict[str, Any] = {name: [] for name in ROWS} | {"next_page_uri": None}
        if method == "POST":
            data = {"sid": MADE.get(last, last), "account_sid": AC}
        elif method == "GET" and re.fullmatch("[A-Z]{2}[0-9a-f]{32}", last):
            data = {"sid": last, "account_sid": AC}
        body = b"" if method == "DELETE" else json.dumps(data).encode()
        status = 204 if method == "DELETE" else 201 if method == "POST" else 200
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    subject = Recorder()
    server = await asyncio.start_server(subject.serve, "127.0.0.1", 0)
    subject.port = server.sockets[0].getsockname()[1]
    yield subject
    server.close()
    subject.end()


Work = Callable[[Gateway], Awaitable[object]]


async def drained(source: AsyncIterator[object]) -> list[object]:
    return [item async for item in source]


ADDRESS = {
    "friendly_name": "Office", "street": "123 Main St", "city": "San Francisco", "region": "CA",
    "postal_code": "94105", "iso_country": "US", "customer_name": "Acme Inc",
}  # fmt: skip

# name, what is called, method, path below the account, parameters
GUIDE: list[tuple[str, Work, str, str, list[tuple[str, str]]]] = [
    ("list accounts", lambda g: drained(g.accounts.list()), "GET", "/Accounts.json", []),
    ("get account", lambda g: g.accounts.fetch(AC), "GET", f"/Accounts/{AC}.json", []),
    (
        "list messages",
        lambda g: drained(
            g.messages.list(
                page_size=50, to="+15559876543", from_="+15551234567", date_sent=date(2026, 2, 9)
            )
        ),
        "GET",
        "Messages",
        [
            ("To", "+15559876543"),
            ("From", "+15551234567"),
            ("DateSent", "2026-02-09"),
            ("PageSize", "50"),
        ],
    ),
    ("get message", lambda g: g.messages.fetch(SM), "GET", f"Messages/{SM}", []),
    (
        "send message",
        lambda g: g.messages.create(
            to="+15559876543", from_="+15551234567", body="Hello from Twilio!"
        ),
        "POST",
        "Messages",
        [("To", "+15559876543"), ("From", "+15551234567"), ("Body", "Hello from Twilio!")],
    ),
    (
        "send by a service, with media and callback",
        lambda g: g.messages.create(
            to="+1555",
            messaging_service_sid=MG,
            body="ü & +",
            media_url=["https://e.com/1.png", "https://e.com/2.png"],
            status_callback="https://e.com/s?a=1#rc=3",
            send_at=datetime(2026, 3, 1, 9, tzinfo=UTC),
            schedule_type="fixed",
            smart_encoded=True,
            content_variables={"1": "Ann"},
        ),
        "POST",
        "Messages",
        [
            ("To", "+1555"),
            ("MessagingServiceSid", MG),
            ("Body", "ü & +"),
            ("MediaUrl", "https://e.com/1.png"),
            ("MediaUrl", "https://e.com/2.png"),
            ("StatusCallback", "https://e.com/s?a=1#rc=3"),
            ("SendAt", "2026-03-01T09:00:00Z"),
            ("ScheduleType", "fixed"),
            ("SmartEncoded", "true"),
            ("ContentVariables", '{"1":"Ann"}'),
        ],
    ),
    (
        "send with a service in From",
        lambda g: g.messages.create(to="+1555", from_=MG, body="x"),
        "POST",
        "Messages",
        [("To", "+1555"), ("MessagingServiceSid", MG), ("Body", "x")],
    ),
    ("redact", lambda g: g.messages.redact(SM), "POST", f"Messages/{SM}", [("Body", "")]),
    (
        "cancel",
        lambda g: g.messages.cancel(SM),
        "POST",
        f"Messages/{SM}",
        [("Status", "canceled")],
    ),
    ("delete message", lambda g: g.messages.delete(SM), "DELETE", f"Messages/{SM}", []),
    (
        "feedback",
        lambda g: g.messages.feedback(SM),
        "POST",
        f"Messages/{SM}/Feedback",
        [("Outcome", "confirmed")],
    ),
    (
        "list media",
        lambda g: drained(g.messages.media(SM).list()),
        "GET",
        f"Messages/{SM}/Media",
        [],
    ),
    (
        "get medium",
        lambda g: g.messages.media(SM).fetch(ME),
        "GET",
        f"Messages/{SM}/Media/{ME}",
        [],
    ),
    (
        "list calls",
        lambda g: drained(
            g.calls.list(
                page_size=20,
                status="completed",
                to="+1555",
                from_="+1666",
                start_time_after="2026-02-01",
            )
        ),
        "GET",
        "Calls",
        [
            ("Status", "completed"),
            ("To", "+1555"),
            ("From", "+1666"),
            ("StartTime>", "2026-02-01"),
            ("PageSize", "20"),
        ],
    ),
    ("get call", lambda g: g.calls.fetch(CA), "GET", f"Calls/{CA}", []),
    (
        "make call",
        lambda g: g.calls.create(
            to="+15559876543",
            from_="+15551234567",
            url="https://example.com/twiml",
            status_callback="https://example.com/s",
            status_callback_event=["initiated", "ringing", "answered", "completed"],
            timeout=60,
            record=True,
        ),
        "POST",
        "Calls",
        [
            ("To", "+15559876543"),
            ("From", "+15551234567"),
            ("Url", "https://example.com/twiml"),
            ("StatusCallback", "https://example.com/s"),
            ("StatusCallbackEvent", "initiated"),
            ("StatusCallbackEvent", "ringing"),
            ("StatusCallbackEvent", "answered"),
            ("StatusCallbackEvent", "completed"),
            ("Timeout", "60"),
            ("Record", "true"),
        ],
    ),
    (
        "update call",
        lambda g: g.calls.update(CA, twiml="<Response/>"),
        "POST",
        f"Calls/{CA}",
        [("Twiml", "<Response/>")],
    ),
    ("end call", lambda g: g.calls.end(CA), "POST", f"Calls/{CA}", [("Status", "completed")]),
    ("delete call", lambda g: g.calls.delete(CA), "DELETE", f"Calls/{CA}", []),
    (
        "record a call",
        lambda g: g.calls.recordings(CA).create(recording_channels="dual"),
        "POST",
        f"Calls/{CA}/Recordings",
        [("RecordingChannels", "dual")],
    ),
    (
        "stop the recording",
        lambda g: g.calls.recordings(CA).update("Twilio.CURRENT", status="stopped"),
        "POST",
        f"Calls/{CA}/Recordings/Twilio.CURRENT",
        [("Status", "stopped")],
    ),
    (
        "a call's recordings",
        lambda g: drained(g.calls.recordings(CA).list()),
        "GET",
        f"Calls/{CA}/Recordings",
        [],
    ),
    (
        "a call's notifications",
        lambda g: drained(g.calls.notifications(CA).list(log=0)),
        "GET",
        f"Calls/{CA}/Notifications",
        [("Log", "0")],
    ),
    (
        "a call's events",
        lambda g: drained(g.calls.events(CA).list()),
        "GET",
        f"Calls/{CA}/Events",
        [],
    ),
    (
        "list numbers",
        lambda g: drained(g.numbers.list(phone_number="+1555")),
        "GET",
        "IncomingPhoneNumbers",
        [("PhoneNumber", "+1555")],
    ),
    ("get number", lambda g: g.numbers.fetch(PN), "GET", f"IncomingPhoneNumbers/{PN}", []),
    (
        "update number",
        lambda g: g.numbers.update(
            PN,
            friendly_name="Updated Name",
            voice_url="https://example.com/voice",
        ),
        "POST",
        f"IncomingPhoneNumbers/{PN}",
        [
            ("FriendlyName", "Updated Name"),
            ("VoiceUrl", "https://example.com/voice"),
        ],
    ),
    ("delete number", lambda g: g.numbers.delete(PN), "DELETE", f"IncomingPhoneNumbers/{PN}", []),
    ("list applications", lambda g: drained(g.applications.list()), "GET", "Applications", []),
    ("get application", lambda g: g.applications.fetch(AP), "GET", f"Applications/{AP}", []),
    (
        "create application",
        lambda g: g.applications.create(
            friendly_name="My App", voice_url="https://example.com/voice"
        ),
        "POST",
        "Applications",
        [("FriendlyName", "My App"), ("VoiceUrl", "https://example.com/voice")],
    ),
    (
        "update application",
        lambda g: g.applications.update(AP, friendly_name="Updated App Name"),
        "POST",
        f"Applications/{AP}",
        [("FriendlyName", "Updated App Name")],
    ),
    ("delete application", lambda g: g.applications.delete(AP), "DELETE", f"Applications/{AP}", []),
    ("list queues", lambda g: drained(g.queues.list()), "GET", "Queues", []),
    (
        "create queue",
        lambda g: g.queues.create(friendly_name="Support Queue", max_size=100),
        "POST",
        "Queues",
        [("FriendlyName", "Support Queue"), ("MaxSize", "100")],
    ),
    (
        "update queue",
        lambda g: g.queues.update(QU, friendly_name="Updated Queue Name"),
        "POST",
        f"Queues/{QU}",
        [("FriendlyName", "Updated Queue Name")],
    ),
    ("delete queue", lambda g: g.queues.delete(QU), "DELETE", f"Queues/{QU}", []),
    (
        "queue members",
        lambda g: drained(g.queues.members(QU).list()),
        "GET",
        f"Queues/{QU}/Members",
        [],
    ),
    (
        "front of the queue",
        lambda g: g.queues.members(QU).fetch("Front"),
        "GET",
        f"Queues/{QU}/Members/Front",
        [],
    ),
    (
        "dequeue",
        lambda g: g.queues.members(QU).dequeue(url="https://example.com/agent"),
        "POST",
        f"Queues/{QU}/Members/Front",
        [("Url", "https://example.com/agent"), ("Method", "POST")],
    ),
    ("list addresses", lambda g: drained(g.addresses.list()), "GET", "Addresses", []),
    (
        "create address",
        lambda g: g.addresses.create(**ADDRESS),
        "POST",
        "Addresses",
        [
            ("FriendlyName", "Office"),
            ("Street", "123 Main St"),
            ("City", "San Francisco"),
            ("Region", "CA"),
            ("PostalCode", "94105"),
            ("IsoCountry", "US"),
            ("CustomerName", "Acme Inc"),
        ],
    ),
    (
        "list usage",
        lambda g: drained(
            g.usage.list(category="sms", start_date=date(2026, 2, 1), end_date="2026-02-28")
        ),
        "GET",
        "Usage/Records",
        [("Category", "sms"), ("StartDate", "2026-02-01"), ("EndDate", "2026-02-28")],
    ),
    (
        "usage by day",
        lambda g: drained(g.usage.span("Daily").list()),
        "GET",
        "Usage/Records/Daily",
        [],
    ),
    (
        "list conferences",
        lambda g: drained(g.conferences.list(status="in-progress")),
        "GET",
        "Conferences",
        [("Status", "in-progress")],
    ),
    (
        "end a conference",
        lambda g: g.conferences.end(CF),
        "POST",
        f"Conferences/{CF}",
        [("Status", "completed")],
    ),
    (
        "participants",
        lambda g: drained(g.conferences.participants(CF).list(muted=False)),
        "GET",
        f"Conferences/{CF}/Participants",
        [("Muted", "false")],
    ),
    (
        "dial somebody in",
        lambda g: g.conferences.participants("team 1/a").create(from_="+1555", to="+1666"),
        "POST",
        "Conferences/team%201%2Fa/Participants",
        [("From", "+1555"), ("To", "+1666")],
    ),
    (
        "mute",
        lambda g: g.conferences.participants(CF).update(CA, muted=True),
        "POST",
        f"Conferences/{CF}/Participants/{CA}",
        [("Muted", "true")],
    ),
    (
        "list recordings",
        lambda g: drained(g.recordings.list(date_created_before="2026-03-01")),
        "GET",
        "Recordings",
        [("DateCreated<", "2026-03-01")],
    ),
    ("delete recording", lambda g: g.recordings.delete(RE), "DELETE", f"Recordings/{RE}", []),
    ("notifications", lambda g: drained(g.notifications.list()), "GET", "Notifications", []),
    ("balance", lambda g: g.balance.fetch(), "GET", "Balance", []),
]


@pytest.mark.parametrize("line", GUIDE, ids=lambda line: line[0])
@pytest.mark.parametrize("mode", ["maton", "direct"])
async def test_every_call_of_the_reference(
    recorder: Recorder, mode: str, line: tuple[str, Work, str, str, list[tuple[str, str]]]
) -> None:
    _, work, method, where, params = line
    base = f"http://127.0.0.1:{recorder.port}"
    access = (
        Credentials.maton(KEY, account_sid=AC, connection="c-1", base_url=base + "/twilio")
        if mode == "maton"
        else Credentials.direct(AC, TOKEN, base_url=base)
    )
    async with Gateway(access) as gateway:
        await work(gateway)
    ((sent_method, sent_path, sent_params, headers),) = recorder.seen
    prefix = "/twilio" if mode == "maton" else ""
    below = where if where.startswith("/") else f"/Accounts/{AC}/{where}.json"
    assert (sent_method, sent_path) == (method, f"{prefix}/2010-04-01{below}")
    assert sent_params == params
    if mode == "maton":
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["maton-connection"] == "c-1"
    else:
        expected = base64.b64encode(f"{AC}:{TOKEN}".encode()).decode()
        assert headers["authorization"] == f"Basic {expected}"
        assert "maton-connection" not in headers
    if method == "POST":
        assert headers["content-type"] == "application/x-www-form-urlencoded"
    holds(method, f"/2010-04-01{below}", sent_params)


# ---- Twilio's own document -----------------------------------------------------------------

DOCUMENT = os.environ.get("RINGBACK_TWILIO_OPENAPI", "")


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(DOCUMENT).read_text("utf-8"))
    return loaded


def holds(method: str, path: str, params: list[tuple[str, str]]) -> None:
    """Assert that the official document knows this request and accepts its parameters."""
    if not DOCUMENT:
        return
    for template, item in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in item:
            break
    else:
        pytest.fail(f"the official document has no {method} {path}")
    operation = item[method.lower()]
    if method == "POST":
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
        properties = schema.get("properties", {})
    else:
        given = [each for each in operation.get("parameters", []) if each["in"] == "query"]
        properties = {each["name"]: each["schema"] for each in given}
        schema = {"properties": properties}
    value = {}
    for name in dict.fromkeys(name for name, _ in params):
        assert name in properties, f"{method} {path} has no parameter {name}"
        texts = [text for given_name, text in params if given_name == name]
        value[name] = read_as(properties[name], texts)
    jsonschema.validate(value, {**schema, "components": document()["components"]})


def read_as(schema: dict[str, Any], texts: list[str]) -> Any:
    kind = schema.get("type")
    if kind == "array":
        return texts
    (text,) = texts
    if kind == "integer":
        return int(text)
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    if kind == "number":
        return float(text)
    return text


@pytest.mark.skipif(not DOCUMENT, reason="RINGBACK_TWILIO_OPENAPI names no document")
@pytest.mark.parametrize(
    "operation", OPERATIONS.values(), ids=lambda each: f"{each.resource} {each.verb}"
)
def test_the_catalogue_is_the_official_documents(operation: Operation) -> None:
    words = {"": "x", "SM|MM": SM, "CA|Front": "Front", "RE|Twilio.CURRENT": RE}
    words["|".join(USAGE_SPANS)] = "Daily"
    known = {sid[:2]: sid for sid in (AC, CA, PN, AP, QU, AD, ME, RE, NO, CF)}
    args = [words.get(place) or known[place] for place in operation.places]
    needed = {need.split("|")[0]: "x" for need in operation.required}
    request = operation.request(AC, args, needed)
    path = unquote("/2010-04-01" + request.path)
    for template, item in document()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and operation.method.lower() in item:
            break
    else:
        pytest.fail(f"no {operation.method} {path}")
    official = item[operation.method.lower()]
    if operation.method == "POST":
        content = official.get("requestBody", {}).get("content", {})
        schema = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
        names = set(schema.get("properties", {}))
        required = set(schema.get("required", []))
    else:
        given = [each for each in official.get("parameters", []) if each["in"] == "query"]
        names = {each["name"] for each in given}
        required = {each["name"] for each in given if each.get("required")}
    assert set(operation.params) == names
    assert required <= {name for need in operation.required for name in need.split("|")}


# ---- what never leaves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda g: g.messages.create(to="+1", from_="+2"), "needs body or media_url"),
        (lambda g: g.messages.create(to="+1", body="x"), "needs from_ or messaging"),
        (lambda g: g.messages.create(from_="+1", body="x"), "needs to"),
        (lambda g: g.messages.create(to="+1", from_="+2", bdy="x"), "did you mean body"),
        (lambda g: g.calls.create(to="+1", from_="+2"), "needs url or twiml or application_sid"),
        (lambda g: g.calls.fetch(SM), "is not a SID"),
        (lambda g: g.messages.fetch("../Calls"), "is not a SID"),
        (lambda g: g.queues.members("support").fetch("Front"), "is not a SID"),
        (lambda g: g.usage.span("Weekly").list().__anext__(), "is not a SID"),
        (lambda g: g.conferences.participants(CF).fetch(" "), "empty name"),
        (lambda g: g.connections.list(), "only through Maton"),
    ],
)
async def test_what_the_catalogue_does_not_know_never_leaves(
    recorder: Recorder, work: Work, words: str
) -> None:
    access = Credentials.direct(AC, TOKEN, base_url=f"http://127.0.0.1:{recorder.port}")
    async with Gateway(access) as gateway:
        with pytest.raises(UsageError, match=words):
            await work(gateway)
    assert recorder.seen == []


def test_values_are_written_as_twilio_reads_them() -> None:
    assert text_of(True) == "true"
    assert text_of(datetime(2026, 1, 2, 3, 4, 5)) == "2026-01-02T03:04:05Z"  # noqa: DTZ001
    assert text_of(date(2026, 1, 2)) == "2026-01-02"
    assert text_of(Decimal("0.10")) == "0.10"


# ---- the synchronous front -----------------------------------------------------------------


async def test_the_synchronous_front_does_the_same(recorder: Recorder) -> None:
    environ = {
        "TWILIO_ACCOUNT_SID": AC,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "RINGBACK_GATEWAY_URL": f"http://127.0.0.1:{recorder.port}",
    }

    def script() -> tuple[object, ...]:
        with SyncGateway.from_env(environ) as gateway:
            sent = gateway.messages.create(to="+1", from_="+2", body="x")
            listed = list(gateway.messages.list(to="+1"))
            members = list(gateway.queues.members(QU).list())
            with pytest.raises(UsageError):
                gateway.calls.fetch("nonsense")
            shown = repr(gateway) + repr(gateway.messages)
        gateway.close()
        return sent.sid, listed, members, shown

    sid, listed, members, shown = await asyncio.to_thread(script)
    assert (sid, listed, members) == (SM, [], [])
    assert TOKEN not in str(shown)
    assert [entry[0] for entry in recorder.seen] == ["POST", "GET", "GET"]
