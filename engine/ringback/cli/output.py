"""Output of the commands: JSON lines for programs, aligned columns and colour for people."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import click

from ringback.printed_json import printed_json

GAP = 2
"""Spaces between columns."""
PLENTY, LONG = 24, 20
"""The width that words get before a column of less weight gets any, and that of a word among others
from which on it may be broken where columns give way."""

_BRANCH = re.compile("(?:\x1b\\[[0-9;]*m|[ │├└─✓✗•])*")
_STEM = str.maketrans({"├": "│", "└": " ", "─": " ", "✓": " ", "✗": " "})

wide_option = click.option("--wide", is_flag=True, help="Print all columns, however long.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")


def fancy() -> bool:
    """Whether colour and boxes are welcome: a terminal, and no NO_COLOR."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def style(text: str, colour: str) -> str:
    """Colour a text when that is welcome."""
    return click.style(text, fg=colour) if fancy() else text


def print_json(row: Mapping[str, Any]) -> None:
    """Print one object on one line."""
    click.echo(printed_json(row))


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    empty: str,
    by_weight: Sequence[str] = (),
    wide: bool = False,
) -> None:
    """Print a listing: every field as JSON lines, or these columns for a person.

    In a terminal that is too narrow words go on the next line, and columns give way, the last ones
    of `by_weight` first, unless all are wanted (`wide`). An id is never broken, so that it can be
    copied. Elsewhere each row is one line, however long.
    """
    if as_json:
        for row in rows:
            print_json(row)
        return
    texts = [[cell(row.get(column)) for column in columns] for row in rows]
    if not texts:
        click.echo(empty, err=True)
        return
    kept = list(columns)
    if fancy() and by_weight and not wide:
        kept = _that_fit(columns, texts, by_weight)
        places = [columns.index(name) for name in kept]
        texts = [[line[place] for place in places] for line in texts]
    widths = _widths([kept, *texts], folded=fancy() and not wide, breaking=bool(by_weight))
    for number, line in enumerate([kept, *texts]):
        for part in _folded(line, widths):
            click.echo(click.style(part, bold=True) if fancy() and number == 0 else part)


def echo_tree(line: str) -> None:
    """Print a line of a tree. In a terminal that is too narrow its words go on below it, behind the
    branches of the tree; no id is broken. Elsewhere it stays one line."""
    branch = _BRANCH.match(line)
    head = branch.group() if branch else ""
    width = get_terminal_size().columns
    if not fancy() or _size(click.unstyle(line)) <= width:
        click.echo(line)
        return
    stem = head.translate(_STEM) + "  "
    part, size = head, _size(click.unstyle(head))
    for word in line[len(head) :].split(" "):
        more = _size(click.unstyle(word))
        if size + more > width and part.strip() and part not in (head, stem):
            click.echo(part.rstrip())
            part, size = stem, _size(stem)
            if not word:
                continue
        part, size = f"{part}{word} ", size + more + 1
    click.echo(part.rstrip())


def nothing(what: str, *filters: object) -> str:
    """What an empty listing says: none that fit, or none at all."""
    return f"no {what} fit that" if any(filters) else f"no {what} yet"


def _that_fit(
    columns: Sequence[str], texts: Sequence[Sequence[str]], by_weight: Sequence[str]
) -> list[str]:
    """The columns for which the terminal has room, the weightiest first; those left out are named
    below, unless nothing stands in them."""
    room = get_terminal_size().columns + GAP
    kept: set[str] = set()
    for name in by_weight:
        column = [line[columns.index(name)] for line in texts]
        least = max(len(name), _least(column, breaking=True)) + GAP
        if not kept or (least <= room and any(column)):
            kept.add(name)
            widest = max(map(_size, column)) + GAP
            room -= max(least, min(widest, PLENTY, room))
    said = [any(line[number] for line in texts) for number in range(len(columns))]
    left = [name for name, some in zip(columns, said, strict=True) if some and name not in kept]
    if left:
        click.echo(f"(no room for {', '.join(left)}; --wide shows all)", err=True)
    return [name for name in columns if name in kept]


def _least(column: Iterable[str], *, breaking: bool) -> int:
    """How narrow a column may become: an id or a short word is never broken."""
    least = 0
    for text in column:
        words = [_size(word) for word in text.split()]
        longest = max(words, default=0)
        least = max(least, min(longest, LONG) if breaking and len(words) > 2 else longest)
    return least


def _widths(lines: Sequence[Sequence[str]], *, folded: bool, breaking: bool) -> list[int]:
    """The width of each column: that of its longest text, or less in a terminal too narrow for it.
    There each has its least at first, then the narrowest ones get what they want."""
    columns = list(zip(*lines, strict=True))
    wanted = [max(map(_size, column)) for column in columns]
    if not folded:
        return wanted
    widths = [_least(column, breaking=breaking) for column in columns]
    room = get_terminal_size().columns - sum(widths) - GAP * (len(widths) - 1)
    if room < 0:  # nothing helps: the terminal breaks the lines
        return wanted
    for number in sorted(range(len(widths)), key=lambda number: wanted[number]):
        more = min(room, wanted[number] - widths[number])
        widths[number] += more
        room -= more
    return widths


def _folded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row as one line or several, each text within its width."""
    cells = [
        wrap(text, width, break_on_hyphens=False) if _size(text) > width else [text]
        for text, width in zip(line, widths, strict=True)
    ]
    return [
        (" " * GAP)
        .join(part + " " * (width - _size(part)) for part, width in zip(parts, widths, strict=True))
        .rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _size(text: str) -> int:
    """How many columns of a terminal a text takes: an emoji takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cell(value: Any) -> str:
    """A value as one line; control characters in a stranger's text cannot move the cursor."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else "·" for c in text)


def short_time(text: str | None) -> str:
    """A stored moment as a person reads it: local clock for today, with the date otherwise."""
    if not text:
        return ""
    moment = datetime.fromisoformat(text).astimezone()
    today = datetime.now(UTC).astimezone().date()
    form = "%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S"
    return moment.strftime(form) + f".{moment.microsecond // 1000:03d}"
