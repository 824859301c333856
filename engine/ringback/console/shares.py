"""Shares with what they are worth: intervals, and whether there are enough to tell."""

from math import sqrt
from typing import NamedTuple

FEWEST = 30
"""Of fewer no share is told."""
_Z = 1.959964
"""Of the normal distribution, for 95 %."""


class Share(NamedTuple):
    """A share, and between what it lies with 95 %."""

    share: float
    low: float
    high: float


def share_of(some: int, all_: int) -> Share | None:
    """The share of some among all with its interval (Wilson's); None of nothing.

    https://www.itl.nist.gov/div898/handbook/prc/section2/prc241.htm
    """
    if all_ <= 0:
        return None
    part = some / all_
    spread = _Z * _Z / all_
    middle = (part + spread / 2) / (1 + spread)
    half = _Z * sqrt(part * (1 - part) / all_ + spread / (4 * all_)) / (1 + spread)
    return Share(part, max(middle - half, 0.0), min(middle + half, 1.0))


def told(share: Share | None, all_: int) -> str:
    """A share in words."""
    if share is None or all_ < FEWEST:
        return "too few to tell"
    return f"{share.share:.1%} ({share.low:.1%} to {share.high:.1%})"
