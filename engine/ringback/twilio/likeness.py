"""Likeness of two texts: whether a record at Twilio may be of a text of ours that was changed.

A gateway, a carrier's rule or an account's setting may cut a text, put words before or behind it,
shorten its links, or replace signs that it cannot write. What such a record proves nobody can say.
"""

import re
import unicodedata
from collections import Counter

ALIKE = 0.5
"""From here on one text may be the other, changed."""
_PART = 0.9
_INSIDE = 8
"""So many letters of one text within another are no accident."""
_LINK = re.compile(r"\b(?:https?://|www\.)\S+|\b[\w-]+(?:\.[\w-]+)+/\S+", re.IGNORECASE)


def likeness(ours: str, theirs: str) -> float:
    """How much a text of a record is like ours: 1 when they differ in spaces, signs, case or links
    alone, 0.9 when one is a part of the other, else the share of runs of three letters that they
    have in common."""
    a, b = _letters(ours), _letters(theirs)
    if a == b:
        return 1.0
    if not b:  # signs alone: nothing that could be written was left of it
        return _PART
    if not a:
        return _PART if ours.strip() in theirs else 0.0
    short, long = sorted((a, b), key=len)
    if long.startswith(short) or long.endswith(short) or (len(short) >= _INSIDE and short in long):
        return _PART
    left, right = _runs(a), _runs(b)
    total = left.total() + right.total()
    return 2.0 * (left & right).total() / total if total else 0.0


def differing(ours: str, theirs: str, width: int = 40) -> tuple[str, str]:
    """Both texts in one short line each, from a little before the place where they part."""
    a, b = " ".join(ours.split()), " ".join(theirs.split())
    same = 0
    while same < min(len(a), len(b)) and a[same] == b[same]:
        same += 1
    start = max(same - width // 2, 0)
    return _short(a, start, width), _short(b, start, width)


def _short(text: str, start: int, width: int) -> str:
    before, after = "…" if start else "", "…" if len(text) > start + width else ""
    return f"{before}{text[start : start + width]}{after}"


def _letters(text: str) -> str:
    """The letters and digits of a text without its links: no accents, no case, no spaces."""
    plain = unicodedata.normalize("NFKD", _LINK.sub(" ", text)).casefold()
    return "".join(sign for sign in plain if sign.isalnum())


def _runs(text: str) -> Counter[str]:
    return Counter(text[at : at + 3] for at in range(len(text) - 2))
