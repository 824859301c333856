"""Application of the console: pages and problems."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.identity import Identity, may
from ringback.console.surroundings import Surroundings

PERSON = Identity("ada", "operate")


async def nobody(_: object) -> dict[str, Any]:
    return {"error": "no worker"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.AsyncClient]:
    app = create_console(Settings(tmp_path), Surroundings(nobody), lambda _: PERSON)
    yield httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://t"
    )
    app.state.console.reading.close()


async def test_the_front_page_answers(client: httpx.AsyncClient) -> None:
    """With the navigation."""
    answer = await client.get("/console/")
    assert answer.status_code == 200
    assert 'href="/console/"' in answer.text


async def test_a_problem_is_a_page_or_json(client: httpx.AsyncClient) -> None:
    """By the path, and with the same words."""
    page = await client.get("/console/nowhere")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    api = await client.get("/api/v1/nowhere")
    assert api.headers["content-type"] == "application/problem+json"
    assert api.json()["type"] == "urn:ringback:problem:missing"
    assert api.json()["title"] in page.text
    assert (await client.put("/console/", data={"a": "b"})).status_code == 405


def test_a_role_may_do_what_those_before_it_may() -> None:
    """read, operate, admin."""
    assert may(PERSON, "read")
    assert may(PERSON, "operate")
    assert not may(PERSON, "admin")
