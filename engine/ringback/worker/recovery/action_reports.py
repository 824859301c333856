"""Reports of actions that came to an end: one line of the log for each, and counts for metrics."""

import asyncio
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ringback.error_codes import explain_error
from ringback.errors import RingbackError
from ringback.runtime import from_iso
from ringback.store.interface import Journal
from ringback.worker.traces import worker_spans as traces

log = logging.getLogger("ringback.action")

TOLD = ("settled", "failed", "refused", "parked", "unknown")
"""The states of an action that are told; who cancels one, or keeps it in a shadow, knows it."""
BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Bounds of the times that actions take, in seconds."""
PAUSE = 0.5
"""Those of so many seconds are read together."""
CHUNK = 500
MOST = 20_000
"""So many wait to be told at most; of more, the number is told."""


class ActionReports:
    """Tells of actions at their end. Nothing waits for it, and nothing rests on it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: dict[str, str] = {}
        self._untold = 0
        self._soon: asyncio.Task[None] | None = None
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._took: Counter[int] = Counter()
        self._seconds = 0.0

    def note(self, uid: str, state: str) -> None:
        """An action (uid) has come to this state."""
        if state not in TOLD:
            return
        if len(self._waiting) < MOST:
            self._waiting[uid] = state
        else:
            self._untold += 1
        if self._soon is None or self._soon.done():
            self._soon = asyncio.ensure_future(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(PAUSE)
        await self.tell()

    async def close(self) -> None:
        """Tell of what waits, and end."""
        if self._soon is not None:
            self._soon.cancel()
            await asyncio.gather(self._soon, return_exceptions=True)
        await self.tell()

    async def tell(self) -> None:
        """Tell of all that waits to be told."""
        while self._waiting:
            uids = list(self._waiting)[:CHUNK]
            states = {uid: self._waiting.pop(uid) for uid in uids}
            try:
                rows = await self._journal.ends.described(uids)
            except RingbackError as error:
                log.error("the ends of %d actions could not be read: %s", len(uids), error)
                continue
            for row in rows:
                self._tell(row, states[row["uid"]])
                await traces.ended(self._journal, row, states[row["uid"]])
        if self._untold:
            log.warning("%d more actions ended; too many at once to name each", self._untold)
            self._untold = 0

    def _tell(self, row: Mapping[str, Any], state: str) -> None:
        code = row["error_code"]
        known = explain_error(code) if code else None
        error_class = (known.error_class or "unknown") if known else ""
        self._ended[(row["kind"], state, error_class)] += 1
        took = None
        if row["settled_at"] and state in ("settled", "failed"):
            took = (from_iso(row["settled_at"]) - from_iso(row["planned_at"])).total_seconds()
            self._took[bisect_left(BUCKETS, took)] += 1
            self._seconds += max(took, 0.0)
        words = [row["outcome"] or row["reason"] or state]
        words += [f"error {code} {known.title}"] if known else []
        after = f" after {took:.1f} s" if took is not None else ""
        sid = f", {row['remote_sid']}" if row["remote_sid"] else ""
        log.log(
            logging.INFO if state == "settled" else logging.WARNING,
            "%s %s of rule %s: %s%s: %s%s",
            row["uid"], row["kind"], row["rule"], state, after, ", ".join(words), sid,
            extra={
                "action": row["uid"], "event_uid": row["event_uid"], "rule": row["rule"],
                "kind": row["kind"], "state": state, "outcome": row["outcome"], "code": code,
                "error_class": error_class, "sid": row["remote_sid"], "seconds": took,
            },
        )  # fmt: skip

    async def status(self) -> dict[str, Any]:
        """For the metrics: the newest row of the log; the open incidents by kind; the ends since
        this worker began, by kind, state and class of error; and how long the actions took, as a
        histogram of seconds."""
        counts = [self._took[place] for place in range(len(BUCKETS) + 1)]
        bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
        buckets = [[bound, sum(counts[: place + 1])] for place, bound in enumerate(bounds)]
        return {
            "last_row": await self._journal.log.last_id(),
            "incidents": await self._journal.incidents.open_kinds(),
            "ended": [[*labels, number] for labels, number in self._ended.items()],
            "took": {"buckets": buckets, "sum": round(self._seconds, 3)},
        }
