"""JSON that came from elsewhere, as data that conditions and texts can use."""

import json
import math
import sys
from typing import Any

JSON_FIELD = "Json"
"""The field of an event that holds the JSON which came with it, as it was written."""
_LONGEST = 20
"""How many signs a whole number of 64 bits has at most."""


def data_of(text: str) -> Any:
    """The value of a JSON text; an empty object where there is none, or what is none."""
    return value_of(text, {}) if text else {}


def value_of(text: str, otherwise: Any = None) -> Any:
    """The value of a JSON text; the other one for what is none, or nested too deep."""
    try:
        return _usable(json.loads(text, parse_int=_number, parse_constant=_no_number))
    except (ValueError, RecursionError):
        return otherwise


def _usable(value: Any) -> Any:
    """The same without what no condition can hold and no JSON can say again: half characters, a
    NUL, numbers that are larger than any."""
    if isinstance(value, str):
        whole = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return whole.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_usable(key): _usable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_usable(each) for each in value]
    if isinstance(value, float) and math.isinf(value):
        return math.copysign(sys.float_info.max, value)
    return value


def _number(digits: str) -> int | float:
    """A whole number: one of 64 bits, else one with a fraction."""
    number = int(digits) if len(digits) <= _LONGEST else 2**63
    return number if -(2**63) <= number < 2**63 else float(digits)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
