"""Limits of one gateway key: rates, and the circuit breakers behind them.

State machines on a monotonic clock: nothing here waits, sends or draws by itself. The caller
asks before each attempt (`admit`) and reports after it (`record`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from ringback.errors import GatewayError, RateLimited
from ringback.gateway.breaker import Breaker
from ringback.runtime import REAL, Runtime
from ringback.twilio.rest import Request, path

RESERVED = 0.5
LOOKS = 0.5
"""The share of a key's rate that looks after doubtful sends are sure of, whatever is to be sent."""
READS = 0.125
"""The same for all other reads of the worker."""
SPARE_PAUSE = 30.0
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

    @property
    def scarce(self) -> float:
        """Seconds until it is at its full rate again, after somebody said "too many"."""
        self._refill()
        return 120 * (1 - self._rate / self._nominal)

    def wait(self, cost: float = 1.0, *, low: bool = False) -> float:
        """Seconds until the tokens are there; 0 when they are. Takes nothing."""
        self._refill()
        floor = self._reserved if low else 0.0
        # A cost above the burst is let through at a full bucket and paid back afterwards.
        missing = min(cost, self._burst - floor) + floor - self._tokens
        return max(missing / self._rate if missing > 1e-9 else 0.0, self._held_until - self._at)

    def take(self, cost: float = 1.0) -> None:
        """Take the tokens, after `wait` said 0. More than there are is a debt that others wait
        for."""
        self._refill()
        self._tokens -= cost

    def give_back(self, cost: float = 1.0) -> None:
        """What was taken is not used after all."""
        self._refill()
        self._tokens = min(self._burst, self._tokens + cost)

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

    What makes a text or a call has a breaker of its own, apart from what reads or changes one: each
    may fail while the other does not.
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
        self.paces = pace
        """Whether senders and calls are held back here."""
        self._sender_rate = sender_rate
        self.key = Bucket(self._clock, rate, rate, rate * RESERVED)
        self._looks = Bucket(self._clock, rate * LOOKS, 1.0)
        self._reads = Bucket(self._clock, rate * READS, 1.0)
        self._makes = Bucket(self._clock, rate, rate)
        self._rates = dict(sender_rates or {})
        self._senders: dict[str, Bucket] = {}
        self._calls: dict[str, Bucket] = {}
        self._breakers: dict[tuple[str, str, bool], Breaker] = {}

    def admit(
        self,
        request: Request,
        *,
        sender: str = "",
        segments: int = 1,
        look: bool = False,
        spare: bool = False,
    ) -> Admission:
        """Whether a request may leave now. When it may, its tokens are taken; otherwise nothing is.

        A create of a message costs its sender `segments`; a create of a call costs the account one
        of its calls per second. A GET leaves the share that is reserved for sends, unless it has
        one of its own: so many go in any case. A `look` after a doubtful send has a larger one. A
        `spare` one has none, and waits for whatever is wrong in its account or with the rate.
        """
        breaker = self.breaker(request)
        if (left := breaker.wait()) > 0:
            return Admission(left, f"{request.resource} on hold: {breaker.reason}")
        if spare and (admission := self._strained(request)) is not None:
            return admission
        share = None if request.writes or spare else self._looks if look else self._reads
        waits = [(self.key.wait(low=not request.writes), "the gateway key's rate")]
        if share is not None:
            waits = [min(waits[0], (share.wait(), "the gateway key's rate"))]
        paced = self._paced(request, sender, segments)
        waits += [(bucket.wait(cost), why) for bucket, cost, why in paced]
        longest = max(waits)
        if longest[0] > 0:
            return Admission(*longest)
        self.key.take()
        if share is not None and not share.wait():
            share.take()
        for bucket, cost, _ in paced:
            bucket.take(cost)
        breaker.begun()
        return GRANTED

    def _strained(self, request: Request) -> Admission | None:
        """Why nothing more should be asked of an account than has to be; None when all is well."""
        for (account, resource, _), breaker in self._breakers.items():
            if account == request.account_sid and not breaker.closed:
                return Admission(SPARE_PAUSE, f"{resource} on hold: {breaker.reason}")
        return Admission(left, "the gateway key's rate") if (left := self.key.scarce) > 0 else None

    def _paced(
        self, request: Request, sender: str, segments: int
    ) -> list[tuple[Bucket, float, str]]:
        """What a create waits for besides the key: each bucket, what it costs there, its name."""
        if not request.makes:
            return []
        paced = [(self._makes, 1.0, "what was held back goes out slowly at first")]
        if self.paces and request.resource == "messages":
            why = f"the rate of sender {sender or 'by service'}"
            paced.append((self._sender(sender), float(max(segments, 1)), why))
        elif self.paces and request.resource == "calls":
            account = request.account_sid
            calls = self._calls.setdefault(account, Bucket(self._clock, CALL_RATE, 2.0))
            paced.append((calls, 1.0, "the account's rate of new calls"))
        return paced

    def unused(self, request: Request, *, sender: str = "", segments: int = 1) -> None:
        """What was granted does not leave after all: nobody else waits for its tokens."""
        self.breaker(request).unused()
        self.key.give_back()
        for bucket, cost, _ in self._paced(request, sender, segments):
            bucket.give_back(cost)

    def record(self, request: Request, error: GatewayError | None) -> str:
        """Report how an attempt ended. Answers why the breaker opened, when this one opened it."""
        if isinstance(error, RateLimited):
            for bucket in (self.key, self._looks, self._reads):
                bucket.refused(error.retry_after)
        breaker = self.breaker(request)
        changed = breaker.record(error)
        if changed and breaker.closed:
            self._makes.ramp()
        return breaker.reason if changed else ""

    def breaker(self, request: Request) -> Breaker:
        """The breaker that a request stands behind: that of its account and resource."""
        creates = bool(request.makes)
        key = (request.account_sid, request.resource, creates)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker(self._clock, creates=creates)
        return breaker

    def probes(self) -> list[Request]:
        """The GET probes that are due now, each of them begun: `probed` must follow for each."""
        due = {key[:2] for key, breaker in self._breakers.items() if breaker.probe_due()}
        return [probe(account_sid, resource) for account_sid, resource in sorted(due)]

    def probe_now(self) -> None:
        """Let every resource that is on hold be asked after without waiting."""
        for breaker in self._breakers.values():
            breaker.probe_now()

    def probed(self, request: Request, error: GatewayError | None) -> bool:
        """Report a probe's outcome. True when something may go again."""
        free = False
        for key, breaker in self._breakers.items():
            if key[:2] == (request.account_sid, request.resource):
                free |= breaker.probed(error)
        return free

    def open_breakers(self, *, creates: bool = True) -> dict[tuple[str, str], str]:
        """What is on hold, and why: (account, resource) to the reason. Of what makes a text or a
        call; with `creates=False` of what reads or changes one."""
        return {
            key[:2]: item.reason
            for key, item in self._breakers.items()
            if key[2] == creates and not item.closed
        }

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
