"""Seeded faults: where they strike, what they do, how often.

A fault names where it strikes (`on`), what it does (`do`) and how often (`rate`, `nth`, `times`).
Requests are named by operation (`messages.create`, `calls.*`, `*`), webhooks by purpose
(`webhook:message/status`); `callback` stands for every webhook whose answer Twilio does not use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ringback.errors import ConfigError
from ringback.simulator.randomness import SeededRandom

REQUEST_FAULTS: dict[str, tuple[str, ...]] = {
    "error": ("status", "code", "created", "body", "content_type", "retry_after"),
    "throttle": ("retry_after",),
    "reset": ("at",),
    "hang": ("seconds", "created", "late"),
    "drip": ("part", "pause"),
    "malform": ("how", "created"),
    "redirect": ("location", "status"),
    "stale": (),
    "callback_first": ("steps", "seconds"),
    "lag": ("seconds",),
    "list": ("how",),
    "expired": (),
}
WEBHOOK_FAULTS: dict[str, tuple[str, ...]] = {
    "duplicate": ("copies", "gap"),
    "delay": ("seconds", "jitter"),
    "lose": (),
    "reorder": (),
    "wrong_tag": ("tag",),
    "bad_signature": (),
}
HOWS = (
    "truncated", "content_type", "empty", "html", "huge", "gzip_bomb", "nan", "duplicate_keys",
    "deep", "utf8", "other_account", "bad_sid", "used_sid", "two_answers", "early",
)  # fmt: skip
LIST_HOWS = ("empty_page", "endless", "unordered", "no_date_sent")
CALLBACKS = (
    "message/status", "call/status", "recording", "amd", "conference", "transcription", "stream",
    "siprec", "live-transcription", "pay", "debugger",
)  # fmt: skip
CHOICES: dict[tuple[str, str], tuple[Any, ...]] = {
    ("reset", "at"): ("before", "after", "created"),
    ("hang", "created"): ("no", "now", "late"),
    ("drip", "part"): ("body", "head"),
    ("malform", "how"): HOWS,
    ("list", "how"): LIST_HOWS,
}
NUMBERS = frozenset(
    {"status", "code", "seconds", "late", "pause", "steps", "copies", "gap", "jitter"}
)
COMMON = ("on", "do", "rate", "nth", "times", "name")


@dataclass(slots=True)
class Fault:
    """One line of a plan. `seen` counts what it could have struck, `struck` what it did."""

    on: str
    do: str
    name: str
    rate: float = 1.0
    nth: tuple[int, ...] = ()
    times: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    struck: int = 0

    def get(self, name: str, default: Any) -> Any:
        return self.options.get(name, default)

    def show(self) -> dict[str, Any]:
        """The fault as the plan wrote it, with its counts."""
        return {
            "name": self.name, "on": self.on, "do": self.do, "rate": self.rate,
            "nth": list(self.nth), "times": self.times, **self.options,
            "seen": self.seen, "struck": self.struck,
        }  # fmt: skip


class Plan:
    """The faults of a run, and the counts and random numbers that decide."""

    def __init__(self, random: SeededRandom, faults: list[Fault] | None = None) -> None:
        self._random = random
        self.faults = list(faults or [])

    def add(self, fault: Fault) -> None:
        self.faults.append(fault)

    def replace(self, faults: list[Fault]) -> None:
        self.faults = list(faults)

    def for_request(self, operation: str) -> Fault | None:
        """The fault that strikes this request, if any; the first in the plan's order."""
        return next(self._striking(operation, REQUEST_FAULTS), None)

    def for_webhook(self, purpose: str) -> list[Fault]:
        """Every fault that strikes this webhook."""
        return list(self._striking(f"webhook:{purpose}", WEBHOOK_FAULTS))

    def _striking(self, what: str, kinds: Mapping[str, Any]) -> Iterator[Fault]:
        for fault in self.faults:
            if fault.do in kinds and covers(fault.on, what) and self._strikes(fault):
                yield fault

    def _strikes(self, fault: Fault) -> bool:
        if fault.times and fault.struck >= fault.times:
            return False
        fault.seen += 1
        if fault.nth and fault.seen not in fault.nth:
            return False
        if fault.rate < 1 and self._random.stream(f"fault:{fault.name}").random() >= fault.rate:
            return False
        fault.struck += 1
        return True


def covers(pattern: str, what: str) -> bool:
    """Whether the `on` of a fault means this operation, or this `webhook:purpose`."""
    if pattern == "callback":
        return what.startswith("webhook:") and what[8:] in CALLBACKS
    if what.startswith("webhook:") != pattern.startswith("webhook"):
        return False
    return fnmatchcase(what, pattern)


def faults_from(items: list[Any]) -> list[Fault]:
    """Read a list of faults. Raises ConfigError."""
    return [fault_from(item, index) for index, item in enumerate(items)]


def fault_from(item: Any, index: int = 0) -> Fault:
    """Read one fault. Raises ConfigError that says what is wrong with it."""
    place = f"faults[{index}]"
    if not isinstance(item, dict) or not isinstance(item.get("on"), str):
        raise ConfigError([f"{place}: a fault needs `on` (where) and `do` (what)"])
    do = str(item.get("do", ""))
    webhook = item["on"].startswith("webhook") or item["on"] == "callback"
    kinds = WEBHOOK_FAULTS if webhook else REQUEST_FAULTS
    if do not in kinds:
        raise ConfigError([f"{place}: do: {do!r} is not one of {', '.join(kinds)}"])
    problems = []
    for key, value in item.items():
        if key not in COMMON and key not in kinds[do]:
            known = ", ".join((*COMMON, *kinds[do]))
            problems.append(f"{place}: unknown key {key!r}; {do} takes {known}")
        elif value not in (choices := CHOICES.get((do, key), (value,))):
            problems.append(f"{place}: {key}: {value!r} is not one of {', '.join(choices)}")
        elif key in NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
            problems.append(f"{place}: {key}: {value!r} is not a number")
    try:
        rate, times = float(item.get("rate", 1.0)), int(item.get("times", 0))
        nth = item.get("nth", [])
        places = tuple(int(n) for n in (nth if isinstance(nth, list) else [nth]))
    except (TypeError, ValueError):
        raise ConfigError([f"{place}: rate, nth and times must be numbers"]) from None
    if not 0 <= rate <= 1:
        problems.append(f"{place}: rate must lie between 0 and 1")
    if problems:
        raise ConfigError(problems)
    options = {key: value for key, value in item.items() if key not in COMMON}
    name = str(item.get("name") or f"{index}:{item['on']}:{do}")
    return Fault(item["on"], do, name, rate, places, times, options)
