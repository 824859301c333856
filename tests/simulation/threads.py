"""Calls of user code in a story: in no thread, and yet at some time of its own.

A real worker calls handlers in threads, which no seed can order. Here each call takes a drawn time
of the virtual clock, and then runs from beginning to end; in that time others go on, and the worker
may die.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from ringback.errors import PluginError, RingbackError
from ringback.worker.run.handlers import Handlers, HandlerTimeout, describe

USUAL = 0.05
LONG = 2.0
SELDOM = 0.05


class SimulatedHandlers(Handlers):
    """Calls handlers one after the other, each after a while."""

    def __init__(self, rng: Random) -> None:
        super().__init__(None, lambda reason: None)
        self._rng = rng

    async def call(
        self, work: Callable[[], Any], *, limit: float, run_uid: str, rule: str, plugin: str
    ) -> Any:
        longest = LONG if self._rng.random() < SELDOM else USUAL
        takes = self._rng.uniform(0.0, longest)
        await asyncio.sleep(min(takes, limit))
        if takes > limit:
            raise HandlerTimeout(f"took longer than {limit:g} s")
        ours = asyncio.get_running_loop()
        asyncio._set_running_loop(None)  # as in a thread, which has no loop
        try:
            return work()
        except RingbackError:
            raise
        except Exception as error:
            raise PluginError("", describe(error)) from None
        finally:
            asyncio._set_running_loop(ours)
