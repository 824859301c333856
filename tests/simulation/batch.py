"""Runs of simulated stories: one in a folder of its own, or many in several processes."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random

from simulation.checker import judge
from simulation.disturbances import prepare
from simulation.faults import Faults
from simulation.life import SCHEDULE, settings_for
from simulation.story import Story, quiet
from simulation.verdict import Verdict

MEMORY = Path("/dev/shm")
CHUNK = 5


def run_story(
    seed: int,
    intents: int = 50,
    *,
    faults: Faults | None = None,
    settle_seconds: float = 60.0,
    show: Callable[[str], None] | None = None,
) -> tuple[Verdict, str]:
    """Run the story of a seed, judge it, and leave nothing behind. Gives the verdict and the hash
    of the trace; `show` gets the trace line by line."""
    quiet()
    home = MEMORY if MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="ringback-story-", dir=home))
    try:
        story = Story(
            seed,
            folder,
            faults=faults,
            settings=settings_for(folder, settle_seconds),
            show=show,
            more_rules=(SCHEDULE,),
        )
        disturbances = Random(f"disturbances {seed}")
        story.play(intents, partial(prepare, faults=story.faults, rng=disturbances))
        verdict = judge(story)
        verdict.problems = [f"seed {seed}: {problem}" for problem in verdict.problems]
        return verdict, story.trace_hash
    finally:
        shutil.rmtree(folder)


def run_many(seeds: Iterable[int], intents: int, settle_seconds: float = 60.0) -> Verdict:
    """The stories of many seeds, one after the other, as one verdict."""
    total = Verdict(stories=0)
    for seed in seeds:
        total.add(run_story(seed, intents, settle_seconds=settle_seconds)[0])
    return total


def run_all(
    seeds: range, intents: int, processes: int, settle_seconds: float = 60.0
) -> Iterator[Verdict]:
    """The stories of many seeds in several processes; yields what it came to so far."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    work = partial(run_many, intents=intents, settle_seconds=settle_seconds)
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
