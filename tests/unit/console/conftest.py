"""Consoles in this process: their pages asked through ASGI, with people, cookies and tokens."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.entry import Entry, entry_of
from ringback.console.surroundings import Surroundings
from ringback.ipc import WorkerAway
from ringback.store.console import passwords
from ringback.store.console.access import Access
from ringback.store.journal import open_store
from ringback.store.log import Log

BASE = "http://127.0.0.1:8080"
OWNER = "correct horse battery"
TOKEN = "rbt-own-4711-token-of-the-settings"
SAME = {"origin": BASE, "sec-fetch-site": "same-origin"}


@dataclass
class Board:
    """A console with a browser in front."""

    app: Starlette
    client: httpx.AsyncClient
    entry: Entry

    async def sign_in(
        self, name: str = "console", password: str = OWNER, peer: str = ""
    ) -> httpx.Response:
        """Post the form of the page."""
        headers = {**SAME, "x-forwarded-for": peer} if peer else SAME
        data = {"name": name, "password": password, "next": ""}
        return await self.client.post("/console/login", data=data, headers=headers)

    async def form(self, path: str, action: str) -> dict[str, str]:
        """The hidden fields of the form on a page that posts to `action`."""
        page = (await self.client.get(path)).text
        found = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', page, re.S)
        assert found, f"{path} has no form for {action}"
        fields = re.findall(r'name="(\w+)" value="([^"]*)"', found.group())
        return dict(fields)


async def away(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise WorkerAway("none runs here")


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of the work: nothing here is about how long it takes."""
    monkeypatch.setattr(passwords, "_COST", 5)


def begin(data: Path) -> None:
    """Files as a node makes them."""
    Log.open(data / "log.db").close()
    open_store(data, threaded=False).close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "data").mkdir()
    begin(tmp_path / "data")
    return Settings(
        tmp_path, data=tmp_path / "data", console_password=OWNER, api_token=TOKEN,
        trusted_proxies=("10.9.0.0/16",),
    )  # fmt: skip


@pytest.fixture
async def board(settings: Settings) -> AsyncIterator[Board]:
    with Access(settings.data) as access:
        kept = passwords.kept("a long password")
        access.put_person("rita", "read", kept, "2026-01-01T00:00:00.000Z")
        access.put_person("ole", "operate", kept, "2026-01-01T00:00:00.000Z")
        entry = entry_of(settings, access)
        app = create_console(settings, Surroundings(away), entry=entry)
        transport = httpx.ASGITransport(app, client=("10.9.0.1", 4711))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            yield Board(app, client, entry)
        app.state.console.conversations.close()
        app.state.console.reading.close()
