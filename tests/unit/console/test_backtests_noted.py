"""Backtests of the console: who begins and stops them is on record."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.entry import entry_of
from ringback.console.surroundings import Surroundings
from ringback.store.console.access import Access
from unit.console.conftest import BASE, TOKEN, away


async def endless(_: Sequence[str]) -> tuple[int, str]:
    """A backtest that goes on until it is stopped."""
    await asyncio.Event().wait()
    return 0, ""


@pytest.mark.parametrize("text", ["", "version: 1"])
async def test_who_begins_and_stops_a_backtest_is_noted(settings: Settings, text: str) -> None:
    """Once each; one that is refused, or stopped a second time, is not."""
    with Access(settings.data) as access:
        app = create_console(
            settings, Surroundings(away, run_long=endless), entry=entry_of(settings, access)
        )
        transport = httpx.ASGITransport(app, client=("10.9.0.1", 4711))
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client,
        ):
            body: dict[str, Any] = {"since": "30d", "text": text}
            uid = (await client.post("/api/v1/backtests", json=body)).json()["uid"]
            assert (await client.post("/api/v1/backtests", json=body)).status_code == 503
            for _ in range(2):
                await client.post(f"/api/v1/backtests/{uid}/stop")
            rows = [(each["what"], each["subject"]) for each in access.looks()[::-1]]
    rules = "rules that are not saved" if text else "the rules of now"
    assert [row for row in rows if row[0].startswith("backtest")] == [
        ("backtest begun", f"{uid}, 30d, {rules}"), ("backtest stopped", uid),
    ]  # fmt: skip
