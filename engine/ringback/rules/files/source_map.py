"""Source map of a YAML text: the place of each character, through quotes, escapes and folding."""

import re
from dataclasses import dataclass, field

from ringback.errors import Problem

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f",
    "r": "\r", "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0",
    "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_CODES = {"x": 2, "u": 4, "U": 8}


@dataclass(frozen=True, slots=True)
class Source:
    """One rule file: the name it is shown by, its text and its lines."""

    file: str
    text: str
    lines: list[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", _BREAK.split(self.text))

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of a letter of the text."""
        line, start = 1, 0
        for found in _BREAK.finditer(self.text, 0, offset):
            line, start = line + 1, found.end()
        return line, offset - start + 1

    def line(self, number: int) -> str:
        """The text of a line, empty beyond the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def problem(self, line: int, column: int, kind: str, message: str, hint: str = "") -> Problem:
        """A problem in this file, with the text of its line. A place behind the end is the end."""
        if self.text and line > len(self.lines):
            line, column = len(self.lines), len(self.lines[-1]) + 1
        return Problem(self.file, line, column, kind, message, self.line(line)[:5000], hint)


def locate(
    source: Source,
    value: str,
    offset: int,
    start: tuple[int, int],
    end: tuple[int, int],
    style: str,
) -> tuple[int, int]:
    """Line and column in the file of the letter at `offset` of a scalar's value.

    Folding changes nothing but white space, so the other letters stand in the file in the same
    order: both are walked together. An offset at the end is the place behind the last letter.
    """
    places = _letters(source, start, end, style)
    index = 0
    last = start
    for position, letter in enumerate(value):
        if letter.isspace():
            if index < len(places) and places[index][0] == letter:
                last = places[index][1]
                index += 1
            if position == offset:
                return last
            continue
        while index < len(places) and places[index][0] != letter:
            index += 1
        if index >= len(places):
            return last
        last = places[index][1]
        if position == offset:
            return last
        index += 1
    return last[0], last[1] + 1 if value.strip() else last[1]


def _letters(
    source: Source, start: tuple[int, int], end: tuple[int, int], style: str
) -> list[tuple[str, tuple[int, int]]]:
    """The decoded letters of a scalar as written, each with its place."""
    raw: list[tuple[str, tuple[int, int]]] = []
    for number in range(start[0], min(end[0], len(source.lines)) + 1):
        text = source.line(number)
        first = start[1] if number == start[0] else 1
        last = end[1] - 1 if number == end[0] else len(text)
        raw += [
            (text[column - 1], (number, column))
            for column in range(first, last + 1)
            if column <= len(text)
        ]
        raw.append(("\n", (number, len(text) + 1)))
    if style in ("|", ">"):
        return [item for item in raw if item[1][0] > start[0]]
    if style == "'":
        return _single(raw[1:])
    return _double(raw[1:]) if style == '"' else raw


def _single(raw: list[tuple[str, tuple[int, int]]]) -> list[tuple[str, tuple[int, int]]]:
    letters = []
    skip = False
    for index, (letter, place) in enumerate(raw):
        if skip:
            skip = False
            continue
        skip = letter == "'" and index + 1 < len(raw) and raw[index + 1][0] == "'"
        letters.append((letter, place))
    return letters


def _double(raw: list[tuple[str, tuple[int, int]]]) -> list[tuple[str, tuple[int, int]]]:
    letters = []
    index = 0
    while index < len(raw):
        letter, place = raw[index]
        if letter != "\\" or index + 1 >= len(raw):
            letters.append((letter, place))
            index += 1
            continue
        code = raw[index + 1][0]
        size = _CODES.get(code, 0)
        if size:
            digits = "".join(item[0] for item in raw[index + 2 : index + 2 + size])
            try:
                letters.append((chr(int(digits, 16)), place))
            except (ValueError, OverflowError):
                letters.append((letter, place))
        elif code in _ESCAPES:
            letters.append((_ESCAPES[code], place))
        index += 2 + size
    return letters
