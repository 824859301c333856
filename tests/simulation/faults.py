"""Faults of a story, and how often each happens. All chances are shares of one."""

from dataclasses import dataclass, field, fields, replace
from random import Random

NONE = "none"

CREATE: dict[str, float] = {
    "refused": 0.03,
    "reset_before": 0.03,
    "reset_after": 0.04,
    "timeout_before": 0.03,
    "timeout_after": 0.04,
    "500_before": 0.03,
    "500_after": 0.03,
    "503_after": 0.01,
    "429": 0.02,
    "429_wait": 0.02,
    "unreadable": 0.02,
    "rejected": 0.01,
    "expired": 0.005,
    "401": 0.002,
}
"""The faults of a request that creates something. What stands before or after `_` says whether the
record is made all the same."""

LIST: dict[str, float] = {"reset": 0.05, "timeout": 0.03, "500": 0.05, "429": 0.02, "garbage": 0.02}
"""The faults of a request that reads."""


@dataclass(frozen=True)
class Faults:
    """The chances of one story. `landing` is how late a request may be carried out whose answer was
    lost, `lag` how late a record may show in a list; both in seconds. The last three are shares of
    stories: in which the clock is set, in which people say STOP, in which an operator pauses."""

    create: dict[str, float] = field(default_factory=lambda: dict(CREATE))
    read: dict[str, float] = field(default_factory=lambda: dict(LIST))
    landing: float = 26.0
    lag: float = 45.0
    slow_list: float = 0.01
    undelivered: float = 0.08
    callback_lost: float = 0.05
    callback_twice: float = 0.10
    callback_late: float = 0.10
    webhook_twice: float = 0.10
    webhook_lost: float = 0.04
    wake_lost: float = 0.10
    disk_refuses: float = 0.0004
    disk_unsure: float = 0.0004
    disk_slow: float = 0.002
    kill_anywhere: float = 0.0001
    kill_hot: float = 0.0025
    receiver_too: float = 0.2
    freeze: float = 0.001
    clock_set: float = 0.3
    stop: float = 0.5
    pause: float = 0.25

    def pick(self, rng: Random, among: dict[str, float]) -> str:
        """One fault, or `none`."""
        left = rng.random()
        for name, chance in among.items():
            left -= chance
            if left < 0:
                return name
        return NONE


def calm() -> Faults:
    """A world in which nothing goes wrong by itself."""
    chances = {
        item.name: 0.0 for item in fields(Faults)
        if item.type is float and item.name not in ("landing", "lag")
    }  # fmt: skip
    return replace(Faults(), create={}, read={}, **chances)
