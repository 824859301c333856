"""Maton's connections: making one, waiting for the grant, and proving the pair with the account."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.errors import (
    ConfigError,
    Forbidden,
    NotFound,
    ServerError,
    Unreadable,
    UsageError,
)
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.transport import Reply
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.store.meta import ACCOUNT as NOTED
from ringback.twilio.rest import Request
from ringback.worker.service import own_account

AC = "AC" + "0a" * 16
OTHER = "AC" + "0b" * 16
ID = "ebe566b1-3eaf-4926-bc92-0d8d47445f12"


class Maton:
    """A control plane and proxy that answers from a script: path to the answers in turn."""

    def __init__(self) -> None:
        self.script: dict[str, list[tuple[int, Any]]] = {}
        self.seen: list[tuple[str, str, bytes]] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split("\r\n")[0].split()
                size = [line for line in head.lower().split("\r\n") if "content-length" in line]
                body = await reader.readexactly(int(size[0].split(":")[1])) if size else b""
                self.seen.append((method, target, body))
                steps = self.script.get(f"{method} {target.partition('?')[0]}", [(404, {})])
                status, data = steps.pop(0) if len(steps) > 1 else steps[0]
                raw = data if isinstance(data, bytes) else json.dumps(data).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(raw)}\r\n\r\n".encode()
                    + raw
                )
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    def end(self) -> None:
        for task in self._tasks:
            task.cancel()


@pytest.fixture
async def maton() -> AsyncIterator[Maton]:
    subject = Maton()
    server = await asyncio.start_server(subject.serve, "127.0.0.1", 0)
    subject.port = server.sockets[0].getsockname()[1]
    yield subject
    server.close()
    subject.end()


def gateway(maton: Maton, connection: str = ID, account: str = AC) -> Gateway:
    base = f"http://127.0.0.1:{maton.port}"
    access = Credentials.maton(
        "key", account_sid=account, connection=connection, base_url=base + "/twilio",
        control_url=base,
    )  # fmt: skip
    return Gateway(access)


def row(connection_id: str = ID, status: str = "ACTIVE") -> dict[str, Any]:
    return {"connection_id": connection_id, "status": status, "app": "twilio", "url": "https://c/x"}


def twilio_error(code: int, status: int) -> dict[str, Any]:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return {"code": code, "message": "no", "more_info": more, "status": status}


async def test_listing_follows_its_token(maton: Maton) -> None:
    maton.script["GET /connections"] = [
        (200, {"connections": [row("a")], "next_token": "t 1"}),
        (200, {"connections": [row("b", "PENDING")]}),
    ]
    async with gateway(maton) as subject:
        found = await subject.connections.list(status="active")
    assert [(each.connection_id, each.status) for each in found] == [
        ("a", "ACTIVE"),
        ("b", "PENDING"),
    ]
    assert maton.seen[0][1] == "/connections?app=twilio&status=ACTIVE"
    assert maton.seen[1][1].endswith("next_token=t%201")


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: {"connection": data}])
async def test_creating_and_waiting_for_the_grant(maton: Maton, wrap: Any) -> None:
    maton.script["POST /connections"] = [(201, wrap(row(status="PENDING")))]
    maton.script[f"GET /connections/{ID}"] = [
        (200, wrap(row(status="PENDING"))),
        (500, b"oops"),
        (200, wrap(row())),
    ]
    async with gateway(maton) as subject:
        begun = await subject.connections.create()
        assert (begun.status, begun.url) == ("PENDING", "https://c/x")
        done = await subject.connections.wait(begun.connection_id, every=0.01)
    assert done.status == "ACTIVE"
    assert json.loads(maton.seen[0][2]) == {"app": "twilio"}


async def test_waiting_ends_when_the_grant_fails_or_time_is_up(maton: Maton) -> None:
    path = f"GET /connections/{ID}"
    async with gateway(maton) as subject:
        maton.script[path] = [(200, row(status="FAILED"))]
        assert (await subject.connections.wait(ID, every=0.01)).status == "FAILED"
        maton.script[path] = [(200, row(status="PENDING"))]
        waited = await subject.connections.wait(ID, seconds=0.05, every=0.01)
        assert waited.status == "PENDING"
        maton.script[path] = [(503, b"")]
        with pytest.raises(ServerError):
            await subject.connections.wait(ID, seconds=0.05, every=0.01)


async def test_deleting_accepts_any_good_answer(maton: Maton) -> None:
    async with gateway(maton) as subject:
        for answer in ((200, b"lost"), (204, b""), (200, {})):
            maton.script[f"DELETE /connections/{ID}"] = [answer]
            await subject.connections.delete(ID)
        maton.script[f"DELETE /connections/{ID}"] = [(404, {"error": "no"})]
        with pytest.raises(NotFound):
            await subject.connections.delete(ID)


@pytest.mark.parametrize("data", [{}, {"connections": None}, [1], {"connection": 1}, b"<html>"])
async def test_answers_that_are_no_connections(maton: Maton, data: Any) -> None:
    maton.script["GET /connections"] = [(200, data)]
    maton.script[f"GET /connections/{ID}"] = [(200, data)]
    async with gateway(maton) as subject:
        with pytest.raises(Unreadable):
            await subject.connections.list()
        with pytest.raises(Unreadable):
            await subject.connections.fetch(ID)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 65, "a\n"])
async def test_ids_that_cannot_be_one_never_leave(maton: Maton, name: str) -> None:
    async with gateway(maton) as subject:
        with pytest.raises(UsageError):
            await subject.connections.fetch(name)
    assert maton.seen == []


ACCOUNT = f"GET /twilio/2010-04-01/Accounts/{AC}.json"
ACCOUNTS = "GET /twilio/2010-04-01/Accounts.json"
MESSAGES = f"GET /twilio/2010-04-01/Accounts/{AC}/Messages.json"


def active(maton: Maton, *ids: str) -> None:
    maton.script["GET /connections"] = [(200, {"connections": [row(each) for each in ids]})]


async def test_a_good_pair_is_proven_and_pinned(maton: Maton) -> None:
    active(maton, ID)
    maton.script[ACCOUNT] = [(200, {"sid": AC})]
    maton.script[MESSAGES] = [(200, {"messages": []})]
    async with gateway(maton, connection="") as subject:
        assert await subject.check() == AC
        assert subject.access.connection == ID


@pytest.mark.parametrize(
    ("ids", "pinned", "words"),
    [
        ((), "", "no active Twilio connection"),
        ((), ID, "no active Twilio connection"),
        (("a", "b"), "", "set MATON_CONNECTION to one of a, b"),
        (("a", "b"), ID, f"{ID} is not active; active are: a, b"),
    ],
)
async def test_which_connections_will_not_do(
    maton: Maton, ids: tuple[str, ...], pinned: str, words: str
) -> None:
    active(maton, *ids)
    async with gateway(maton, connection=pinned) as subject:
        with pytest.raises(ConfigError, match=words):
            await subject.check()


async def test_a_connection_to_another_account_is_refused(maton: Maton) -> None:
    active(maton, ID)
    maton.script[ACCOUNT] = [(404, twilio_error(20404, 404))]
    maton.script[ACCOUNTS] = [(200, {"accounts": [{"sid": OTHER}]})]
    async with gateway(maton) as subject:
        with pytest.raises(ConfigError, match=f"another account .{OTHER}."):
            await subject.check()


@pytest.mark.parametrize(
    "listed",
    [
        [{"sid": AC, "owner_account_sid": AC}],
        [{"sid": OTHER, "owner_account_sid": AC}, {"sid": AC, "owner_account_sid": AC}],
        [{"sid": "AC" + f"{n:032x}", "owner_account_sid": AC} for n in range(3)],
        [{"sid": AC, "owner_account_sid": OTHER}],
        [{"sid": AC}, {"sid": OTHER}],
    ],
    ids=["alone", "behind its sub-account", "on a later page", "a sub-account", "no owners"],
)
async def test_the_account_is_that_of_the_credentials(
    maton: Maton, listed: list[dict[str, str]]
) -> None:
    """Twilio lists the newest account first; whose grant it is shows by the owners."""
    maton.script[ACCOUNTS] = [(200, {"accounts": listed})]
    async with gateway(maton, account="") as subject:
        assert await subject.account() == AC


async def test_a_node_asks_for_its_account_when_no_setting_names_it(
    maton: Maton, tmp_path: Path
) -> None:
    """While the gateway does not say it, it is what it was; on the first day nobody knows."""
    settings = Settings(tmp_path, maton_api_key="k" * 20)
    Log.open(tmp_path / "log.db").close()
    with closing(open_store(tmp_path)) as store:
        async with gateway(maton, account="") as subject:
            maton.script[ACCOUNTS] = [(500, {}), (200, {"accounts": [{"sid": AC}]})]
            assert await own_account(settings, subject, store.journal) == ""
            assert await own_account(settings, subject, store.journal) == AC
        await store.journal.meta.set(NOTED, AC)
        async with gateway(maton, account="") as subject:
            maton.script[ACCOUNTS] = [(500, {})]
            assert await own_account(settings, subject, store.journal) == AC
            named = replace(settings, account_sid=OTHER)
            assert await own_account(named, subject, store.journal) == OTHER


async def test_a_grant_that_may_not_read_accounts_is_judged_by_its_messages(maton: Maton) -> None:
    active(maton, ID)
    maton.script[ACCOUNT] = maton.script[ACCOUNTS] = [(403, twilio_error(20403, 403))]
    maton.script[MESSAGES] = [(200, {"messages": []})]
    async with gateway(maton) as subject:
        assert await subject.check() == AC
        maton.script[MESSAGES] = [(403, twilio_error(20403, 403))]
        with pytest.raises(Forbidden):
            await subject.check()


async def test_without_a_configured_account_the_first_readable_one_is_used(maton: Maton) -> None:
    active(maton, ID)
    maton.script[ACCOUNTS] = [(200, {"accounts": [{"sid": "nonsense"}, {"sid": AC}]})]
    maton.script[MESSAGES] = [(200, {"messages": []})]
    async with gateway(maton, account="") as subject:
        assert await subject.check() == AC
    maton.script[ACCOUNTS] = [(200, {"accounts": []})]
    async with gateway(maton, account="") as subject:
        with pytest.raises(ConfigError, match="set TWILIO_ACCOUNT_SID"):
            await subject.check()


@pytest.mark.parametrize("ids", [(ID,), ("a", "b"), ()])
async def test_many_first_writes_ask_for_the_connection_once(
    maton: Maton, ids: tuple[str, ...]
) -> None:
    """Also when there is none to be used: then all of them hear it."""
    active(maton, *ids)
    where = f"/2010-04-01/Accounts/{AC}/Messages.json"
    maton.script[f"POST /twilio{where}"] = [(201, {"sid": "SM" + "1" * 32, "account_sid": AC})]
    request = Request("POST", f"/Accounts/{AC}/Messages.json", (("To", "+1"),), "messages", ("SM",))
    async with gateway(maton, connection="") as subject:
        done = await asyncio.gather(
            *(subject.perform(request) for _ in range(50)), return_exceptions=True
        )
    looks = [target for method, target, _ in maton.seen if target.startswith("/connections")]
    assert len(looks) == 1
    assert {type(each) for each in done} == {ConfigError if len(ids) > 1 else Reply}
