"""What is wrong right now? One open incident for each matter, however often it shows itself."""

import logging
from functools import partial

from ringback.events import Event
from ringback.seams import Seams, iso
from ringback.store import ending, watching
from ringback.store.journal import Journal

log = logging.getLogger(__name__)


class Incidents:
    """Opens and resolves incidents; rules hear of both as events."""

    def __init__(self, journal: Journal, seams: Seams) -> None:
        self._journal = journal
        self._seams = seams

    async def open(self, key: str, kind: str, text: str) -> None:
        """Something is wrong. The same key while it is open only counts."""
        uid, now = self._seams.uid("inc"), self._seams.now()
        fresh = await self._journal.write(
            partial(watching.open_incident, uid=uid, key=key, kind=kind, text=text, now=iso(now))
        )
        if fresh:
            log.error("incident %s: %s", key, text)
            await self._tell("incident.opened", uid, key, kind, text)

    async def resolve(self, key: str, kind: str, text: str = "") -> None:
        """It is right again. Nothing happens when no incident of this key is open."""
        now = iso(self._seams.now())
        uid = await self._journal.write(partial(watching.resolve_incident, key=key, now=now))
        if uid is not None:
            log.warning("incident %s is over: %s", key, text or kind)
            await self._tell("incident.resolved", uid, key, kind, text)

    async def settle(self, kind: str, still: dict[str, str]) -> None:
        """Make the open incidents of a kind those in `still` (key to text), and no others."""
        for key, text in still.items():
            await self.open(key, kind, text)
        for key in watching.open_keys(self._journal.reader, kind):
            if key not in still:
                await self.resolve(key, kind)

    async def _tell(self, type_: str, uid: str, key: str, kind: str, text: str) -> None:
        now = self._seams.now()
        event = Event(
            uid=self._seams.uid("evt"), type=type_, at=now, received_at=now, source="internal",
            subject_sid=uid, status=kind, dedupe_key=f"{type_}:{uid}",
            fields={"Key": key, "Kind": kind, "Text": text},
        )  # fmt: skip
        await self._journal.write(partial(ending.record_internal, event=event))
