"""Durations as people write them (`90s`, `15m`, `12h`, `1h30m`, `2d`, `1w`)."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")

LONGEST = 400 * 86400.0
"""The longest span that a rule may wait or look back: 400 days, in seconds."""


def parse_duration(text: str) -> float:
    """Read a span and give it in seconds. Raises ValueError that says how to write one."""
    plain = text.strip().lower().replace(" ", "")
    if not _WHOLE.fullmatch(plain):
        hint = f", for example {plain}s or {plain}m" if plain.isdecimal() and plain else ""
        unit = "a span of time needs a unit" if hint else f"{text!r} is not a span of time"
        raise ValueError(f"{unit}{hint or '; write it like 90s, 15m, 12h, 1h30m or 2d'}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(plain))
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is longer than 400 days")
    return seconds


def format_duration(seconds: float) -> str:
    """Write a span the way people do: 5400 is `1h30m`."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in (("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
