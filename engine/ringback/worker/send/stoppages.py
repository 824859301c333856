"""Stoppages: what keeps actions from leaving at present, each with its true beginning.

Whoever asks the gateway tells here how it ended. A stoppage begins with the first request that
failed in a way that concerns all others, and is over when a request of the kind that failed has
gone well again. While that is not proven it is the same one, however often a breaker lets somebody
try.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ringback.errors import (
    ConfigError,
    ConnectionExpired,
    Forbidden,
    GatewayError,
    NoConnection,
    RateLimited,
    RingbackError,
    ServerError,
    Unauthorized,
    Unreachable,
    Unreadable,
)
from ringback.gateway.limits import Limits
from ringback.runtime import Runtime, iso
from ringback.twilio.rest import Request

LASTING_SECONDS = 15.0
"""What failed and came right within this was no stoppage."""
THROTTLED_SECONDS = 60.0
"""Too many requests are the usual way of a gateway to slow us down, for as long as this."""

HELD = "held since "
"""How the reason begins of an action that waits because nothing leaves at present."""

REASONS: dict[str, str] = {
    "credentials": "check the credentials in the settings",
    "account": "reactivate the account, or give its credentials the rights, in Twilio's console",
    "connection": "see `ringback connections list`; create a new connection and pin it",
    "unreachable": "check the network, DNS, the proxy and RINGBACK_GATEWAY_URL",
    "failing": "see https://status.twilio.com; it is tried again by itself",
    "throttled": "set RINGBACK_GATEWAY_RATE lower, or use a key that nobody shares",
    "unconfigured": "set MATON_API_KEY, or TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, and restart",
    "backlog": "raise RINGBACK_GATEWAY_RATE or RINGBACK_SENDER_RATE, or let rules send less",
}
"""Why sending may have stopped, and what a person can do when the error does not say it itself."""

_KINDS: tuple[tuple[type[RingbackError], str], ...] = (
    (ConfigError, "unconfigured"),
    (Forbidden, "account"),
    (Unauthorized, "credentials"),
    (NoConnection, "connection"),
    (ConnectionExpired, "connection"),
    (Unreachable, "unreachable"),
    (ServerError, "failing"),
    (Unreadable, "failing"),
    (RateLimited, "throttled"),
)
_SURE = ("credentials", "account", "unconfigured")
"""One answer of this kind says that no other request will fare better."""


class Stoppage(NamedTuple):
    """Sending has stopped: the reason (one of `REASONS`), since when, what is known, the mend.

    `resources` are the collections that nothing is sent to, as limits and breakers name them; of a
    further account with its SID, as `AC…/messages`.
    """

    reason: str
    since: datetime
    words: str
    mend: str
    resources: tuple[str, ...]


@dataclass(slots=True)
class _Failing:
    """One resource that fails: `at`, `failed_at` and `right_at` are of the monotonic clock."""

    stoppage: Stoppage
    at: float
    failed_at: float
    count: int = 1
    writes: bool = False
    told: bool = False
    right: bool = False
    readable: bool = False


class Stoppages:
    """The resources of the gateway that fail, each account's by itself, by what their requests came
    to. `account_sid` is the account whose resources go by their names alone.

    `quiet` is for how many seconds nothing may fail before a stoppage is over.
    """

    def __init__(self, runtime: Runtime, limits: Limits, quiet: float, account_sid: str) -> None:
        self.news = asyncio.Event()
        """Something failed for sure, or came right."""
        self._runtime = runtime
        self._limits = limits
        self._quiet = quiet
        self._account = account_sid
        self._failing: dict[str, _Failing] = {}
        self._under_way: dict[int, tuple[str, datetime, float]] = {}
        self._went_well: dict[str, float] = {}
        self._unreadable: set[str] = set()
        """Where sending was seen to work while reading did not: there, reading tells nothing."""
        self._number = 0

    def begins(self, request: Request) -> int:
        """A request that changes something leaves; its number for `ends`."""
        self._number += 1
        began = (self._resource(request), self._runtime.now(), self._runtime.monotonic())
        self._under_way[self._number] = began
        return self._number

    def ends(self, number: int, error: RingbackError | None) -> None:
        """Its answer is there. A refusal of this one request says that the way is open."""
        resource, since, at = self._under_way.pop(number)
        if error is not None and (reason := reason_of(error)):
            self._unreadable.discard(resource)
            self._fails(resource, reason, error, since, at, writes=True)
            return
        failing = self._failing.get(resource)
        if failing is not None and not failing.writes:
            self._unreadable.add(resource)
        self._goes_well(resource)

    def drop(self, number: int) -> None:
        """Nobody will hear how it ended."""
        self._under_way.pop(number, None)

    def read(self, request: Request, error: GatewayError | None) -> None:
        """A request that only reads has ended. That it works is no proof that sending does."""
        resource, reason = self._resource(request), reason_of(error) if error is not None else ""
        if error is not None and reason:
            if resource in self._unreadable:
                return
            now, at = self._runtime.now(), self._runtime.monotonic()
            self._fails(resource, reason, error, now, at, writes=False)
            return
        self._unreadable.discard(resource)
        failing = self._failing.get(resource)
        if failing is not None and failing.writes:
            failing.readable = True
        elif failing is not None:
            self._goes_well(resource)

    def held(self, request: Request | None, why: str) -> str:
        """Why a request waits, with the moment at which that began when nothing leaves at present
        for its resource."""
        failing = self._failing.get(self._resource(request)) if request is not None else None
        if failing is None or failing.right:
            return why
        return f"{HELD}{iso(failing.stoppage.since)}: {why}"

    def restore(self, stoppage: Stoppage) -> None:
        """Go on with a stoppage that an earlier process told of and did not see end."""
        now = self._runtime.monotonic()
        for resource in stoppage.resources:
            self._failing[resource] = _Failing(stoppage, now, now, writes=True, told=True)

    def held_back(self) -> set[str]:
        """The resources whose breaker is open."""
        breakers = (self._limits.open_breakers(creates=creates) for creates in (True, False))
        return {self._named(account, resource) for each in breakers for account, resource in each}

    def _resource(self, request: Request) -> str:
        return self._named(request.account_sid, request.resource)

    def _named(self, account: str, resource: str) -> str:
        return resource if account == self._account else f"{account}/{resource}"

    def present(self, waiting: int, parked: str | None) -> Stoppage | None:
        """What has stopped for long enough to be told of, all of it as one; None when nothing has.

        `waiting` is how many actions wait, `parked` when the last request ended for one that waits
        for a person: when none waits and none was given up, it is enough that Twilio can be read.
        """
        self._look_at_those_under_way()
        now = self._runtime.monotonic()
        held = self.held_back()
        for resource, failing in list(self._failing.items()):
            given_up = (parked or "") >= iso(failing.stoppage.since)
            if failing.readable and resource not in held and not (waiting or given_up):
                failing.right = True
            if failing.right and (not failing.told or now - failing.failed_at >= self._quiet):
                del self._failing[resource]
            elif not failing.told:
                failing.told = _lasts(failing, now)
        found = sorted(self._told(), key=lambda stoppage: stoppage.since)
        if not found:
            return None
        words = "; ".join(dict.fromkeys(stoppage.words for stoppage in found))
        resources = tuple(sorted({name for each in found for name in each.resources}))
        return found[0]._replace(words=words, resources=resources)

    def _told(self) -> Iterator[Stoppage]:
        for resource, failing in self._failing.items():
            if failing.told:
                yield failing.stoppage._replace(resources=(resource,))

    def _look_at_those_under_way(self) -> None:
        """A request that has been waiting for its answer for long, with none of the others
        answered since, is as good as failed."""
        now = self._runtime.monotonic()
        for resource, since, at in self._under_way.values():
            answered = self._went_well.get(resource, at) > at
            if now - at >= LASTING_SECONDS and not answered and resource not in self._failing:
                words = "the gateway has not answered"
                mend = REASONS["unreachable"]
                slow = Stoppage("unreachable", since, words, mend, (resource,))
                self._failing[resource] = _Failing(slow, at, now, writes=True)

    def _fails(
        self, resource: str, reason: str, error: RingbackError, since: datetime, at: float, *,
        writes: bool,
    ) -> None:  # fmt: skip
        words, mend = _told_apart(error, reason)
        if account := resource.rpartition("/")[0]:
            words = f"{account}: {words}"
        known = self._failing.get(resource)
        if known is None:
            stoppage = Stoppage(reason, since, words, mend, (resource,))
            self._failing[resource] = known = _Failing(stoppage, at, at, count=0)
        known.stoppage = known.stoppage._replace(reason=reason, words=words, mend=mend)
        known.failed_at = self._runtime.monotonic()
        known.count += 1
        known.writes |= writes
        known.right = known.readable = False
        if reason in _SURE and not known.told:
            self.news.set()

    def _goes_well(self, resource: str) -> None:
        self._went_well[resource] = self._runtime.monotonic()
        failing = self._failing.get(resource)
        if failing is None:
            return
        if failing.told:
            failing.right = True
            self.news.set()
        else:
            del self._failing[resource]


def reason_of(error: RingbackError) -> str:
    """Which of `REASONS` an error speaks of; empty when it concerns one request alone."""
    return next((reason for kind, reason in _KINDS if isinstance(error, kind)), "")


def _lasts(failing: _Failing, now: float) -> bool:
    if failing.stoppage.reason in _SURE:
        return True
    throttled = failing.stoppage.reason == "throttled"
    lasted = now - failing.at >= (THROTTLED_SECONDS if throttled else LASTING_SECONDS)
    # One look that failed, of the few that an idle node makes, is no news.
    return lasted and (failing.writes or failing.count > 1)


def _told_apart(error: RingbackError, reason: str) -> tuple[str, str]:
    """What happened, and the mend, of an error that may say both in one text."""
    words = str(error).split("\n")[0]
    remedy = error.remedy if isinstance(error, GatewayError) else ""
    if remedy:
        words = words.removesuffix(f"{remedy[:1].upper()}{remedy[1:]}")
    return words.rstrip(". "), remedy or REASONS[reason]
