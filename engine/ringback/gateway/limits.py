"""Limits of one gateway key: rates, circuit breakers and the budget for retries.

State machines on a monotonic clock: nothing here waits, sends or draws by itself. The caller
asks before each attempt (`admit`) and reports after it (`record`).
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from ringback.errors import (
    ConnectionExpired,
    GatewayError,
    RateLimited,
    ServerError,
    Unauthorized,
    Unreachable,
    Unreadable,
)
from ringback.runtime import REAL, Runtime
from ringback.twilio.rest import Request, path

RESERVED = 0.5
CALL_RATE = 1.0
BACKOFF_CAP = 300.0
_TOLL_FREE = tuple(f"+1{code}" for code in (800, 833, 844, 855, 866, 877, 888))

Clock = Callable[[], float]


def backoff(failures: int, rng: Random, *, base: float = 1.0, cap: float = BACKOFF_CAP) -> float:
    """Seconds before the next try after so many failures (from 1): full jitter, doubling.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return rng.uniform(0, min(cap, base * 2.0 ** min(failures - 1, 30)))


def sender_rate(sender: str) -> float:
    """Message segments per second that Twilio sends for this kind of sender by default.

    https://support.twilio.com/hc/en-us/articles/115002943027
    """
    if sender.startswith("whatsapp:"):
        return 80.0
    if sender.startswith("MG") or not sender:
        return 100.0
    if sender.startswith(_TOLL_FREE):
        return 3.0
    digits = sender.removeprefix("+")
    if not digits.isdecimal():
        return 10.0
    return 1.0 if sender.startswith("+") else 10.0


class Bucket:
    """Tokens that come at `rate` per second, up to `burst`.

    What is refused is given again: a 429 halves the rate (never under a sixteenth), and it grows
    back within two minutes. A `low` taker leaves `reserved` tokens for the others.
    """

    def __init__(self, clock: Clock, rate: float, burst: float, reserved: float = 0.0) -> None:
        self._clock = clock
        self._nominal = rate
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._reserved = min(reserved, self._burst - 1.0)
        self._tokens = self._burst
        self._at = clock()
        self._held_until = float("-inf")

    def wait(self, cost: float = 1.0, *, low: bool = False) -> float:
        """Seconds until the tokens are there; 0 when they are. Takes nothing."""
        self._refill()
        floor = self._reserved if low else 0.0
        # A cost above the burst is let through at a full bucket and paid back afterwards.
        missing = min(cost, self._burst - floor) + floor - self._tokens
        return max(missing / self._rate if missing > 1e-9 else 0.0, self._held_until - self._at)

    def take(self, cost: float = 1.0) -> None:
        """Take the tokens, after `wait` said 0."""
        self._refill()
        self._tokens -= cost

    def refused(self, retry_after: float | None) -> None:
        """Somebody said "too many": hold still as long as asked, then go on at half the rate."""
        self._refill()
        self._rate = max(self._rate / 2, self._nominal / 16)
        self._tokens = min(self._tokens, 0.0)
        if retry_after:
            self._held_until = max(self._held_until, self._at + retry_after)

    def ramp(self) -> None:
        """After an outage: begin at a sixteenth of the rate, so that the backlog does not rush."""
        self._refill()
        self._rate = self._nominal / 16
        self._tokens = min(self._tokens, 1.0)

    def _refill(self) -> None:
        now = self._clock()
        # No tokens come while a hold lasts, else its end would be a burst.
        passed = max(now - max(self._at, self._held_until), 0.0)
        self._at = now
        self._tokens = min(self._burst, self._tokens + passed * self._rate)
        self._rate = min(self._nominal, self._rate + passed * self._nominal / 120)


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens and for how long, in seconds and counts."""

    window: float = 60.0
    outcomes: int = 20
    share: float = 0.5
    in_a_row: int = 5
    first_pause: float = 30.0
    longest_pause: float = 300.0
    probes: int = 3


class Breaker:
    """Stops asking somebody who does not answer.

    Opens at half or more failures among twenty or more outcomes within a minute, after five
    connections in a row that did not come about, and at once when the credentials are refused.
    While open nothing goes but one GET probe per pause, which doubles from 30 to 300 s; three good
    probes close it. Refusals of one request (4xx) say nothing about the other side's health.
    """

    def __init__(self, clock: Clock, rules: BreakerRules = BreakerRules()) -> None:
        self._clock = clock
        self._rules = rules
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._in_a_row = 0
        self._pause = rules.first_pause
        self._good_probes = 0
        self._probing = False
        self.open_until: float | None = None
        self.reason = ""

    @property
    def closed(self) -> bool:
        """Whether requests may go."""
        return self.open_until is None

    def record(self, error: GatewayError | None) -> bool:
        """Report an outcome of a request. True when this one opened the breaker."""
        if not self.closed:
            return False
        now = self._clock()
        if isinstance(error, Unauthorized):
            return self._open("the credentials were refused")
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
        if self.open_until is None or self._probing or self._clock() < self.open_until:
            return False
        self._probing = True
        return True

    def probed(self, error: GatewayError | None) -> bool:
        """Report a probe's outcome. True when this one closed the breaker."""
        self._probing = False
        if self.open_until is None:
            return False
        if is_outage(error) or isinstance(error, Unauthorized | RateLimited):
            self._good_probes = 0
            self._pause = min(self._pause * 2, self._rules.longest_pause)
            self.open_until = self._clock() + self._pause
            return False
        self._good_probes += 1
        # The next probe may follow at once: only the first one had to wait out the pause.
        self.open_until = self._clock()
        if self._good_probes < self._rules.probes:
            return False
        self.open_until = None
        self.reason = ""
        self._pause = self._rules.first_pause
        return True

    def _open(self, reason: str) -> bool:
        self.reason = reason
        self.open_until = self._clock() + self._pause
        self._good_probes = 0
        self._in_a_row = 0
        self._outcomes.clear()
        self._failures = 0
        return True


