"""Questions to plugins: functions and steps that a pass over rules needs, answered in batches.

A pass is made again until its memo has every answer. A project whose plugins bring neither makes
one pass and pays nothing. What is being asked already is not asked a second time.
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
"""How long a batch of functions may take."""
MOST_PASSES = 600
"""A run takes at most 500 steps between two waits, and each may need a pass."""
STALL_SECONDS = 0.1
"""A batch that takes longer is asked again, each question by itself: which blocks is known then."""
SIDE_BY_SIDE = 10

Group = dict[Hashable, FunctionQuestion]
Answers = dict[Hashable, Known]
Asked = dict[Hashable, "asyncio.Future[Known]"]


class Questions:
    """Makes passes over rules, and has plugins asked in between.

    `quarantined` names, with the reason, the functions that are not asked any more.
    """

    def __init__(self, calls: PluginCalls, strikes: Strikes) -> None:
        self.quarantined: Mapping[str, str] = {}
        self.calls = calls
        self.strikes = strikes
        self.none = True
        """Whether plugins bring nothing that could be asked for."""
        self._asked: Asked = {}
        self._asking: set[asyncio.Task[None]] = set()

    def reload(self, plugins: PluginSet) -> None:
        """Ask these plugins from now on."""
        self.none = not (plugins.functions or plugins.steps)

    async def settled(
        self, read: Callable[..., Awaitable[T]], work: Callable[..., T], *args: Any,
        rule: str = "", limit: float = FUNCTION_SECONDS, memo: Memo | None = None,
    ) -> T:  # fmt: skip
        """What `read(work, *args)` gives once every answer is there that `work` looks up.

        `rule` is the one whose steps are asked, each for at most `limit` seconds. `memo` may have
        answers already, and has them all then. Raises PluginBlocked for a step that took longer;
        what a function did is the value of its call.
        """
        if self.none:
            return await read(work, *args)
        memo = memo or Memo()
        found = await read(memo.within(work), *args)
        for _ in range(MOST_PASSES):
            if not memo.missing:
                break
            memo.known.update(await self._ask(memo.missing, rule, limit))
            found = await read(memo.within(work), *args)
        return found

    async def _ask(self, missing: Mapping[Hashable, Question], rule: str, limit: float) -> Answers:
        asked = self.begin(missing)
        steps = [
            self._step(key, question, rule, limit)
            for key, question in missing.items()
            if isinstance(question, StepQuestion)
        ]
        known = dict(await asyncio.gather(*steps))
        if asked:
            await asyncio.wait(asked.values())
        return {**known, **{key: future.result() for key, future in asked.items()}}

    async def _step(
        self, key: Hashable, question: StepQuestion, rule: str, limit: float
    ) -> tuple[Hashable, Known]:
        request = StepCall(question.name, question.plugin, rule, question.event, question.params)
        try:
            return key, (True, await self.calls.call(request, limit=limit))
        except PluginBlocked:
            raise
        except RingbackError as error:
            return key, (False, error)

    def begin(self, missing: Mapping[Hashable, Question]) -> Asked:
        """Ask the functions among these questions. Their answers to be, which nobody has to wait
        for."""
        found: Asked = {}
        groups: dict[str, Group] = {}
        for key, question in missing.items():
            if isinstance(question, FunctionQuestion):
                if key not in self._asked:
                    self._asked[key] = asyncio.get_running_loop().create_future()
                    groups.setdefault(question.plugin, {})[key] = question
                found[key] = self._asked[key]
        for plugin, group in groups.items():
            task = asyncio.ensure_future(self._carried_out(plugin, group))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return found

    def _tell(self, key: Hashable, known: Known) -> None:
        if not (future := self._asked.pop(key)).done():
            future.set_result(known)

    async def _carried_out(self, plugin: str, group: Group) -> None:
        try:
            await self._functions(plugin, group)
        except BaseException as error:  # the journal is broken, or the worker ends
            for future in [self._asked.pop(key) for key in group if key in self._asked]:
                if isinstance(error, asyncio.CancelledError):
                    future.cancel()
                elif not future.done():
                    future.set_exception(error)
                    future.exception()  # whoever waits gets it; it may be that nobody does
            if not isinstance(error, Exception):
                raise

    async def _functions(self, plugin: str, group: Group) -> None:
        """Get the values of some calls of one plugin's functions."""
        left = {}
        for key, question in group.items():
            why = self.quarantined.get(f"{plugin}.{question.name}")
            if why:
                self._tell(key, (False, ValueError(f"{question.name} is quarantined: {why}")))
            else:
                left[key] = question
        if left:
            await self._batch(plugin, left)

    async def _batch(self, plugin: str, group: Group) -> None:
        calls = tuple((question.name, question.args) for question in group.values())
        try:
            values = await self._answers(FunctionCalls(plugin, calls))
        except PluginBlocked as error:
            if len(group) > 1:
                await self._singly(plugin, group)
                return
            await self.strikes.strike(f"{plugin}.{calls[0][0]}", plugin, str(error))
            values = ((False, str(error)),)
        except RingbackError as error:
            values = ((False, str(error)),) * len(group)
        if values is None:
            await self._singly(plugin, group)
            return
        for key, (good, value) in zip(group, values, strict=True):
            self._tell(key, (good, value if good else ValueError(value)))

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

    async def _singly(self, plugin: str, group: Group) -> None:
        """The same one by one, since one of them has blocked: the others have their answers."""
        turn = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(key: Hashable, question: FunctionQuestion) -> None:
            async with turn:
                await self._functions(plugin, {key: question})

        await asyncio.gather(*(one(key, question) for key, question in group.items()))
