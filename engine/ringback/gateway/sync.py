"""Gateway for scripts that are not async.

    with SyncGateway.from_env() as gateway:
        for message in gateway.messages.list(to="+15551234567", limit=10):
            print(message.status)

It runs the async gateway on an event loop of its own, in a thread of its own.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials, GatewaySettings

T = TypeVar("T")

_WRAPPED = ("ringback.gateway.resources", "ringback.gateway.connections")
"""Where the objects are defined whose methods are called through the thread."""


class SyncGateway:
    """Every attribute of `Gateway`, with plain results for awaitables and plain iterators for
    async ones. Use it in a `with` block, or call `close`; raises what the gateway raises."""

    def __init__(self, access: Credentials) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="ringback-gateway", daemon=True
        )
        self._thread.start()
        self._gateway = self._run(_made(access))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """See `Gateway.from_env`."""
        return cls(Gateway.from_env(environ).access)

    @classmethod
    def from_settings(cls, settings: GatewaySettings) -> Self:
        """See `Gateway.from_settings`."""
        return cls(Credentials.from_settings(settings))

    def __repr__(self) -> str:
        return f"Sync{self._gateway!r}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and end the thread. A second call does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._gateway.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __getattr__(self, name: str) -> Any:
        return _Front(self._run, getattr(self._gateway, name)).resolved()

    def _run(self, awaitable: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(_awaited(awaitable), self._loop).result()


class _Front:
    """A piece of the gateway, seen from a program that does not await."""

    def __init__(self, run: Callable[[Awaitable[Any]], Any], inner: Any) -> None:
        self._run = run
        self._inner = inner

    def __repr__(self) -> str:
        return f"<sync {type(self._inner).__name__}>"

    def __getattr__(self, name: str) -> Any:
        return _Front(self._run, getattr(self._inner, name)).resolved()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _Front(self._run, self._inner(*args, **kwargs)).resolved()

    def resolved(self) -> Any:
        """What stands behind: awaited, made a plain iterator, wrapped again, or as it is."""
        inner = self._inner
        if inspect.isasyncgen(inner):
            return self._items(cast(AsyncGenerator[Any, None], inner))
        if inspect.isawaitable(inner):
            return self._run(inner)
        if callable(inner) or type(inner).__module__ in _WRAPPED:
            return self
        return inner

    def _items(self, source: AsyncGenerator[Any, None]) -> Iterator[Any]:
        end = object()
        try:
            while (item := self._run(_next(source, end))) is not end:
                yield item
        finally:
            self._run(source.aclose())


async def _next(source: AsyncGenerator[Any, None], end: Any) -> Any:
    return await anext(source, end)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _made(access: Credentials) -> Gateway:
    return Gateway(access)
