"""Application of the console: pages and problems."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback.config import Settings
from ringback.console.app import create_console
from ringback.console.identity import Identity, may
from ringback.console.pages.listed import PAGES
from ringback.console.surroundings import Surroundings
from unit.console.conftest import begin

PERSON = Identity("ada", "operate")


async def nobody(_: object) -> dict[str, Any]:
    return {"error": "no worker"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.AsyncClient]:
    begin(tmp_path)
    app = create_console(Settings(tmp_path, data=tmp_path), Surroundings(nobody), lambda _: PERSON)
    yield httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://t"
    )
    app.state.console.conversations.close()
    app.state.console.reading.close()


async def test_the_front_page_answers(client: httpx.AsyncClient) -> None:
    """With the navigation, what an empty list wants, and that no worker answers."""
    answer = await client.get("/console/")
    assert answer.status_code == 200
    assert '<a href="/console/" data-key="l" aria-current="page">Live</a>' in answer.text
    assert "No event yet" in answer.text
    assert "ringback connect" in answer.text
    assert "No worker answers" in answer.text
    given = await client.get("/console/?type=message.*&error=any")
    assert "Nothing fits" in given.text
    assert "No event yet" not in given.text


@pytest.mark.parametrize("spoilt", ["missing", "damaged"])
async def test_a_journal_that_cannot_be_read_is_no_empty_page(
    client: httpx.AsyncClient, tmp_path: Path, spoilt: str
) -> None:
    """B1: each page that shows data answers with 503 and why, and not with an empty list."""
    for path in tmp_path.glob("journal.db*"):
        path.unlink()
    if spoilt == "damaged":
        (tmp_path / "journal.db").write_bytes(b"no database" * 500)
    for page in PAGES:
        if page.nav and not page.simulated:
            answer = await client.get(page.path)
            assert answer.status_code == 503, page.path
            assert "journal.db" in answer.text
            assert 'class="empty"' not in answer.text
    assert (await client.get("/console/t/evt_x")).status_code == 503


async def test_a_filter_that_makes_no_sense_is_named(client: httpx.AsyncClient) -> None:
    """400 and what is wrong, never another list."""
    for query in ("error=many", "trust=me", "source=x", "before=-1", "before=1e9", "error=1234567"):
        answer = await client.get(f"/console/?{query}")
        assert answer.status_code == 400, query


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
