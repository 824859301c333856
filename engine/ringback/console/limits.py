"""Limits of how often somebody may ask: windows of a minute for sign-ins, and rates of requests."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST_KNOWN = 10_000
"""So many addresses or names are remembered; the one that was quiet for longest is forgotten."""


class Window:
    """At most `most` in `seconds`, for each key."""

    def __init__(
        self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Count one more, and give 0; or how many seconds to wait until that may be."""
        now = self._clock()
        times = self._times(key, now)
        if len(times) >= self._most:
            return max(times[0] + self._seconds - now, 0.001)
        times.append(now)
        return 0.0

    def count(self, key: str) -> int:
        """How many there were."""
        return len(self._times(key, self._clock()))

    def _times(self, key: str, now: float) -> deque[float]:
        times = self._known.setdefault(key, deque())
        self._known.move_to_end(key)
        while times and times[0] <= now - self._seconds:
            times.popleft()
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return times