def is_outage(error: GatewayError | None) -> bool:
    """Whether an error speaks against the other side's health, not against the request."""
    return isinstance(error, ServerError | Unreachable | ConnectionExpired | Unreadable)


class RetryBudget:
    """Retries may be a tenth of the successes, and ten a minute besides."""

    def __init__(
        self, clock: Clock, *, share: float = 0.1, per_minute: float = 10.0, most: float = 100.0
    ) -> None:
        self._clock = clock
        self._share = share
        self._per_second = per_minute / 60
        self._most = most
        self._left = per_minute
        self._at = clock()

    def succeeded(self) -> None:
        """A request went well: a tenth of a retry is earned."""
        self._left = min(self._most, self._left + self._share)

    def take(self) -> bool:
        """Use one retry. False when the budget is spent: wait, do not retry now."""
        now = self._clock()
        self._left = min(self._most, self._left + max(now - self._at, 0.0) * self._per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


@dataclass(frozen=True, slots=True)
class Admission:
    """May this go now? `wait` in seconds (0 = yes, and it is counted), `why` it has to wait."""

    wait: float = 0.0
    why: str = ""

    @property
    def granted(self) -> bool:
        """Whether the request may leave now."""
        return self.wait <= 0.0


GRANTED = Admission()


class Limits:
    """All limits of one gateway key: what the worker asks before and tells after each attempt.

    `rate` is how many requests a second the key has (`Credentials.rate`). `sender_rates` overrides
    the usual segments per second of single senders. With `pace=False` senders and calls are not
    held back here: Twilio queues both by itself, for up to ten hours. `sender_rate` is the rate of
    every sender that `sender_rates` does not name; 0 means what Twilio usually grants its kind.
    """

    def __init__(
        self,
        rate: float,
        *,
        runtime: Runtime = REAL,
        sender_rates: Mapping[str, float] | None = None,
        pace: bool = True,
        sender_rate: float = 0.0,
    ) -> None:
        self._clock = runtime.monotonic
        self._pace = pace
        self._sender_rate = sender_rate
        self.key = Bucket(self._clock, rate, rate, rate * RESERVED)
        self._rates = dict(sender_rates or {})
        self._senders: dict[str, Bucket] = {}
        self._calls: dict[str, Bucket] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._budgets: dict[str, RetryBudget] = {}

    def admit(self, request: Request, *, sender: str = "", segments: int = 1) -> Admission:
        """Whether a request may leave now. When it may, its tokens are taken; otherwise nothing is.

        A create of a message costs its sender `segments`; a create of a call costs the account one
        of its calls per second. A GET leaves the share that is reserved for sends.
        """
        breaker = self.breaker(request.account_sid, request.resource)
        if not breaker.closed and breaker.open_until is not None:
            left = max(breaker.open_until - self._clock(), 1.0)
            return Admission(left, f"{request.resource} on hold: {breaker.reason}")
        waits = [(self.key.wait(low=not request.writes), "the gateway key's rate")]
        special: Bucket | None = None
        cost = 1.0
        if self._pace and request.makes and request.resource == "messages":
            special, cost = self._sender(sender), float(max(segments, 1))
            waits.append((special.wait(cost), f"the rate of sender {sender or 'by service'}"))
        elif self._pace and request.makes and request.resource == "calls":
            special = self._calls.setdefault(
                request.account_sid, Bucket(self._clock, CALL_RATE, 2.0)
            )
            waits.append((special.wait(), "the account's rate of new calls"))
        longest = max(waits)
        if longest[0] > 0:
            return Admission(*longest)
        self.key.take()
        if special is not None:
            special.take(cost)
        return GRANTED

    def record(self, request: Request, error: GatewayError | None) -> str:
        """Report how an attempt ended. Answers why the breaker opened, when this one opened it."""
        if isinstance(error, RateLimited):
            self.key.refused(error.retry_after)
        if error is None:
            self.budget(request.account_sid).succeeded()
        breaker = self.breaker(request.account_sid, request.resource)
        return breaker.reason if breaker.record(error) else ""

    def breaker(self, account_sid: str, resource: str) -> Breaker:
        """The breaker of one resource of one account."""
        return self._breakers.setdefault((account_sid, resource), Breaker(self._clock))

    def budget(self, account_sid: str) -> RetryBudget:
        """The retry budget of one account."""
        return self._budgets.setdefault(account_sid, RetryBudget(self._clock))

    def probes(self) -> list[Request]:
        """The GET probes that are due now, each of them begun: `probed` must follow for each."""
        due = [key for key, breaker in self._breakers.items() if breaker.probe_due()]
        return [probe(account_sid, resource) for account_sid, resource in due]

    def probed(self, request: Request, error: GatewayError | None) -> bool:
        """Report a probe's outcome. True when its breaker closed; rates then ramp up again."""
        closed = self.breaker(request.account_sid, request.resource).probed(error)
        if closed:
            self.key.ramp()
        return closed

    def open_breakers(self) -> dict[tuple[str, str], str]:
        """What is on hold, and why: (account, resource) to the reason."""
        return {key: item.reason for key, item in self._breakers.items() if not item.closed}

    def _sender(self, sender: str) -> Bucket:
        bucket = self._senders.get(sender)
        if bucket is None:
            if len(self._senders) >= 10_000:
                self._senders.pop(next(iter(self._senders)))
            rate = self._rates.get(sender) or self._sender_rate or sender_rate(sender)
            bucket = self._senders[sender] = Bucket(self._clock, rate, max(rate, 10.0))
        return bucket


_LISTS = {"messages": "Messages", "calls": "Calls", "queues": "Queues"}


def probe(account_sid: str, resource: str) -> Request:
    """A harmless look at a resource: the first row of its list."""
    listed = path(account_sid, _LISTS.get(resource, "Messages"))
    return Request("GET", listed, (("PageSize", "1"),), resource)
