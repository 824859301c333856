"""Plan of a simulation, read from a file, a flag or the control API, and checked as a whole."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from ringback.errors import ConfigError
from ringback.simulator.faults import covers, fault_from
from ringback.simulator.rest.routes import ACCOUNTS, BELOW

PLAN_KEYS = ("seed", "speed", "faults", "handsets", "numbers", "messaging", "maton")
MESSAGING_KEYS = ("rates", "latency", "report_sending")
PURPOSES = (
    "message", "message/status", "call", "call/status", "call/redirect", "call/gather",
    "call/record", "call/dial", "call/whisper", "call/wait", "call/enqueue", "call/fallback",
    "call/conference", "call/announce", "call/refer", "call/connect", "call/sms", "call/pay",
    "recording", "conference", "transcription", "amd", "speech", "stream", "siprec",
    "live-transcription", "pay", "debugger", "events",
)  # fmt: skip
TARGETS = (
    *sorted({route.operation for route in (*ACCOUNTS, *BELOW)}),
    *(f"webhook:{purpose}" for purpose in PURPOSES),
)


class _Loader(yaml.SafeLoader):
    """YAML in which `on`, `off`, `yes` and `no` are the words that they are."""


_Loader.yaml_implicit_resolvers = {
    character: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for character, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])


def read_plan(path: Path) -> dict[str, Any]:
    """Read a plan file, YAML or JSON. Raises ConfigError that names the file and the mend."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError([f"{path}: cannot read the plan: {error}"]) from None
    try:
        return check_plan(data)
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None


def check_plan(data: Any) -> dict[str, Any]:
    """Check the shape of a plan. Raises ConfigError with every problem found."""
    if not isinstance(data, dict):
        raise ConfigError(["a plan is a mapping with the keys " + ", ".join(PLAN_KEYS)])
    problems = [
        f"unknown key {key!r}; a plan has {', '.join(PLAN_KEYS)}"
        for key in data
        if key not in PLAN_KEYS
    ]
    faults = data.get("faults") or []
    if not isinstance(faults, list):
        problems.append("faults must be a list")
        faults = []
    for key in ("handsets", "numbers", "messaging", "maton"):
        if not isinstance(data.get(key) or {}, dict):
            raise ConfigError([*problems, f"{key} must be a mapping"])
    problems += [
        f"{key}: {name}: must be a mapping"
        for key in ("handsets", "numbers")
        for name, settings in (data.get(key) or {}).items()
        if not isinstance(settings or {}, dict)
    ]
    problems += _pace(data) + _messaging(data.get("messaging") or {})
    rate = (data.get("maton") or {}).get("rate", 0)
    if set(data.get("maton") or {}) - {"rate"} or not _number(rate) or rate < 0:
        problems.append("maton takes `rate`: requests a second, 0 for no limit")
    for index, item in enumerate(faults):
        problems += _fault(item, index)
    if problems:
        raise ConfigError(problems)
    return data


def check_fault(item: Any, index: int = 0) -> None:
    """Check one fault. Raises ConfigError."""
    if problems := _fault(item, index):
        raise ConfigError(problems)


def _fault(item: Any, index: int) -> list[str]:
    try:
        fault = fault_from(item, index)
    except ConfigError as error:
        return error.problems
    if any(covers(fault.on, target) for target in TARGETS):
        return []
    near = get_close_matches(fault.on, TARGETS, 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return [f"faults[{index}]: on: nothing is called {fault.on!r}{hint}"]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pace(data: dict[str, Any]) -> list[str]:
    problems = []
    seed, speed = data.get("seed", 1), data.get("speed", 1)
    if isinstance(seed, bool) or not isinstance(seed, int):
        problems.append(f"seed: {seed!r} is not a whole number")
    if not _number(speed) or speed <= 0:
        problems.append(f"speed: {speed!r} is not a number above 0")
    return problems


def _messaging(data: dict[str, Any]) -> list[str]:
    problems = [
        f"messaging: unknown key {key!r}; it takes {', '.join(MESSAGING_KEYS)}"
        for key in data
        if key not in MESSAGING_KEYS
    ]
    rates, latency = data.get("rates") or {}, data.get("latency") or [0, 0]
    if not isinstance(rates, dict) or not all(_number(r) and r > 0 for r in rates.values()):
        problems.append("messaging: rates: segments a second, above 0, by sender or `default`")
    if (
        not isinstance(latency, list)
        or len(latency) != 2
        or not all(_number(bound) for bound in latency)
        or not 0 <= latency[0] <= latency[1]
    ):
        problems.append("messaging: latency: two numbers of seconds, the smaller first")
    return problems


def fault_line(text: str) -> dict[str, Any]:
    """Read a fault from a flag: `messages.create error status=503 rate=0.1`. Raises ConfigError."""
    on, _, rest = text.strip().partition(" ")
    do, _, more = rest.strip().partition(" ")
    item: dict[str, Any] = {"on": on, "do": do}
    for word in more.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError([f"fault {text!r}: {word!r} should be name=value"])
        item[name] = yaml.load(value, _Loader)
    check_fault(item)
    return item
