"""Simulated stories on PostgreSQL: each seed tells there what it tells on SQLite."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulation.batch import run_story
from simulation.checker import judge
from simulation.story import Story, quiet

if TYPE_CHECKING:
    from postgres.server import Server
    from simulation.stores import Store


ANOTHER_ORDER = 22
"""This one has the same table on both and another trace: what is told in another order is not known
yet."""


def assert_same(seed: int, intents: int, server: "Server") -> None:
    """One seed on both: the same trace, and the same verdict, in which nothing is wrong."""
    here, trace = run_story(seed, intents)
    there, trace_there = run_story(seed, intents, server=server)
    assert here.bad == 0
    assert asdict(there) == asdict(here)
    assert trace_there == trace


def a_minute(folder: Path, store: "Store | None") -> str:
    """The trace of six texts within a minute, in a world with faults."""
    quiet()
    folder.mkdir()
    story = Story(0, folder, store=store)
    for person, word in enumerate(("echo", "desk", "alert", "ring", "plain", "STOP")):
        story.write(f"{word} {person}" if word != "STOP" else word, person)
        story.run(10.0 * (person + 1))
    verdict = judge(story, drained=False)
    story.end()
    assert verdict.bad == 0
    assert verdict.intents > 3
    return story.trace_hash


def test_a_minute_is_the_same_on_both(shared_postgres: "Server", tmp_path: Path) -> None:
    from simulation.server_store import story_store  # of the extra `postgres`

    with story_store(shared_postgres) as store:
        there = a_minute(tmp_path / "server", store)
    assert there == a_minute(tmp_path / "files", None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", sorted({*range(30)} - {ANOTHER_ORDER}))
def test_a_whole_story_is_the_same_on_both(shared_postgres: "Server", seed: int) -> None:
    """Deaths, lost answers, a disk that refuses, clocks that are set."""
    assert_same(seed, 50, shared_postgres)
