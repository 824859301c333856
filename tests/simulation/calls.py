"""Calls of plugins in this process: at once, or as in a story at some time of their own.

A real worker asks plugin hosts, which no seed can order. In a story each call takes a drawn time of
the virtual clock, and then runs from beginning to end; in that time others go on, and the worker
may die. Now and then the host of a call is killed, before it begins or when it has an answer that
nobody gets: the call is made again, as the pool of a worker does.
"""

import asyncio
from random import Random
from typing import Any

from ringback.errors import PluginError, RingbackError
from ringback.plugins.perform import Loaded, describe, perform
from ringback.plugins.requests import Request
from ringback.rules.language.scope import Facts
from ringback.runtime import Runtime

USUAL = 0.05
LONG = 2.0
SELDOM = 0.05
KILLED = 0.05
"""How often the host of a call ends through no fault of the call."""


class Here:
    """Carries requests out in this process, at once."""

    def __init__(self, loaded: Loaded, facts: Facts, runtime: Runtime) -> None:
        self._loaded = loaded
        self._facts = facts
        self._runtime = runtime

    async def call(self, request: Request, *, limit: float) -> Any:
        ours = asyncio.get_running_loop()
        asyncio._set_running_loop(None)  # as in another process, which has no loop
        try:
            return perform(request, self._loaded, facts=self._facts, clock=self._runtime)
        except RingbackError:
            raise
        except Exception as error:
            raise PluginError(request.plugin, describe(error)) from None
        finally:
            asyncio._set_running_loop(ours)


class SimulatedCalls(Here):
    """Carries requests out in this process, each after a while."""

    def __init__(self, loaded: Loaded, facts: Facts, runtime: Runtime, rng: Random) -> None:
        super().__init__(loaded, facts, runtime)
        self._rng = rng

    async def call(self, request: Request, *, limit: float) -> Any:
        while self._rng.random() < KILLED:
            await asyncio.sleep(self._rng.uniform(0.0, USUAL))
            if self._rng.random() < 0.5:
                await super().call(request, limit=limit)
        longest = LONG if self._rng.random() < SELDOM else USUAL
        await asyncio.sleep(self._rng.uniform(0.0, min(longest, limit)))
        return await super().call(request, limit=limit)
