"""Mistakes in settings: the plain words for them, and the lines in which they stand."""

import re
from collections.abc import Iterable, Mapping
from typing import Any


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A hint with the word that a mistyped one probably meant, empty when none is near."""
    from difflib import get_close_matches  # only needed when something is wrong

    close = get_close_matches(word, list(known), 1, cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""


_INVALID = {
    "missing": "is missing",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} letters",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "frozen_set_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} entries at most",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "is {tag!r}; there are: {expected_tags}",
    "value_error": "{error}",
}
"""What is wrong with a value, by pydantic's word for it."""


def invalid(item: Mapping[str, Any], known: Iterable[str] = ()) -> str:
    """An error of a pydantic model, as the end of a sentence that starts with the value's name.

    `known` are the names of the model's fields, for one that is not among them.
    """
    kind, facts = item["type"], item.get("ctx") or {}
    if kind == "extra_forbidden":
        return f"is no setting here{nearest(str(item['loc'][-1]), known)}"
    words = _INVALID.get(kind, "")
    try:
        return words.format_map(facts) if words else str(item["msg"]).replace(
            "Input should be", "must be"
        )  # fmt: skip
    except (KeyError, IndexError, ValueError):
        return str(item["msg"])


_KEY = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*""")


def _keys(text: str) -> tuple[str, ...]:
    """The parts of a dotted TOML key."""
    return tuple(next(filter(None, found.groups()), "") for found in _KEY.finditer(text))


def line_of(text: str, path: Iterable[str]) -> int:
    """The line of a TOML file in which a value is given, by its table and its name, counted from 1;
    that of the nearest thing around it when it has no line of its own, 0 when nothing is there."""
    wanted = tuple(path)
    table: tuple[str, ...] = ()
    best, line = 0, 0
    for number, written in enumerate(text.splitlines(), 1):
        words = written.strip()
        if words.startswith("["):
            here = table = _keys(words.partition("]")[0].strip("["))
        else:
            key, equals, _ = words.partition("=")
            if not equals or words.startswith("#"):
                continue
            here = (*table, *_keys(key))
        if here == wanted[: len(here)] and len(here) > best:
            best, line = len(here), number
    return line
