"""Circuit breaker of one resource behind the gateway.

A state machine on a monotonic clock: it waits, sends and draws nothing by itself.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ringback.errors import (
    ConnectionExpired,
    Forbidden,
    GatewayError,
    NoConnection,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
    Unreadable,
)

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens and for how long, in seconds and counts.

    Half open, it takes a create that has not ended after `trial` seconds for lost, and asks others
    to come again after `trial_pause`.
    """

    window: float = 60.0
    outcomes: int = 20
    share: float = 0.5
    in_a_row: int = 5
    first_pause: float = 30.0
    longest_pause: float = 300.0
    probes: int = 3
    trial: float = 40.0
    trial_pause: float = 10.0


USUAL = BreakerRules()


class Breaker:
    """Stops asking somebody who does not answer.

    Opens at half or more failures among twenty or more outcomes within a minute, after five
    connections in a row that did not come about, and at once when the credentials, the account or
    the connection are refused.
    While open nothing goes but one GET probe per pause, which doubles from 30 to 300 s; three good
    answers in a row close it. Refusals of one request (4xx) say nothing about the other side's
    health.

    A good GET does not prove that a create would be good. So the breaker of `creates` is half open
    after the first one: it lets one create go at a time, whose answers are what counts. Half open
    and not asked for the longest pause, it closes.
    """

    def __init__(self, clock: Clock, rules: BreakerRules = USUAL, *, creates: bool = False) -> None:
        self._clock = clock
        self._rules = rules
        self._creates = creates
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._in_a_row = 0
        self._pause = rules.first_pause
        self._good = 0
        self._probing = False
        self._trial_until = float("-inf")
        self.open_until: float | None = None
        self.reason = ""

    @property
    def closed(self) -> bool:
        """Whether requests may go, as many as there are."""
        if self._half_open() and self._clock() - self._since() > self._rules.longest_pause:
            self._close()
        return self.open_until is None

    def wait(self) -> float:
        """Seconds until a request may go; 0 when it may now. One that goes is `begun`."""
        if self.closed or self.open_until is None:
            return 0.0
        now = self._clock()
        if self._half_open():
            return self._rules.trial_pause if now < self._trial_until else 0.0
        return max(self.open_until - now, 1.0)

    def begun(self) -> None:
        """A request goes. Half open, it is the one whose answer counts."""
        if self._half_open():
            self._trial_until = self._clock() + self._rules.trial

    def unused(self) -> None:
        """What had begun did not leave: another request may."""
        self._trial_until = float("-inf")

    def record(self, error: GatewayError | None) -> bool:
        """Report an outcome of a request. True when this one opened or closed the breaker."""
        now = self._clock()
        if not self.closed:
            if not self._half_open() or now >= self._trial_until:
                return False
            self._trial_until = float("-inf")
            return self._answered(error)
        if isinstance(error, Unauthorized | NoConnection):
            return self._open(_REFUSED[type(error)])
        failed = is_outage(error)
        connectless = isinstance(error, Unreachable) and not error.wrote
        self._in_a_row = self._in_a_row + 1 if connectless else 0
        if self._in_a_row >= self._rules.in_a_row:
            return self._open(f"{self._in_a_row} connections in a row failed")
        self._outcomes.append((now, failed))
        self._failures += failed
        while self._outcomes[0][0] <= now - self._rules.window:
            self._failures -= self._outcomes.popleft()[1]
        failures = self._failures
        total = len(self._outcomes)
        if failed and total >= self._rules.outcomes and failures >= self._rules.share * total:
            return self._open(f"{failures} of {total} requests failed within a minute")
        return False

    def probe_due(self) -> bool:
        """Whether a probe may be sent now; True starts it, and `probed` must follow."""
        if self.closed or self.open_until is None or self._half_open():
            return False
        if self._probing or self._clock() < self.open_until:
            return False
        self._probing = True
        return True

    def probed(self, error: GatewayError | None) -> bool:
        """Report a probe's outcome. True when requests may go again, one at a time at least."""
        asked, self._probing = self._probing, False
        if not asked or self.open_until is None:
            return False
        return self._answered(error) or self._half_open()

    def _answered(self, error: GatewayError | None) -> bool:
        """Count the answer to a probe, or to the one create. True when this one closed it."""
        if is_outage(error) or isinstance(error, Unauthorized | NoConnection | RateLimited):
            self._good = 0
            self._pause = min(self._pause * 2, self._rules.longest_pause)
            self.open_until = self._clock() + self._pause
            return False
        self._good += 1
        # The next one may follow at once: only the first one had to wait out the pause.
        self.open_until = self._clock()
        if self._good < self._rules.probes:
            return False
        self._close()
        return True

    def _half_open(self) -> bool:
        return self._creates and self._good > 0 and self.open_until is not None

    def _since(self) -> float:
        """When it was last asked, half open."""
        return max(self.open_until or 0.0, self._trial_until)

    def _close(self) -> None:
        self.open_until = None
        self.reason = ""
        self._good = 0
        self._pause = self._rules.first_pause

    def probe_now(self) -> None:
        """A person says that it may be mended: let the next probe go without waiting."""
        if self.open_until is not None:
            self.open_until = min(self.open_until, self._clock())

    def _open(self, reason: str) -> bool:
        self.reason = reason
        self.open_until = self._clock() + self._pause
        self._good = 0
        self._trial_until = float("-inf")
        self._in_a_row = 0
        self._outcomes.clear()
        self._failures = 0
        return True


_REFUSED: dict[type[GatewayError], str] = {
    Unauthorized: "the credentials were refused",
    Forbidden: "the account may not send",
    NoConnection: "Maton has no connection for this key",
}


def is_outage(error: GatewayError | None) -> bool:
    """Whether an error speaks against the other side's health, not against the request."""
    return isinstance(error, ServerError | Unreachable | ConnectionExpired | Unreadable)
