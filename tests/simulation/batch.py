"""Runs of simulated stories: one in a folder of its own, or many in several processes."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ringback.errors import RingbackError
from simulation.checker import judge
from simulation.disturbances import prepare
from simulation.faults import Faults
from simulation.life import SCHEDULE, settings_for
from simulation.stores import Store
from simulation.story import Story, quiet
from simulation.verdict import Verdict

if TYPE_CHECKING:
    from postgres.server import Server

MEMORY = Path("/dev/shm")
CHUNK = 5


def run_story(
    seed: int,
    intents: int = 50,
    *,
    faults: Faults | None = None,
    settle_seconds: float = 60.0,
    show: Callable[[str], None] | None = None,
    server: "Server | None" = None,
) -> tuple[Verdict, str]:
    """Run the story of a seed, judge it, and leave nothing behind. Gives the verdict and the hash
    of the trace; `show` gets the trace line by line. With a `server` log and journal lie there."""
    quiet()
    home = MEMORY if MEMORY.is_dir() else None
    with ExitStack() as kept:
        folder = Path(kept.enter_context(TemporaryDirectory(prefix="ringback-story-", dir=home)))
        story = Story(
            seed,
            folder,
            faults=faults,
            settings=settings_for(folder, settle_seconds),
            show=show,
            more_rules=(SCHEDULE,),
            store=kept.enter_context(_store_on(server)) if server is not None else None,
        )
        disturbances = Random(f"disturbances {seed}")
        story.play(intents, partial(prepare, faults=story.faults, rng=disturbances))
        verdict = judge(story)
        verdict.traces = int(story.trace_hash, 16)
        verdict.problems = [f"seed {seed}: {problem}" for problem in verdict.problems]
        return verdict, story.trace_hash


def _store_on(server: "Server") -> AbstractContextManager[Store]:
    from simulation.server_store import story_store  # needs psycopg

    return story_store(server)


@contextmanager
def server_of_stories() -> Iterator["Server"]:
    """A PostgreSQL server for stories, which ends with the process."""
    from postgres.binaries import find_postgres
    from postgres.keeper import run_folder, shared_server

    binaries = find_postgres()
    if binaries is None:
        raise RingbackError("no PostgreSQL is installed that Ringback supports")
    with TemporaryDirectory() as base, run_folder(Path(base), binaries) as folder:
        yield shared_server(Path(base), folder, binaries)


def run_many(
    seeds: Iterable[int],
    intents: int,
    settle_seconds: float = 60.0,
    server: "Server | None" = None,
) -> Verdict:
    """The stories of many seeds, one after the other, as one verdict."""
    total = Verdict(stories=0)
    for seed in seeds:
        verdict, _ = run_story(seed, intents, settle_seconds=settle_seconds, server=server)
        total.add(verdict)
    return total


def run_all(
    seeds: range,
    intents: int,
    processes: int,
    settle_seconds: float = 60.0,
    server: "Server | None" = None,
) -> Iterator[Verdict]:
    """The stories of many seeds in several processes; yields what it came to so far."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    work = partial(run_many, intents=intents, settle_seconds=settle_seconds, server=server)
    total = Verdict(stories=0)
    if processes < 2:
        for chunk in chunks:
            total.add(work(chunk))
            yield total
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for verdict in pool.map(work, chunks):
                total.add(verdict)
                yield total
        finally:
            pool.shutdown(cancel_futures=True)
