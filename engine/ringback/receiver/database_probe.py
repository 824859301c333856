"""Probe of a database server: whether a node could record what comes in now."""

import asyncio

from ringback.errors import RingbackError
from ringback.store.log import Log

PATIENCE = 1.0


class Probe:
    """Asks the server, through the connection that records; one question at a time."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._asked: asyncio.Future[int] | None = None

    async def trouble(self) -> str:
        """Why nothing can be recorded now; empty when it can."""
        try:
            if self._asked is None or self._asked.done():
                self._asked = self._log.reach()
            done, _ = await asyncio.wait((self._asked,), timeout=PATIENCE)
            if done:
                self._asked.result()
        except RingbackError as error:
            return str(error)
        return "" if done else f"{self._log.writer.target.name}: the server does not answer"
