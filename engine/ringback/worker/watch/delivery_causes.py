"""Delivery causes: what texts that fail, or stay without an end, have in common. Pure.

A share is held against what is usual there: the own share of a sender, rule or country in the last
day. Of all sets that stand out the one is taken that explains most: one sender of five whose texts
are filtered makes the rate of all of them worse, and is one cause. What is explained by it is
then left out, so that a second cause is seen beside it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from ringback.rules.delivery_rates import ALL, Ended, Failure, Key

LEAST_FAILURES = 5
UNUSUAL = 15.0
"""So unlikely must a count be, as the logarithm of a likelihood ratio: with a look at fifty sets a
minute, chance alone makes it once in some years."""
USUAL_AGAIN = 3.0
RISE = 0.05
"""By so much more than usual must fail, however sure it is that more does."""
_PRIOR = 200
_PRIOR_SHARE, _PRIOR_CLASS = 0.05, 0.01
"""What is taken for usual before anything is known: the weight of so many texts."""
ORDINARY = frozenset({"recipient_opted_out"})
"""Classes that tell of people and not of a fault; leaving has an incident of its own."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A set of texts, and the class of error that they fail with."""

    key: Key
    error_class: str

    @property
    def name(self) -> str:
        """What it is called in the key of an incident."""
        return ":".join(each for each in (*self.key, self.error_class) if each)

    def explains(self, failure: Failure) -> bool:
        """Whether a failure is one of it."""
        return failure.error_class == self.error_class and self.key in failure.under()


def cause_named(name: str) -> Cause | None:
    """The cause that this is the name of."""
    parts = name.split(":")
    if len(parts) == 2 and parts[0] == "all":
        return Cause(ALL, parts[1])
    return Cause(Key(parts[0], ":".join(parts[1:-1])), parts[-1]) if len(parts) > 2 else None


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause as it shows: how many of how many texts failed of it, what share is usual there, how
    unlikely that is, the commonest code, and the SIDs of some."""

    cause: Cause
    failed: int
    ended: int
    usual: float
    unlikely: float
    code: int = 0
    examples: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share that failed of it."""
        return self.failed / self.ended if self.ended else 0.0


class Figures:
    """What is known: the ended texts of the last minutes and of the day before, by set."""

    def __init__(self, recent: Mapping[Key, Ended], before: Mapping[Key, Ended]) -> None:
        self._recent = recent
        self._before = before

    def ended(self, key: Key) -> int:
        """How many texts of a set have ended lately."""
        return self._recent.get(key, Ended()).all

    def usual(self, cause: Cause) -> float:
        """The share of texts of a set that fail with this class on other days: the share of the
        class among all, times by how much more fails in this set than in all."""
        everything = self._before.get(ALL, Ended())
        of_class = self._before.get(Key("class", cause.error_class), Ended()).failed
        all_share = _smoothed(everything.failed, everything.all, _PRIOR_SHARE)
        class_share = _smoothed(of_class, everything.all, _PRIOR_CLASS)
        own = self._before.get(cause.key, Ended())
        own_share = _smoothed(own.failed, own.all, all_share)
        return min(own_share, class_share * max(1.0, own_share / all_share))


def _smoothed(part: int, whole: int, prior: float) -> float:
    return (part + prior * _PRIOR) / (whole + _PRIOR)


def ratio(part: int, whole: int, share: float) -> float:
    """How unlikely so large a part is when this share is usual: the logarithm of the likelihood
    ratio; 0 when the part is no larger than usual."""
    if not whole or part <= whole * share:
        return 0.0
    part = min(part, whole)
    found = part * log(part / (whole * share))
    if whole > part:
        found += (whole - part) * log((whole - part) / (whole * (1.0 - share)))
    return found


def causes(
    failures: Iterable[Failure], figures: Figures, least: int, known: Sequence[Cause] = ()
) -> list[Finding]:
    """The causes that stand out among failures, what is `known` left out; of fewer than `least`
    texts nothing is said."""
    left = [
        each
        for each in failures
        if each.error_class not in ORDINARY and not any(cause.explains(each) for cause in known)
    ]
    found: list[Finding] = []
    while best := _best(left, figures, least):
        found.append(best)
        left = [each for each in left if not best.cause.explains(each)]
    return found


def _best(failures: Sequence[Failure], figures: Figures, least: int) -> Finding | None:
    counts = Counter(Cause(key, each.error_class) for each in failures for key in each.under())
    findings = [
        as_it_shows(cause, failures, figures, failed)
        for cause, failed in counts.items()
        if failed >= LEAST_FAILURES and figures.ended(cause.key) >= least
    ]
    unusual = [
        each for each in findings
        if each.unlikely >= UNUSUAL and each.share >= each.usual + RISE
    ]  # fmt: skip
    # Of two sets of the same texts the name decides: a sender before a rule, a country and all.
    return max(unusual, key=lambda each: (each.unlikely, each.share, each.cause.name), default=None)


def as_it_shows(
    cause: Cause, failures: Sequence[Failure], figures: Figures, failed: int | None = None
) -> Finding:
    """A cause as it shows among these failures."""
    if failed is None:
        failed = sum(cause.explains(each) for each in failures)
    ended, usual = figures.ended(cause.key), figures.usual(cause)
    unlikely = ratio(failed, ended, usual)
    if unlikely < USUAL_AGAIN:
        return Finding(cause, failed, ended, usual, unlikely)
    own = [each for each in failures if cause.explains(each)]
    ((code, _),) = Counter(each.code for each in own).most_common(1) or [(0, 0)]
    examples = tuple(each.sid for each in own[:3])
    return Finding(cause, failed, ended, usual, unlikely, code, examples)
