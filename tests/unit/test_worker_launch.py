"""Places of attempts that have no connection yet: few, and more while connections come about."""

import asyncio

import pytest

from ringback.worker.send.launch import FEW, STALE_SECONDS, Launch, Places

MOST = 20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def begun(places: Places, number: int) -> list[Launch]:
    launches = [Launch(places) for _ in range(number)]
    return [each for each in launches if each.begin_now()]


async def test_there_are_few_until_connections_come_about() -> None:
    places = Places(MOST, Clock())
    first = await begun(places, MOST)
    assert len(first) == FEW
    for each in first:
        each.connected()
    assert len(await begun(places, 3 * MOST)) == 2 * FEW


async def test_there_are_never_more_than_the_most() -> None:
    places = Places(MOST, Clock())
    for _ in range(10):
        for each in await begun(places, MOST):
            each.connected()
    assert len(await begun(places, 3 * MOST)) == MOST


async def test_there_are_few_again_when_none_has_come_for_a_while() -> None:
    clock = Clock()
    places = Places(MOST, clock)
    for _ in range(10):
        for each in await begun(places, MOST):
            each.connected()
    clock.now += STALE_SECONDS + 0.1
    assert len(await begun(places, MOST)) == FEW


async def test_who_waits_gets_the_place_that_is_free_in_turn() -> None:
    places = Places(MOST, Clock())
    held = await begun(places, FEW)
    order: list[int] = []

    async def one(number: int) -> None:
        async with Launch(places) as launch:
            await launch.begin()
            order.append(number)

    waiting = [asyncio.ensure_future(one(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert not Launch(places).begin_now()
    held[0].left()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]


async def test_a_place_given_to_one_that_was_cancelled_is_free_again() -> None:
    places = Places(MOST, Clock())
    held = await begun(places, FEW)
    waiting = asyncio.ensure_future(Launch(places).begin())
    await asyncio.sleep(0)
    held[0].left()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert Launch(places).begin_now()
