"""Questions to plugins: functions and steps that a pass over rules needs, answered in batches.

A pass is made again until its memo has every answer. A project whose plugins bring neither makes
one pass and pays nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, TypeVar

from ringback.errors import PluginBlocked, RingbackError
from ringback.plugins.loader import PluginSet
from ringback.plugins.memo import FunctionQuestion, Known, Memo, Question, StepQuestion
from ringback.plugins.requests import FunctionCalls, PluginCalls, StepCall, Values
from ringback.worker.strikes import Strikes

T = TypeVar("T")

FUNCTION_SECONDS = 1.0
"""How long a batch of functions may take: matching waits for it."""
MOST_PASSES = 600
"""A run takes at most 500 steps between two waits, and each may need a pass."""
STALL_SECONDS = 0.1
"""A batch that takes longer is asked again, each question by itself: which blocks is known then."""
SIDE_BY_SIDE = 10

Group = dict[Hashable, FunctionQuestion]
Answers = dict[Hashable, Known]


class Questions:
    """Makes passes over rules, and has plugins asked in between.

    `quarantined` names, with the reason, the functions that are not asked any more.
    """

    def __init__(self, calls: PluginCalls, strikes: Strikes) -> None:
        self.quarantined: Mapping[str, str] = {}
        self.calls = calls
        self.strikes = strikes
        self._none = True

    def reload(self, plugins: PluginSet) -> None:
        """Ask these plugins from now on."""
        self._none = not (plugins.functions or plugins.steps)

    async def settled(
        self, read: Callable[..., Awaitable[T]], work: Callable[..., T], *args: Any,
        rule: str = "", limit: float = FUNCTION_SECONDS,
    ) -> T:  # fmt: skip
        """What `read(work, *args)` gives once every answer is there that `work` looks up.

        `rule` is the one whose steps are asked, each for at most `limit` seconds. Raises
        PluginBlocked for a step that took longer; what a function did is the value of its call.
        """
        if self._none:
            return await read(work, *args)
        memo = Memo()
        found = await read(memo.within(work), *args)
        for _ in range(MOST_PASSES):
            if not memo.missing:
                break
            memo.known.update(await self._ask(memo.missing, rule, limit))
            found = await read(memo.within(work), *args)
        return found

    async def _ask(self, missing: Mapping[Hashable, Question], rule: str, limit: float) -> Answers:
        functions: dict[str, Group] = {}
        asked = []
        for key, question in missing.items():
            if isinstance(question, FunctionQuestion):
                functions.setdefault(question.plugin, {})[key] = question
            else:
                asked.append(self._step(key, question, rule, limit))
        asked += [self._functions(plugin, group) for plugin, group in functions.items()]
        return {key: known for each in await asyncio.gather(*asked) for key, known in each.items()}

    async def _step(
        self, key: Hashable, question: StepQuestion, rule: str, limit: float
    ) -> Answers:
        request = StepCall(question.name, question.plugin, rule, question.event, question.params)
        try:
            return {key: (True, await self.calls.call(request, limit=limit))}
        except PluginBlocked:
            raise
        except RingbackError as error:
            return {key: (False, error)}

    async def _functions(self, plugin: str, group: Group) -> Answers:
        """The values of some calls of one plugin's functions."""
        out = {
            key: (False, ValueError(f"{question.name} is quarantined: {why}"))
            for key, question in group.items()
            if (why := self.quarantined.get(f"{plugin}.{question.name}"))
        }
        left = {key: question for key, question in group.items() if key not in out}
        return {**out, **await self._batch(plugin, left)} if left else {**out}

    async def _batch(self, plugin: str, group: Group) -> Answers:
        calls = tuple((question.name, question.args) for question in group.values())
        request = FunctionCalls(plugin, calls)
        try:
            values = await self._answers(request)
        except PluginBlocked as error:
            if len(group) > 1:
                return await self._singly(plugin, group)
            await self.strikes.strike(f"{plugin}.{calls[0][0]}", plugin, str(error))
            return dict.fromkeys(group, (False, ValueError(str(error))))
        except RingbackError as error:
            return dict.fromkeys(group, (False, ValueError(str(error))))
        if values is None:
            return await self._singly(plugin, group)
        return {
            key: (good, value if good else ValueError(value))
            for key, (good, value) in zip(group, values, strict=True)
        }

    async def _answers(self, request: FunctionCalls) -> Values | None:
        """The answers to a batch; None for one of several questions that has come to a stall. No
        one of them is to blame yet, and the process that is at it is left to its fate."""
        asking = asyncio.ensure_future(self.calls.call(request, limit=FUNCTION_SECONDS))
        try:
            limit = STALL_SECONDS if len(request.calls) > 1 else None
            await asyncio.wait((asking,), timeout=limit)
            return await asking if asking.done() else None
        finally:
            asking.cancel()

    async def _singly(self, plugin: str, group: Group) -> Answers:
        """The same one by one, since one of them has blocked: the others have their answers."""
        turn = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(key: Hashable, question: FunctionQuestion) -> Answers:
            async with turn:
                return await self._functions(plugin, {key: question})

        found = await asyncio.gather(*(one(key, question) for key, question in group.items()))
        return {key: known for each in found for key, known in each.items()}
