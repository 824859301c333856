"""Patterns of RE2, compiled once. CEL's own `matches` compiles its pattern at each call.

RE2 is linear in the text whatever the pattern is: https://github.com/google/re2/wiki/WhyRE2
"""

from typing import Any

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True
_OPTIONS.max_mem = 1 << 20


_MOST_KEPT = 4096
_kept: dict[str, Any] = {}


def matches(text: str, pattern: str) -> bool:
    """Whether the pattern is found anywhere in the text. Raises ValueError for a broken one.

    Patterns of rule files are kept compiled. One that is made when it runs, perhaps of what a
    stranger wrote, is compiled for this once and costs no memory afterwards.
    """
    try:
        compiled = _kept.get(pattern) or re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        raise ValueError(f"invalid regular expression: {_reason(error)}") from None
    return compiled.search(text.encode()) is not None


def keep(pattern: str) -> str:
    """Compile and keep a pattern of a rule file; what is wrong with it, empty for nothing."""
    try:
        compiled = re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        return f"this pattern cannot be read: {_reason(error)}"
    if len(_kept) < _MOST_KEPT:
        _kept[pattern] = compiled
    return ""


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else "unreadable"
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
