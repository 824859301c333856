"""Place of a worker among the nodes of its cluster: it stands by, or owns and works."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from ringback.config import Settings
from ringback.errors import HeldError, RingbackError, StorageError
from ringback.ipc import Message, serve
from ringback.runtime import REAL
from ringback.store.journal import Store, open_ownership, open_store

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
"""So often a worker says that it lives, and sees whether the partition is free."""
LOOK_SECONDS = 0.5
"""So often an owner looks for what the receivers of other nodes have recorded."""


class Place:
    """One life of a worker in a cluster; `join` makes it. `restart` is called, with a reason, when
    this life is over: another node works on, or the server does not answer."""

    def __init__(self, settings: Settings, restart: Callable[[str], None]) -> None:
        self.regained: Callable[[], object] = lambda: None
        """Called when the lease is renewed after it had nearly run out."""
        self._settings, self._restart = settings, restart
        self._owned = asyncio.Event()
        self._ownership = open_ownership(
            settings.database_url, settings.node or socket.gethostname(), REAL.uid("boot"),
            settings.lease_seconds,
        )  # fmt: skip
        self._beating: asyncio.Task[None] | None = None

    @classmethod
    async def join(cls, settings: Settings, restart: Callable[[str], None]) -> "Place":
        """Take a place, and own the partition at once when it is free. Raises HeldError when
        another node has the name of this one, StorageError when the server does not answer."""
        place = await asyncio.to_thread(cls, settings, restart)
        try:
            await asyncio.to_thread(place._ownership.join)
            await place._beat()
        except BaseException:
            place._ownership.close()
            raise
        place._beating = asyncio.ensure_future(place._beats())
        return place

    def left(self) -> float:
        """For how many seconds this worker owns without a further word of the server."""
        return self._ownership.left()

    @contextlib.asynccontextmanager
    async def standing_by(self, path: Path) -> AsyncIterator[None]:
        """Answer at the worker's socket that another node works, meanwhile."""
        server = await serve(path, self._answer)
        try:
            yield
        finally:
            await server.close()

    async def owned(self) -> None:
        """Wait until this worker owns the partition."""
        if not self._owned.is_set():
            log.warning("standing by: node %s works", self._ownership.owner)
        await self._owned.wait()

    async def opened(self) -> Store:
        """The log and the journal, which this worker alone writes now."""
        settings = self._settings
        return await asyncio.to_thread(
            open_store, settings.data, settings.database_url,
            epoch=self._ownership.epoch, idle=settings.lease_seconds,
        )  # fmt: skip

    async def close(self) -> None:
        """Give back what is owned: the next owner begins within a beat."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        with contextlib.suppress(RingbackError):  # the server sees that the connection is gone
            await asyncio.to_thread(self._ownership.release)

    async def _answer(self, message: Message) -> dict[str, Any] | None:
        words = f"this node stands by: node {self._ownership.owner} works"
        if message.get("op") == "wake":
            return None  # whoever works looks for itself
        if message.get("op") in ("status", "answer"):
            return {"ok": True, "standby": words}
        raise HeldError(words)

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self._beat()
            except RingbackError as error:
                self._restart(str(error))
                return

    async def _beat(self) -> None:
        ownership = self._ownership
        if not ownership.epoch:
            if await asyncio.to_thread(ownership.take):
                log.info(
                    "node %s works from now on (epoch %d)", self._ownership.node, ownership.epoch
                )
                self._owned.set()
            return
        nearly = ownership.left() < self._settings.lease_seconds / 2
        try:
            async with asyncio.timeout(max(ownership.left(), BEAT_SECONDS)):
                await asyncio.to_thread(ownership.renew)
        except TimeoutError:
            ownership.cut()
            raise StorageError("the server has not renewed the lease: it does not answer") from None
        if nearly:
            self.regained()
