"""Changes of the console's own files, each carried out once for its request.

What the worker changes has its requests in the journal. Of these the console remembers the last
itself: a form that is sent twice, or a program that repeats, gets the first answer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 256


class Once:
    """The last requests of one console, with what became of them."""

    def __init__(self) -> None:
        self._done: OrderedDict[tuple[str, str, str], asyncio.Future[Any]] = OrderedDict()

    async def do(self, who: str, path: str, request: str, work: Callable[[], Awaitable[T]]) -> T:
        """The answer of `work`, or of the same request before. What has failed may be tried
        again."""
        key = (who, path, request)
        known = self._done.get(key) if request else None
        if known is not None:
            found: T = await asyncio.shield(known)
            return found
        task = asyncio.ensure_future(work())
        if request:
            self._done[key] = task
            while len(self._done) > MOST:
                self._done.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except Exception:
            self._done.pop(key, None)
            raise
