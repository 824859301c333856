"""The console and its API over a journal on a server: what they answer over files, they answer."""

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from postgres.copied import copy_into
from postgres.server import Server
from postgres.test_reading import story
from ringback.config import Settings
from ringback.console.app import API, create_console
from ringback.console.counting import Counting
from ringback.console.entry import entry_of
from ringback.console.problems import Refusal
from ringback.console.reading import Reading, Slow
from ringback.console.surroundings import Surroundings
from ringback.ipc import WorkerAway
from ringback.store.console.access import Access
from ringback.store.data_place import DataPlace
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.store.queries.questions import Questions

__all__ = ["story"]

BASE = "http://127.0.0.1:8080"
TOKEN = "rbt-own-4711-token-of-the-settings"
NOT_ASKED = ("/stream", "/logs", "/doctor", "/numbers", "/queues", "/settings")
"""What stays open, and what is asked of others than the journal."""
NOW = re.compile(f'"{datetime.now(UTC):%Y-%m}-[^"]*Z"')
"""When it was asked; the story is of another month."""


async def away(_: Mapping[str, Any]) -> Mapping[str, Any]:
    raise WorkerAway("none runs here")


async def crawl(settings: Settings, names: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """The answers of every resource of the API and every page that is read by its address alone,
    or by one of these names."""
    found: dict[str, tuple[int, str]] = {}
    with Access(settings.data) as access:
        app = create_console(settings, Surroundings(away), entry=entry_of(settings, access))
        transport = httpx.ASGITransport(app, client=("10.9.0.1", 4711))
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
            await app.state.console.conversations.caught_up()
            document = (await client.get(f"{API}/openapi.json")).json()
            for path, methods in sorted(document["paths"].items()):
                if "get" in methods and not path.endswith(NOT_ASKED):
                    address = API + path
                    for name, value in names.items():
                        address = address.replace(f"{{{name}}}", value)
                    answer = await client.get(address)
                    found[address] = answer.status_code, NOW.sub('""', answer.text)
        app.state.console.conversations.close()
        app.state.console.reading.close()
    return found


@pytest.mark.slow
async def test_the_api_answers_the_same(story: Path, postgres_url: str) -> None:
    copy_into(postgres_url, story)
    settings = Settings(story, data=story, api_token=TOKEN)
    with Questions(story) as asked:
        names = {"uid": asked.events(limit=1)[0]["uid"], "name": asked.runs(limit=1)[0]["rule"]}
    answers = []
    for url in ("", postgres_url):
        (story / "pairs.db").unlink(missing_ok=True)
        answers.append(await crawl(replace(settings, database_url=url), names))
    files, server = answers
    differing = {path: (files[path], server[path]) for path in files if files[path] != server[path]}
    assert differing == {}
    good = [path for path, (status, _) in files.items() if status == 200]
    assert len(good) > 15, {path: status for path, (status, _) in files.items()}
    assert f"{API}/conversations" in good


@pytest.mark.slow
def test_hours_are_counted_on_a_server(story: Path, postgres_url: str, tmp_path: Path) -> None:
    """All of the past, and the same."""
    copy_into(postgres_url, story)
    kept = []
    for url in ("", postgres_url):
        (story / "digest.db").unlink(missing_ok=True)
        counting = Counting(DataPlace(story, url), rest=0)
        counting.start()
        try:
            assert counting.ready.wait(60)
            digest = counting.digest
            assert digest is not None
            span = ("2025-12-31T00", "2026-01-03T00")
            kept.append(
                [sorted(map(str, digest.rows(measure, *span, lambda _: True, (word,))))
                 for measure, word in (("texts", "state"), ("texts", "rule"), ("left", "rule"))]
            )  # fmt: skip
        finally:
            counting.close()
    assert kept[0] == kept[1]
    assert kept[0] != [[], [], []]


@pytest.mark.slow
async def test_a_page_does_not_see_that_the_server_was_restarted(
    own_postgres: Server, tmp_path: Path
) -> None:
    """Its connections are gone; while the server is away a page says so, and how to go on."""
    url = own_postgres.create_database()
    Log.open(tmp_path / "log.db").close()
    open_store(tmp_path, threaded=False).close()
    copy_into(url, tmp_path)
    with closing(Reading(DataPlace(tmp_path, url), threads=1)) as reading:
        assert (await reading.ask(Questions.newest))["events"] == 0
        own_postgres.restart()
        assert (await reading.ask(Questions.newest))["events"] == 0
        own_postgres.stop("immediate")
        with pytest.raises(Refusal, match="connection failed"):
            await reading.ask(Questions.newest)
        own_postgres.start()
        assert (await reading.ask(Questions.newest))["events"] == 0


async def test_a_page_gives_up_a_question_that_takes_too_long(
    postgres_url: str, tmp_path: Path
) -> None:
    Log.open(tmp_path / "log.db").close()
    open_store(tmp_path, threaded=False).close()
    copy_into(postgres_url, tmp_path)
    place = DataPlace(tmp_path, postgres_url)
    with closing(Reading(place, seconds=0.2, threads=1)) as reading, pytest.raises(Slow):
        await reading.ask(lambda asked: asked._all("select pg_sleep(60)"))
