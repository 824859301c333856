"""Reading of the console: a limit of time, and files that are missing, damaged or replaced."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringback.console.conversing import Conversations
from ringback.console.problems import Refusal
from ringback.console.reading import Reading, Slow
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.store.queries.questions import Questions


def begin(data: Path, fact: str = "") -> None:
    """Files as a worker makes them, with a fact that tells them apart."""

    Log.open(data / "log.db").close()

    async def note() -> None:
        with contextlib.closing(open_store(data, threaded=False)) as store:
            await store.journal.meta.set("fact", fact)

    asyncio.run(note())


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Reading]:
    with contextlib.closing(Reading(tmp_path, seconds=0.2)) as made:
        yield made


def test_a_question_that_takes_too_long_is_ended(tmp_path: Path, reading: Reading) -> None:
    """It raises Slow, and the next question is answered."""
    begin(tmp_path, "here")
    long = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 9000000) "
        "select max(i) from n"
    )

    def count(asked: Questions) -> object:
        return asked._all(long)

    with pytest.raises(Slow):
        asyncio.run(reading.ask(count))
    assert asyncio.run(reading.ask(lambda asked: asked.meta("fact"))) == "here"


def test_what_cannot_be_read_is_no_empty_answer(tmp_path: Path, reading: Reading) -> None:
    """A journal that is missing or damaged is a problem of the kind `data`."""

    def fact() -> str:
        return asyncio.run(reading.ask(lambda asked: asked.meta("fact")))

    for damage in (None, b"no database at all" * 400):
        if damage:
            (tmp_path / "journal.db").write_bytes(damage)
        with pytest.raises(Refusal) as refused:
            fact()
        assert refused.value.problem.slug == "data"
        assert "journal.db" in refused.value.problem.detail
    (tmp_path / "journal.db").unlink()
    begin(tmp_path, "one")
    assert fact() == "one"
    for path in tmp_path.glob("*.db*"):  # as a restore replaces the files of a node that stands
        path.unlink()
    begin(tmp_path, "two")
    assert fact() == "two"


def test_conversations_end_once_however_often_it_is_said(tmp_path: Path) -> None:
    """The application ends them, and so may whoever has made it."""
    reading = Reading(tmp_path)
    conversations = Conversations(tmp_path, reading)
    conversations.close()
    conversations.close()
    reading.close()
