"""Reading of a journal on a PostgreSQL server: every question has the answer that it has on SQLite.

The journal is that of a story of the simulation, copied row by row.
"""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from postgres.copied import copy_into
from postgres.every_question import Asked, ask_facts, ask_questions
from ringback.errors import DataError, StorageError
from ringback.runtime import Runtime, iso
from ringback.store.data_place import DataPlace
from ringback.store.facts import open_facts
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.store.postgres.schema import create
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION
from ringback.store.queries.questions import Questions
from ringback.store.replays import Recorded, answers, performed
from simulation.disturbances import prepare
from simulation.life import SCHEDULE, settings_for
from simulation.story import Story, quiet

UNORDERED = {"left_between"}
"""Counts, in no order."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node that has seen some."""
    data = tmp_path_factory.mktemp("story")
    quiet()
    told = Story(3, data, settings=settings_for(data, 60.0), more_rules=(SCHEDULE,))
    told.play(60, partial(prepare, faults=told.faults, rng=Random("disturbances 3")))
    return data


class Both:
    """Asks two at once, and says what the first answers. What differs is kept."""

    def __init__(self, one: Any, other: Any) -> None:
        self._one, self._other = one, other
        self.differing: dict[str, tuple[Any, Any]] = {}
        self.asked = self.told = 0

    def __getattr__(self, name: str) -> Any:
        def ask(*values: Any, **more: Any) -> Any:
            one = _whole(getattr(self._one, name)(*values, **more))
            other = _whole(getattr(self._other, name)(*values, **more))
            self.asked, self.told = self.asked + 1, self.told + bool(one)
            same = (_plain(name, one), _plain(name, other))
            if same[0] != same[1]:
                self.differing.setdefault(f"{name}{values}{more}", same)
            return one

        return ask


def _whole(answer: Any) -> Any:
    return list(answer) if isinstance(answer, Iterator) else answer


def _plain(name: str, answer: Any) -> Any:
    text = json.dumps(answer, default=str)
    if name not in UNORDERED:
        return text
    rows = [row | {"params": json.loads(row["params"])} for part in answer for row in part]
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def test_every_question_can_be_asked(postgres_url: str, tmp_path: Path) -> None:
    """Of a journal in which nothing is yet."""
    Log.open(tmp_path / "log.db").close()
    open_store(tmp_path).close()
    copy_into(postgres_url, tmp_path)
    now = datetime.now(UTC)
    with Questions(tmp_path) as files, Questions(DataPlace(tmp_path, postgres_url)) as server:
        both = Both(files, server)
        ask_questions(both, iso(now - timedelta(hours=1)), now)
    assert both.differing == {}


@pytest.mark.slow
def test_every_question_has_the_same_answer(story: Path, postgres_url: str) -> None:
    """Of people and of conditions, over the journal of a node."""
    copy_into(postgres_url, story)
    place = DataPlace(story, postgres_url)
    with Questions(story) as files, Questions(place) as server:
        both = Both(files, server)
        now = datetime.fromisoformat(files.events(limit=1)[0]["received_at"])
        hour = iso(now - timedelta(hours=1))
        ask_questions(both, hour, now, Asked.of(files))
        assert files.identity() != server.identity() != ""
    assert both.differing == {}
    assert both.told > both.asked / 3, (both.told, both.asked)
    runtime = Runtime(time=now.timestamp)
    with closing(open_facts(story, runtime)) as one, closing(open_facts(place, runtime)) as other:
        both = Both(one, other)
        ask_facts(both, now)
    assert both.differing == {}


@pytest.mark.slow
def test_replays_read_what_was_recorded(story: Path, postgres_url: str) -> None:
    copy_into(postgres_url, story)
    place = DataPlace(story, postgres_url)
    assert list(performed(place)) == list(performed(story)) != []
    assert answers(place) == answers(story)
    with Recorded(place) as server, Recorded(story) as files:
        uids = list(files.since(""))
        assert list(server.since("")) == uids
        assert [server.whole(uid) for uid in uids] == [files.whole(uid) for uid in uids]
        assert [server.earlier(uid, 9) for uid in uids] == [files.earlier(uid, 9) for uid in uids]


def test_a_database_without_tables_is_told_with_its_mend(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="ringback cluster create"):
        Questions(DataPlace(tmp_path, postgres_url))


def test_tables_of_another_version_are_refused(postgres_url: str, tmp_path: Path) -> None:
    with closing(PostgresConnection(postgres_url, "test", PARTITION)) as server:
        create(server, PARTITION)
        server.execute("update rb.schema set version = 'other'")
    with pytest.raises(DataError, match="another version"):
        Questions(DataPlace(tmp_path, postgres_url))


def test_a_question_ends_at_its_moment(postgres_url: str, tmp_path: Path) -> None:
    """The one that is being answered, and each that would begin later."""
    with closing(PostgresConnection(postgres_url, "test", PARTITION)) as server:
        create(server, PARTITION)
    with Questions(DataPlace(tmp_path, postgres_url)) as asked:
        asked.end_at(time.monotonic() + 0.2)
        with pytest.raises(StorageError, match="statement timeout"):
            asked._all("select pg_sleep(60)")
        with pytest.raises(StorageError, match="too long"):
            asked.newest()
        asked.end_at(time.monotonic() + 60)
        assert asked.newest()["events"] == 0


def test_nothing_can_be_written_there(postgres_url: str, tmp_path: Path) -> None:
    with closing(PostgresConnection(postgres_url, "test", PARTITION)) as server:
        create(server, PARTITION)
    with Questions(DataPlace(tmp_path, postgres_url)) as asked:
        with pytest.raises(StorageError, match="read-only"):
            asked._all("insert into meta (key, value) values ('a', '') returning key")
        version = asked.version()
        with closing(PostgresConnection(postgres_url, "test", PARTITION)) as server:
            server.execute("insert into meta (key, value) values ('a', '')")
        assert asked.version() != version
