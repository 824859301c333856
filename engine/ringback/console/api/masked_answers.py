"""Masking of phone numbers in answers: `+1 202 ••• ••42 ·kfa` in place of a person's number.

A number that was typed without its country is `••• ••66 ·kfa`. The three letters behind it tell two
numbers apart. They follow from a key that this process has drawn, so they are good for nothing
elsewhere. Our own numbers, the first of each conversation, stay as they are.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ringback.console.api.number_runs import Run, number_runs

_KEY = secrets.token_bytes(16)
_LETTERS = "abcdefghijkmnopqrstuvwxyz"
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_ADDRESSES = frozenset({"sender", "recipient", "from", "to", "From", "To", "Caller", "Called"})
_TEXTS = frozenset({
    "text", "body", "Body", "Digits", "Text", "SpeechResult", "TranscriptionText", "question",
})  # fmt: skip
"""Fields with what people said, which are hidden too where the settings say `all`."""
_WINDOW = 7
_SHORT = 200


def masked_number(number: str) -> str:
    """A number with its country, its beginning and its last two digits."""
    channel, _, plain = number.rpartition(":")
    digits = re.sub(r"\D", "", plain)
    head = f"{channel}:" if channel else ""
    return f"{head}{_spelt(digits)} ·{_tag(digits)}"


def masked(answer: Any, *, texts: bool = False, beside: Any = None) -> Any:
    """An answer with the numbers of persons masked wherever they stand in it: in fields, in texts,
    and in other spellings. With `texts` also what people said is hidden. Of a part of an answer,
    the whole `beside` it says which numbers are ours and which a person's."""
    told = answer if beside is None else beside
    ours = {each for each in _ours(told) if each}
    known = {each[-_WINDOW:] for each in _numbers(told) if each not in ours}
    return _walked(answer, frozenset(known), frozenset(ours), texts)


def _spelt(digits: str) -> str:
    from ringback.rules.language.phones import calling_code

    code = calling_code(f"+{digits}") or digits[:1]
    area = digits[len(code) : len(code) + 3] if len(digits) - len(code) >= 9 else ""
    return " ".join(part for part in (f"+{code}", area, "•••", f"••{digits[-2:]}") if part)


def _tag(digits: str) -> str:
    drawn = hashlib.blake2b(digits.encode(), key=_KEY, digest_size=3).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in drawn)


def _ours(answer: Any) -> Iterator[str]:
    """The digits of our own numbers: the first side of conversations."""
    if isinstance(answer, Mapping):
        pair = answer.get("conversation")
        if isinstance(pair, str) and "/" in pair:
            yield re.sub(r"\D", "", pair.partition("/")[0])
        for value in answer.values():
            yield from _ours(value)
    elif isinstance(answer, list | tuple):
        for value in answer:
            yield from _ours(value)


def _numbers(answer: Any) -> Iterator[str]:
    """The digits of every number in an answer."""
    if isinstance(answer, str):
        if "+" in answer:
            yield from (found[1:] for found in _E164.findall(answer))
    elif isinstance(answer, Mapping):
        for name, value in answer.items():
            if name in _ADDRESSES and isinstance(value, str):
                digits = re.sub(r"\D", "", value)
                if len(digits) >= _WINDOW:
                    yield digits
            yield from _numbers(value)
    elif isinstance(answer, list | tuple):
        for value in answer:
            yield from _numbers(value)


def _walked(value: Any, known: frozenset[str], ours: frozenset[str], texts: bool) -> Any:
    if isinstance(value, str):
        return _text(value, known, ours)
    if isinstance(value, Mapping):
        return {
            _text(str(name), known, ours): (
                f"({len(each)} letters)"
                if texts and name in _TEXTS and isinstance(each, str) and each
                else _walked(each, known, ours, texts)
            )
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_walked(each, known, ours, texts) for each in value]
    return value


def _text(text: str, known: frozenset[str], ours: frozenset[str]) -> str:
    if len(text) < _WINDOW:
        return text
    parts, at = [], 0
    for run in _runs(text) if len(text) <= _SHORT else number_runs(text):
        shown = _shown(text[run.begin : run.end], run, known, ours)
        parts += [text[at : run.begin], shown]
        at = run.end
    return "".join([*parts, text[at:]]) if parts else text


@lru_cache(maxsize=8192)
def _runs(text: str) -> tuple[Run, ...]:
    """The runs of a short text: ids, times and names are the same from one page to the next."""
    return tuple(number_runs(text))


def _shown(written: str, run: Run, known: frozenset[str], ours: frozenset[str]) -> str:
    """A run of digits as it is shown. One without its country does not say where it begins."""
    digits = run.digits
    if _is_ours(digits, ours):
        return written
    windows = {digits[at : at + _WINDOW] for at in range(len(digits) - _WINDOW + 1)}
    if not windows.isdisjoint(known) or written.startswith("+"):
        return f"{_spelt(digits)} ·{_tag(digits)}"
    return f"••• ••{digits[-2:]} ·{_tag(digits)}" if run.is_number else written


def _is_ours(digits: str, ours: frozenset[str]) -> bool:
    """Whether this is one of our own numbers, also as it is written at home."""
    home = digits.lstrip("0")
    return digits in ours or (len(home) > 8 and any(each.endswith(home) for each in ours))
