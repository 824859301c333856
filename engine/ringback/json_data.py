"""JSON that came from elsewhere, as data that conditions and texts can use."""

import json
from typing import Any

JSON_FIELD = "Json"
"""The field of an event that holds the JSON which came with it, as it was written."""


def data_of(text: str) -> Any:
    """The value of a JSON text; an empty object where there is none, or what is none."""
    if not text:
        return {}
    try:
        return _usable(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _usable(value: Any) -> Any:
    """The same without what no condition can hold: half characters, a NUL, numbers beyond 64
    bits."""
    if isinstance(value, str):
        whole = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return whole.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_usable(key): _usable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_usable(each) for each in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 10**300 else 0.0
    return value
