"""Looks at a node from outside: its certificate, and the webhooks of our numbers."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.console import outside
from ringback.console.children import Children
from ringback.console.outside import Outside, wiring_of
from ringback.console.surroundings import Surroundings


async def nobody(_: Any) -> dict[str, Any]:
    return {"error": "no worker"}


def looking(port: int, trusted: ssl.SSLContext | None, rows: Sequence[object] = ()) -> Outside:
    async def printed(_: Sequence[str]) -> tuple[int, str]:
        return 0, "\n".join(json.dumps(row) for row in rows)

    settings = Settings(Path(), public_url=f"https://localhost:{port}")
    return Outside(settings, Children(Surroundings(nobody, run_child=printed)), trusted)


@pytest.mark.parametrize(("trust", "tone"), [(True, "held"), (False, "bad")])
async def test_a_certificate_is_as_twilio_sees_it(
    certificate: Path, trust: bool, tone: str
) -> None:
    """With its end, which is near here; refused where nobody vouches for it."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=certificate) if trust else None
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "localhost", 0, ssl=serving
    )
    async with server:
        look = looking(server.sockets[0].getsockname()[1], trusted, [{"name": "+1", "changes": []}])
        await look.look()
    found, numbers = look.parts()
    assert (found.name, found.tone, numbers.tone) == ("Certificate", tone, "good")
    assert ("until" in found.says) == trust


async def test_an_address_that_nobody_answers_at_is_not_seen(unused_tcp_port: int) -> None:
    look = looking(unused_tcp_port, None)
    await look.look()
    assert [each.word for each in look.parts()] == ["not seen", "none"]


@pytest.mark.parametrize(("days", "tone"), [(3, "held"), (60, "good")])
def test_one_that_ends_soon_is_to_be_renewed(days: int, tone: str) -> None:
    now = datetime(2026, 3, 4, tzinfo=UTC)
    found = outside._valid("a.example", now + timedelta(days=days), now)
    assert (found.tone, f"({days} days)" in found.says) == (tone, True)


def test_numbers_whose_webhooks_lead_elsewhere_are_named() -> None:
    rows: list[dict[str, Any]] = [
        {"name": "+15550001111", "changes": [{"name": "sms_url"}]},
        {"name": "+1", "changes": []},
    ]
    part = wiring_of(rows)
    assert (part.tone, part.link) == ("held", "/console/settings/numbers")
    assert "1 of 2 are set otherwise: +15550001111" in part.says
