"""Tests of virtual time: the order of events, steps, speed, jumps, and a broken event."""

import asyncio
import time
from typing import Any

import pytest

from ringback.simulator.clock import STEPPED_START, Clock


async def test_events_happen_in_order_of_time_then_of_asking() -> None:
    clock = Clock(stepped=True)
    seen: list[Any] = []
    for name, delay in (("late", 5), ("first", 1), ("second", 1), ("now", 0), ("past", -3)):
        clock.after(delay, lambda name=name: seen.append((name, clock.now() - STEPPED_START)))
    assert await clock.advance(4.5) == 4
    assert seen == [("now", 0), ("past", 0), ("first", 1), ("second", 1)]
    assert clock.now() == STEPPED_START + 4.5
    assert clock.pending() == 1
    assert clock.pending(within=0.4) == 0
    assert await clock.exhaust() == 1
    assert clock.now() == STEPPED_START + 5


async def test_what_an_event_sets_off_happens_within_the_same_step() -> None:
    clock = Clock(stepped=True)
    seen: list[Any] = []
    clock.after(1, lambda: clock.after(1, lambda: seen.append(clock.now())))
    await clock.advance(3)
    assert seen == [STEPPED_START + 2]


async def test_a_cancelled_event_does_not_happen() -> None:
    clock = Clock(stepped=True)
    seen: list[Any] = []
    timer = clock.after(1, lambda: seen.append(1))
    timer.cancel()
    assert clock.pending() == 0
    assert await clock.advance(2) == 0
    assert not seen


async def test_a_step_waits_for_what_its_event_has_sent() -> None:
    clock = Clock(stepped=True)
    seen: list[Any] = []
    tasks: list[asyncio.Task[None]] = []

    async def request() -> None:
        await asyncio.sleep(0.01)
        seen.append(("answer", clock.now()))

    async def quiet() -> None:
        await asyncio.gather(*tasks)
        tasks.clear()

    clock.quiet = quiet
    clock.after(1, lambda: tasks.append(asyncio.get_running_loop().create_task(request())))
    clock.after(2, lambda: seen.append(("next", clock.now())))
    await clock.advance(5)
    assert seen == [("answer", STEPPED_START + 1), ("next", STEPPED_START + 2)]


async def test_two_steps_at_once_come_one_after_the_other() -> None:
    clock = Clock(stepped=True)
    await asyncio.gather(clock.advance(3), clock.advance(4))
    assert clock.now() == STEPPED_START + 7


async def test_a_broken_event_is_reported_and_the_next_one_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock(stepped=True)
    seen: list[Any] = []
    clock.broken = seen.append
    clock.after(1, lambda: 1 // 0)
    clock.after(2, lambda: seen.append("on"))
    await clock.advance(3)
    assert seen == ["ZeroDivisionError: integer division or modulo by zero", "on"]
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_a_fast_clock_shortens_waits_and_not_dates() -> None:
    clock = Clock(speed=1000)
    done = asyncio.Event()
    clock.run(asyncio.get_running_loop())
    begun = time.time()
    clock.after(100, done.set)
    async with asyncio.timeout(5):
        await done.wait()
    assert clock.now() - begun >= 100
    assert abs(clock.shown().timestamp() - time.time()) < 2
    clock.stop()


async def test_a_jump_moves_the_dates_too_and_keeps_those_of_the_past() -> None:
    clock = Clock(speed=10)
    clock.run(asyncio.get_running_loop())
    past = clock.now()
    before = clock.date(past)
    await clock.advance(86_400)
    assert clock.date(past) == before
    assert (clock.shown() - before).total_seconds() >= 86_400
    clock.set_speed(1)
    assert clock.date(past) == before
    clock.stop()


async def test_a_jump_fires_what_it_passes() -> None:
    clock, done = Clock(), asyncio.Event()
    clock.run(asyncio.get_running_loop())
    clock.after(3600, done.set)
    await clock.advance(3601)
    async with asyncio.timeout(2):
        await done.wait()
    clock.stop()
    assert clock.pending() == 0


async def test_the_clock_says_when_it_has_something_to_do() -> None:
    clock = Clock(stepped=True)
    assert clock.next_in() is None
    dropped = clock.after(3, lambda: None)
    clock.after(5, lambda: None)
    dropped.cancel()
    assert clock.next_in() == 5
    await clock.advance(2)
    assert clock.next_in() == 3
