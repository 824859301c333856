"""Pulse of a node: what waits for people, whether its worker answers, whether sending goes on.

Every page shows it, so it is asked at most once a second for all of them.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringback.console.problems import Refusal
from ringback.console.reading import Reading
from ringback.console.surroundings import Surroundings
from ringback.errors import RingbackError
from ringback.runtime import REAL

FAILING_SECONDS = 15.0
"""Groups of failures are looked through no more often."""
FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Beat:
    """How things are. `open` counts what waits, by kind; None when the data cannot be read.
    `worker` is what the worker says of itself, `away` why it says nothing."""

    open: Mapping[str, int] | None = None
    newest: Mapping[str, int] | None = None
    worker: Mapping[str, Any] | None = None
    away: str = ""
    trouble: str = ""

    @property
    def paused(self) -> bool:
        """Whether a person holds everything back."""
        return bool(self.worker and self.worker.get("paused"))

    @property
    def held(self) -> str:
        """Why nothing leaves although nobody has paused it."""
        worker = self.worker or {}
        stopped = [f"{each['says']}; {each['mend']}" for each in worker.get("stopped", ())]
        return str(worker.get("held") or "; ".join(stopped))

    def badge(self, name: str) -> int:
        """How many open ones a page has, by the name of its badge."""
        counts = self.open or {}
        kinds = {"decide": ("parked", "draft", "unknown")}
        return sum(counts.get(kind, 0) for kind in kinds.get(name, (name,)))

    def shown(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            **(self.newest or {"events": 0, "runs": 0, "actions": 0}),
            "open": dict(self.open or {}),
            "paused": self.paused, "worker": self.worker is not None, "away": self.away,
        }  # fmt: skip


class Pulse:
    """The pulse of one node."""

    def __init__(self, reading: Reading, surroundings: Surroundings) -> None:
        self._reading = reading
        self._surroundings = surroundings
        self._beat = Beat()
        self._at = self._failed_at = float("-inf")
        self._failing = 0
        self._asking: asyncio.Task[Beat] | None = None

    async def beat(self) -> Beat:
        """How things are, at most a second ago."""
        if time.monotonic() - self._at < FRESH_SECONDS:
            return self._beat
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    def changed(self) -> None:
        """Ask anew for the next page: somebody has changed something, and is to see it so."""
        self._at, self._asking = float("-inf"), None

    def look_again(self) -> None:
        """Look through the failures anew when next asked: somebody has said something to them."""
        self._at = self._failed_at = float("-inf")

    async def _ask(self) -> Beat:
        (counts, newest, trouble), (worker, away) = await asyncio.gather(
            self._counts(), self._worker()
        )
        self._beat = Beat(counts, newest, worker, away, trouble)
        self._at = time.monotonic()
        return self._beat

    async def _counts(self) -> tuple[dict[str, int] | None, dict[str, int] | None, str]:
        try:
            found, newest = await self._reading.ask(
                lambda asked: (asked.waiting_for_people(), asked.newest())
            )
            if time.monotonic() - self._failed_at > FAILING_SECONDS:
                self._failing = await self._reading.ask(
                    lambda asked: asked.open_failures(REAL.now())
                )
                self._failed_at = time.monotonic()
            return found | {"failures": self._failing}, newest, ""
        except Refusal as error:
            return None, None, error.problem.detail or error.problem.kind.title

    async def _worker(self) -> tuple[Mapping[str, Any] | None, str]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self._surroundings.operate({"op": "status"})
        except TimeoutError:
            return None, f"The worker said nothing for {PATIENCE_SECONDS:g} s."
        except (RingbackError, OSError) as error:
            return None, str(error)
        return (None, str(answer["error"])) if "error" in answer else (answer, "")
