"""Planted troubles: twelve of a day, and how well the incidents of the day fit them."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from ringback.error_codes import error_class

SENDERS = tuple(f"+1202555010{number}" for number in range(5))
RULES = ("code", "news", "receipt", "reminder")
COUNTRIES = {"US": ("+1415555", 0.7), "GB": ("+44207946", 0.2), "DE": ("+4930123", 0.1)}
FIRST, APART = 420, 80
"""The minute of the day in which the first trouble may begin, and how far they lie apart."""
BUSY = slice(2, 8)
"""The places in the hours in which most is sent and comes in."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong from minute `start` to `end`: of the texts that fit, a share fails with a
    code, or has its end late by some minutes, or has so many segments; `more` texts of rule and
    country are asked for each minute; `leave` people opt out each minute; nothing leaves (`held`:
    why), a machine answers a rule (`loop`), or nothing comes in at the sender (`silent`). `key` is
    that of the incident which says the right cause, `reason` what its figures have to say."""

    name: str
    key: str
    start: int
    end: int
    sender: str = ""
    country: str = ""
    rule: str = ""
    code: int = 0
    share: float = 1.0
    late: int = 0
    leave: float = 0.0
    more: float = 0.0
    segments: int = 0
    held: str = ""
    loop: bool = False
    silent: bool = False

    def fits(self, minute: int, sender: str, country: str, rule: str) -> bool:
        """Whether it is the trouble of this text."""
        return (
            self.lasts(minute)
            and self.sender in ("", sender)
            and self.country in ("", country)
            and self.rule in ("", rule)
        )

    def lasts(self, minute: int) -> bool:
        """Whether it is the time of it."""
        return self.start <= minute < self.end


def troubles(rng: Random) -> tuple[Trouble, ...]:
    """The planted ones, in the hours in which people are awake, one after the other."""
    first, second, third, fourth = rng.sample(SENDERS, 4)
    rule, wordy, looping = rng.sample(RULES, 3)
    failing = "delivery:failing:"
    planted: list[tuple[str, str, dict[str, Any]]] = [
        ("filtered by a carrier", f"{failing}sender:{first}:carrier_filtered",
         {"sender": first, "code": 30007, "share": rng.uniform(0.4, 0.9)}),
        ("a country is down", f"{failing}country:GB:carrier_failed",
         {"country": "GB", "code": 30008, "share": rng.uniform(0.7, 1.0)}),
        ("a wrong template", f"{failing}rule:{rule}:{error_class(63013)}",
         {"rule": rule, "code": 63013}),
        ("the registration lapsed", f"{failing}sender:{second}:sender_unregistered",
         {"sender": second, "code": 30034}),
        ("a slow carrier", "delivery:unfinished:country:DE", {"country": "DE", "late": 25}),
        ("a number was ported away", f"{failing}sender:{third}:{error_class(21606)}",
         {"sender": third, "code": 21606}),
        ("a burst of opt-outs", "delivery:opt_outs", {"leave": 4.0}),
        ("credentials were revoked", "sending", {"held": "credentials"}),
        ("the gateway is dead", "sending", {"held": "unreachable"}),
        ("a loop with a machine", f"loop:{looping}", {"rule": looping, "loop": True}),
    ]  # fmt: skip
    rng.shuffle(planted)
    more = {"country": "DE", "rule": wordy, "more": rng.uniform(200, 300)}
    long_ = {"rule": wordy, "segments": rng.randrange(10, 14)}
    busy = [
        ("a number falls silent", f"silent:{fourth}", {"sender": fourth, "silent": True}),
        rng.choice([("texts of a form that is abused", "delivery:spend:country:DE", more),
                    ("a text that became long", f"delivery:spend:rule:{wordy}", long_)]),
    ]  # fmt: skip
    rng.shuffle(busy)
    for place, each in zip(sorted(rng.sample(range(*BUSY.indices(99)), 2)), busy, strict=True):
        planted.insert(place, each)
    found = []
    for number, (name, key, given) in enumerate(planted):
        start = FIRST + number * APART + rng.randrange(15)
        found.append(Trouble(name, key, start, start + rng.randrange(25, 40), **given))
    return tuple(found)


@dataclass
class Seen:
    """An incident: its key, the reason in its figures, and the minutes in which it was opened and
    resolved."""

    key: str
    opened: float
    resolved: float = field(default=float("inf"))
    reason: str = ""


@dataclass(frozen=True)
class Judged:
    """How the incidents of a day fit what was planted: delays are in minutes."""

    right: int
    false: tuple[Seen, ...]
    missed: tuple[Trouble, ...]
    to_open: tuple[float, ...]
    to_end: tuple[float, ...]

    @property
    def precision(self) -> float:
        """The share of incidents that are about a trouble."""
        return self.right / (self.right + len(self.false)) if self.right else 0.0

    @property
    def recall(self) -> float:
        """The share of troubles that have their incident."""
        return self.right / (self.right + len(self.missed)) if self.right else 0.0


def judged(planted: tuple[Trouble, ...], seen: list[Seen]) -> Judged:
    """Each trouble takes the incident of its key that was opened while it lasted; what is left over
    is false."""
    left, missed, to_open, to_end = list(seen), [], [], []
    for trouble in planted:
        own = [
            each for each in left
            if each.key == trouble.key and each.reason in ("", trouble.held)
            and trouble.start <= each.opened <= trouble.end + 5
        ]  # fmt: skip
        if not own:
            missed.append(trouble)
            continue
        left.remove(own[0])
        to_open.append(own[0].opened - trouble.start)
        to_end.append(own[0].resolved - trouble.end)
    return Judged(len(to_open), tuple(left), tuple(missed), tuple(to_open), tuple(to_end))
