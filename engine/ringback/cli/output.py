"""Output of the commands: JSON lines for programs, aligned columns and colour for people."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import Any

import click

from ringback.printed_json import printed_json

PROSE = ("text", "reason")
"""Columns of words, which may be broken where there is little room."""

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

    In a terminal that is too narrow the columns give way, the last of `by_weight` first, unless all
    are wanted (`wide`): an id stays whole on its line.
    """
    if as_json:
        for row in rows:
            print_json(row)
        return
    texts = [[cell(row.get(column)) for column in columns] for row in rows]
    if not texts:
        click.echo(empty, err=True)
        return
    if fancy() and by_weight and not wide:
        columns, texts = _that_fit(columns, texts, by_weight)
    words = _longest_words([columns, *texts], by_weight)
    if fancy() and not wide and sum(words) + 2 * len(words) <= get_terminal_size().columns:
        _print_table(texts, dict(zip(columns, words, strict=True)))
    else:  # a SID stays whole, to be copied, also where the terminal then breaks the line
        widths = [
            max(len(line[i]) for line in [list(columns), *texts]) for i in range(len(columns))
        ]
        for number, line in enumerate([list(columns), *texts]):
            padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
            shown = "  ".join(padded).rstrip()
            click.echo(click.style(shown, bold=True) if fancy() and number == 0 else shown)


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 event`, `20,114 events`, `902 people`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def nothing(what: str, *filters: object) -> str:
    """What an empty listing says: none that fit, or none at all."""
    return f"no {what} fit that" if any(filters) else f"no {what} yet"


def _longest_words(lines: Sequence[Sequence[str]], by_weight: Sequence[str] = ()) -> list[int]:
    """How wide each column is at least, when prose is folded and no word is broken, but for long
    ones of what people wrote where columns give way."""
    columns = (" ".join(column).split() for column in zip(*lines, strict=True))
    widths = [max(map(len, words), default=0) for words in columns]
    prose = [bool(by_weight) and name in PROSE for name in lines[0]]
    return [min(size, 20) if said else size for size, said in zip(widths, prose, strict=True)]


def _that_fit(
    columns: Sequence[str], texts: list[list[str]], by_weight: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The columns for which the terminal has room; the others are named below the listing."""
    room = get_terminal_size().columns
    kept = list(columns)
    for name in reversed(by_weight[1:]):
        places = [columns.index(each) for each in kept]
        lines = [kept, *([line[place] for place in places] for line in texts)]
        if sum(_longest_words(lines, by_weight)) + 2 * (len(kept) - 1) <= room:
            break
        kept.remove(name)
    left = [name for name in columns if name not in kept]
    if left:
        click.echo(f"(no room for {', '.join(left)}; --wide shows all)", err=True)
    places = [columns.index(each) for each in kept]
    return kept, [[line[place] for place in places] for line in texts]


def _print_table(texts: list[list[str]], columns: Mapping[str, int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, least in columns.items():
        table.add_column(column, overflow="fold", min_width=least)
    for line in texts:
        table.add_row(*(Text(text) for text in line))
    Console().print(table)


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
