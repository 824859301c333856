"""Supervisor of a worker that dies, hangs or refuses, on real processes."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from ringback.receiver import supervisor
from ringback.receiver.supervisor import Supervisor

STEADY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with open({notes!r}, "a") as notes:
    print("up", flush=True, file=notes)
time.sleep(60)
"""
HANGS = """
import os, pathlib, time
from ringback.heartbeat import Heartbeat
with open({notes!r}, "a") as notes:
    print(os.environ.get("RINGBACK_WORKER_TROUBLE", "-"), flush=True, file=notes)
Heartbeat.create(pathlib.Path({heartbeat!r}))
time.sleep(60)
"""
BUSY = """
import pathlib, time
from ringback.heartbeat import Heartbeat
with open({notes!r}, "a") as notes:
    print("up", flush=True, file=notes)
heartbeat = Heartbeat.create(pathlib.Path({heartbeat!r}))
while True:
    heartbeat.beat()
    time.sleep(0.05)
"""
ENDS = """
import os
with open({notes!r}, "a") as notes:
    print("up", flush=True, file=notes)
os._exit({code})
"""
NOTED = """
import sys, time
with open({notes!r}, "a") as notes:
    print(*sys.argv[1:], flush=True, file=notes)
time.sleep(60)
"""
TROUBLED = """
import os
with open({notes!r}, "a") as notes:
    print(os.environ.get("RINGBACK_WORKER_TROUBLE", "-"), flush=True, file=notes)
os._exit({code})
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open({notes!r}, "a") as notes:
    print("up", flush=True, file=notes)
time.sleep(60)
"""


class Stage:
    """Runs one supervisor over a scripted worker."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes"
        self.heartbeat = folder / "worker.heartbeat"
        self.restarts = 0
        self.supervisor: Supervisor | None = None

    async def start(self, script: str, *, checking: bool = False, **values: Any) -> Supervisor:
        text = script.format(notes=str(self.notes), heartbeat=str(self.heartbeat), **values)
        command = [sys.executable, "-c", text]
        self.supervisor = Supervisor(command, dict(os.environ), self.heartbeat, self.restarted)
        await self.supervisor.start(checking=checking)
        return self.supervisor

    def restarted(self) -> None:
        self.restarts += 1

    async def lines(self, count: int, seconds: float = 10.0) -> list[str]:
        """Wait until the worker has written that many lines."""
        async with asyncio.timeout(seconds):
            while not self.notes.exists() or len(self.notes.read_text().splitlines()) < count:
                await asyncio.sleep(0.02)
        return self.notes.read_text().splitlines()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    if stage.supervisor is not None:
        stage.supervisor.kill()
        await stage.supervisor.stop()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
    return loop.time() - started


async def test_a_killed_worker_is_back_soon(stage: Stage) -> None:
    kept = await stage.start(STEADY)
    await stage.lines(1)
    first = kept.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: kept.pid not in (None, first))
    await stage.lines(2)
    assert stage.restarts == 1


async def test_the_first_worker_checks_the_rules_and_no_other(stage: Stage) -> None:
    """Reception waits for it, and for nothing of the sort when the next one is started."""
    kept = await stage.start(NOTED, checking=True)
    waiting = asyncio.ensure_future(kept.good())
    assert await stage.lines(1) == ["--checking"]
    assert not waiting.done()
    kept.checked()
    assert await waiting
    os.kill(kept.pid or 0, signal.SIGKILL)
    assert await stage.lines(2) == ["--checking", ""]


async def test_a_worker_killed_while_it_checks_is_followed_by_one_that_checks(
    stage: Stage,
) -> None:
    """It has said nothing of the rules: the node must not listen before somebody does."""
    kept = await stage.start(NOTED, checking=True)
    waiting = asyncio.ensure_future(kept.good())
    await stage.lines(1)
    os.kill(kept.pid or 0, signal.SIGKILL)
    assert await stage.lines(2) == ["--checking"] * 2
    assert not waiting.done()
    kept.checked()
    assert await waiting


async def test_a_worker_that_refuses_the_rules_ends_the_node(stage: Stage) -> None:
    """With 1 before it has found them good; afterwards that is a crash like any other."""
    kept = await stage.start(ENDS, code=1, checking=True)
    assert not await kept.good()
    assert (kept.refused, stage.restarts) == (1, 0)


@pytest.mark.parametrize("code", [1, 65, 74, 78])
async def test_a_refusal_that_took_long_ends_the_node_as_well(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """On a busy machine the first look takes longer than a worker needs to be steady."""
    monkeypatch.setattr(supervisor, "STEADY_SECONDS", 0.0)
    kept = await stage.start(ENDS, code=code, checking=True)
    async with asyncio.timeout(10):
        assert not await kept.good()
    assert (kept.refused, stage.restarts) == (code, 0)


async def test_stop_asks_and_waits(stage: Stage) -> None:
    kept = await stage.start(STEADY)
    await stage.lines(1)
    await kept.stop()
    assert kept.pid is None
    assert stage.restarts == 0


async def test_a_worker_that_will_not_end_is_killed_after_its_time(stage: Stage) -> None:
    kept = await stage.start(DEAF)
    await stage.lines(1)
    started = asyncio.get_running_loop().time()
    await kept.stop(patience=0.3)
    assert kept.pid is None
    assert 0.3 <= asyncio.get_running_loop().time() - started < 20


async def test_a_worker_that_freezes_is_killed(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is told of it, so that it can open an incident."""
    monkeypatch.setattr(supervisor, "FROZEN_SECONDS", 0.3)
    before = time.time()
    kept = await stage.start(HANGS)
    first, second, *_ = await stage.lines(2)
    assert first == "-"
    since, _, words = second.partition(" ")
    assert before - 1 < float(since) < time.time()
    assert re.search(r"the worker hung \(it has not moved for \d", words)
    await until(lambda: kept.pid is not None)
    assert stage.restarts >= 1
    assert "it has not moved for " in caplog.text


