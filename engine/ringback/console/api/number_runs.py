"""Runs of digits in a text: which may be the number of a person, and which are surely none.

Ids, times, dates, addresses of machines, sums of money and sizes are cut out first. What is left
is looked at run by run. All of it takes time in proportion to the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ringback.error_codes import explain_error

LEAST = 7
_GAP = r"[\s().\-/\u00ad\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\ufeff]"
"""What people and address books put between digits, also what cannot be seen."""
RUN = re.compile(rf"\+?\d(?:{_GAP}{{0,3}}\d){{{LEAST - 1},}}")
_MONEY = r"\d+(?:[.,\u00a0 ]\d{3})*(?:[.,]\d{1,2})?"
_DAY, _MONTH, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_MACHINE = re.compile(
    rf"""
      (?<![0-9A-Za-z]) (?:
        [a-z]{{3,4}}_[0-9A-Za-z]{{20,}}                       # ids of ours
      | [A-Z]{{2}}[0-9a-f]{{32}}                              # SIDs of Twilio
      | [0-9A-Fa-f]{{8}}(?:-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}
      | (?:before|after|row|line|pid)=\d+
      ) (?![0-9A-Za-z])
    | (?<!\d)(?<!\d[-./]) (?:
        {_YEAR}([-/.]){_MONTH}\1{_DAY} | {_DAY}([-/.]){_MONTH}\2{_YEAR}
      | {_MONTH}([-/.]){_DAY}\3{_YEAR}
      ) (?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)? (?!\d|[-./]\d)
    | (?<![\d:]) (?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)? (?:Z|[+-]\d\d:\d\d)? (?!\d)
    | (?<![\d.]) (?!(?:\d\d\.){{3}}\d\d(?!\d)) {_BYTE}(?:\.{_BYTE}){{3}}(?:/\d\d?)? (?!\.?\d)
    | (?<=[A-Za-z]/) \d+\.0\.\d+\.\d+ (?!\d)                   # versions of browsers
    | [$€£¥₹]\s?{_MONEY} (?![-.,\s]?\d)
    | (?<!\d)(?<!\d[-.,\s]) {_MONEY} \s?
      (?:[€£$¥₹]|(?:USD|EUR|GBP|CAD|AUD|CHF|JPY|INR|BRL|MXN|SEK|NOK|DKK|PLN)\b)
    | (?<!\d)(?<!\d[-.,\s]) \d+(?:\.\d+)?\s?(?:bytes|[kKMGT]?i?B|ms|µs|us|ns|s|seconds)\b
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(
    r"\d+\.\d{1,2}|\d{1,2}\.\d{1,7}|0\.\d+"  # sums and measures
    r"|20[23]\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # a day in the name of a file
    r"|(?:\d|1\d|2[0-4])-(?:\d|1\d|2[0-4])"  # hours
)
_ALONE = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}|-\d+\.\d+")
"""What is no number when it is all of the text."""
_HEX = frozenset("abcdef")
_MOST_AROUND = 40
_CODE = re.compile(r"(\d{5})[\s/-]+")


@dataclass(frozen=True, slots=True)
class Run:
    """Digits from `begin` to `end` of a text, as they are written. `is_number` says that they look
    like a number by themselves; else they are one only where the number is known."""

    begin: int
    end: int
    digits: str
    is_number: bool


def number_runs(text: str) -> Iterator[Run]:
    """The runs of a text that may be numbers, in order."""
    if not RUN.search(text) or _ALONE.fullmatch(text):
        return
    at = 0
    for machine in _MACHINE.finditer(text):
        yield from _between(text, at, machine.start())
        at = machine.end()
    yield from _between(text, at, len(text))


def _between(text: str, begin: int, end: int) -> Iterator[Run]:
    for found in RUN.finditer(text, begin, end):
        first, last = _without_codes(text, *found.span())
        digits = re.sub(r"\D", "", text[first:last])
        if len(digits) >= LEAST:
            yield Run(first, last, digits, _is_number(text, first, last))


def _without_codes(text: str, begin: int, end: int) -> tuple[int, int]:
    """The place of a run without the error codes at its ends. What is left of five or six digits
    may be half of a number, as in `98765 30003`: such a run stays whole."""
    first, last = begin, end
    while (found := _CODE.match(text, first, last)) and _is_code(found[1]):
        first = found.end()
    while re.match(r"[\s/-]", text[last - 6 : last]) and _is_code(text[last - 5 : last]):
        last -= 5
        while last > first and not text[last - 1].isdigit():
            last -= 1
    left = sum(letter.isdigit() for letter in text[first:last])
    return (first, last) if left >= LEAST or left < 5 else (begin, end)


def _is_code(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and explain_error(int(digits)).listed


def _is_number(text: str, begin: int, end: int) -> bool:
    if text[begin] == "+":
        return True
    if all(_PLAIN.fullmatch(part) for part in text[begin:end].split()):
        return False
    return _begins(text, begin) and _ends(text, end)


def _begins(text: str, begin: int) -> bool:
    """Whether digits begin here, and do not go on with an id: letters before them are a word."""
    before = text[max(0, begin - _MOST_AROUND) : begin]
    if before.endswith(("%2B", "%2b", "\\n", "\\t", "\\r")):
        return True
    word = re.split(r"[^0-9A-Za-z]", before)[-1]
    sid = len(word) == 2 and word.isupper()
    return not word or (len(word) > 1 and _is_word(word) and not sid)


def _ends(text: str, end: int) -> bool:
    """Whether digits end here; an extension or a word may follow."""
    word = re.split(r"[^0-9A-Za-z]", text[end : end + _MOST_AROUND], maxsplit=1)[0]
    return not word or bool(re.match(r"[xX]\d|ext", word)) or (len(word) > 2 and _is_word(word))


def _is_word(letters: str) -> bool:
    return letters.isalpha() and not _HEX.issuperset(letters.lower())
