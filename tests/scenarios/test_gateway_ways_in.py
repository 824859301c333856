"""A third way in, added from outside: one class, one row of the table, and a message goes out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import pytest

from ringback.errors import ConfigError, GatewayError, NotFound, RateLimited, Unauthorized
from ringback.gateway import credentials
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials, Direct, GatewaySettings, Maton

AC = "AC" + "0a" * 16
SM = "SM" + "1b" * 16


@dataclass(frozen=True, slots=True)
class Relay(Credentials):
    """A relay inside a company: a token of its own, slow, and with a status of its own."""

    name = "relay"
    way = "through the relay"
    rate = 2.0
    own_errors: ClassVar[Mapping[int, type[GatewayError]]] = {402: RateLimited}

    @classmethod
    def configured(cls, settings: GatewaySettings) -> Self | None:
        """When RELAY_URL is set."""
        url = settings.environ.get("RELAY_URL", "")
        token = settings.environ.get("RELAY_TOKEN", "")
        if not url:
            return None
        return cls(url, settings.account_sid, authorization=f"Relay {token}", secrets=(token,))

    def origin_of(self, status: int, body: Mapping[str, Any]) -> str:
        """The relay signs its own answers."""
        return "relay" if body.get("relay") else Credentials.origin_of(self, status, body)

    def remedy(self, kind: type[GatewayError], origin: str) -> str:
        """Who to ask."""
        if kind is Unauthorized and origin == "relay":
            return "ask the relay's team for a new token"
        return Credentials.remedy(self, kind, origin)


class Answers:
    """A server on loopback that gives its answers in turn and keeps what it was asked."""

    def __init__(self) -> None:
        self.plan: list[tuple[int, dict[str, Any]]] = []
        self.heads: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0] or 0)
        await reader.readexactly(length)
        self.heads.append(head)
        status, body = self.plan.pop(0)
        raw = json.dumps(body).encode()
        line = f"HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {len(raw)}\r\n\r\n"
        writer.write(line.encode() + raw)
        await writer.drain()
        writer.close()


@pytest.fixture
async def relay() -> AsyncIterator[tuple[Answers, dict[str, str]]]:
    answers = Answers()
    server = await asyncio.start_server(answers.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/relay"
    yield answers, {"RELAY_URL": url, "RELAY_TOKEN": "canary", "TWILIO_ACCOUNT_SID": AC}
    server.close()


@pytest.mark.slow
async def test_a_way_in_from_outside_sends_a_message(
    relay: tuple[Answers, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the settings, used for the send, and asked what its refusals mean."""
    answers, environ = relay
    with pytest.raises(ConfigError):
        Gateway.from_env(environ)
    monkeypatch.setattr(credentials, "WAYS_IN", [Relay, *credentials.WAYS_IN])
    answers.plan = [
        (201, {"sid": SM, "account_sid": AC, "status": "queued"}),
        (401, {"relay": True, "message": "token canary is old"}),
        (402, {"relay": True}),
        (404, {"code": 20404, "message": "x", "more_info": "https://www.twilio.com/docs"}),
    ]
    async with Gateway.from_env(environ) as gateway:
        assert gateway.access.name == "relay"
        message = await gateway.messages.create(to="+15550000002", from_="+15550000001", body="Hi")
        assert message.sid == SM
        seen = []
        for _ in range(3):
            with pytest.raises(GatewayError) as caught:
                await gateway.messages.fetch(SM)
            seen.append((type(caught.value), caught.value.origin, str(caught.value)))
    assert answers.heads[0].startswith(f"POST /relay/2010-04-01/Accounts/{AC}/Messages.json ")
    assert "Authorization: Relay canary\r\n" in answers.heads[0]
    assert [row[:2] for row in seen] == [
        (Unauthorized, "relay"), (RateLimited, "relay"), (NotFound, "twilio"),
    ]  # fmt: skip
    assert "the relay's team" in seen[0][2]
    assert "token [hidden] is old" in seen[0][2]
    assert seen[1][2].startswith(f"{environ['RELAY_URL']} answered 402")


def test_the_first_way_in_that_the_settings_name_is_used() -> None:
    """Maton before direct; the account's token or a key either way."""
    token = {"TWILIO_ACCOUNT_SID": AC, "TWILIO_AUTH_TOKEN": "t"}
    assert isinstance(Gateway.from_env(token).access, Direct)
    assert isinstance(Gateway.from_env({**token, "MATON_API_KEY": "k"}).access, Maton)