async def test_a_worker_that_is_busy_but_alive_is_left_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FROZEN_SECONDS", 0.7)
    kept = await stage.start(BUSY)
    await stage.lines(1)
    await until(stage.heartbeat.exists)
    first = kept.pid
    await asyncio.sleep(1.0)
    assert kept.pid == first


@pytest.mark.parametrize("code", [2, 65, 75, 78])
async def test_a_worker_that_cannot_start_as_things_are_ends_it(stage: Stage, code: int) -> None:
    kept = await stage.start(ENDS, code=code)
    await until(lambda: kept.refused is not None)
    assert kept.refused == code
    assert stage.restarts == 0


async def test_a_full_disk_ends_the_worker_and_not_the_node(stage: Stage) -> None:
    kept = await stage.start(ENDS, code=74)
    await stage.lines(2)
    assert kept.refused is None


async def test_a_worker_that_keeps_ending_is_told_of(stage: Stage) -> None:
    """On the health page, and to the next worker, which can tell the rules when it comes up."""
    kept = await stage.start(TROUBLED, code=74)
    first, second, *later = await stage.lines(4)
    assert (first, second) == ("-", "-")
    assert all("the worker has ended 2 times since 2" in line for line in later[:1])
    await until(lambda: " 3 times since " in kept.restarts)
    assert kept.restarts.endswith("exit 74 (the disk refuses what it writes)")


@pytest.mark.slow
async def test_restarts_slow_down_but_never_beyond_two_seconds(stage: Stage) -> None:
    await stage.start(ENDS, code=3)
    await stage.lines(1)
    waits = [await until(lambda seen=seen: stage.restarts > seen, 20.0) for seen in range(5)]
    assert max(waits) < 8.0
    assert waits[4] > waits[0]
