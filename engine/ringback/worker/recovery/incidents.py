"""Incidents: one is open for each matter, however often it shows itself."""

import logging
from collections.abc import Mapping
from datetime import datetime

from ringback.runtime import Runtime
from ringback.store.interface import Journal

log = logging.getLogger(__name__)


class Incidents:
    """Opens and resolves incidents; rules hear of both as events."""

    def __init__(self, journal: Journal, runtime: Runtime) -> None:
        self._journal = journal
        self._runtime = runtime

    async def open(
        self,
        key: str,
        kind: str,
        text: str,
        *,
        since: datetime | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Something is wrong, and has been `since`. The same key while it is open only counts."""
        uid, now = self._runtime.uid("inc"), self._runtime.now()
        if await self._journal.incidents.open(uid, key, kind, text, now, since=since, more=more):
            log.error("incident %s: %s", key, text)

    async def update(self, key: str, kind: str, text: str, more: Mapping[str, str]) -> None:
        """It has grown, or shows itself otherwise. Without an open one nothing happens."""
        uid, now = self._runtime.uid("evt"), self._runtime.now()
        if await self._journal.incidents.update(uid, key, kind, text, now, more):
            log.error("incident %s: %s", key, text)

    async def resolve(self, key: str, kind: str, text: str = "") -> None:
        """It is right again. Nothing happens when no incident of this key is open."""
        uid, now = self._runtime.uid("evt"), self._runtime.now()
        if await self._journal.incidents.resolve(uid, key, kind, text, now):
            log.warning("incident %s is over: %s", key, text or kind)

    async def settle(self, kind: str, still: dict[str, str]) -> None:
        """Make the open incidents of a kind those in `still` (key to text), and no others."""
        for key, text in still.items():
            await self.open(key, kind, text)
        for key in await self._journal.incidents.open_keys(kind):
            if key not in still:
                await self.resolve(key, kind)
