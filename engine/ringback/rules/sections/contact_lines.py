"""Contact files: CSV with a number in each line and what is known of its person."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.errors import Problem
from ringback.rules.addresses import bad_number
from ringback.rules.language import phones

NUMBER = ("number", "phone")
"""How the column of the numbers may be called."""
GROUPS = "groups"
"""The column with the names of groups, divided by spaces."""
LONGEST, MOST_FIELDS, LONGEST_NAME = 1000, 50, 41
"""So many letters of a value are kept, so many columns, so many letters of their names."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of such a file: its number, the address, fields that are not empty, groups."""

    line: int
    address: str
    fields: dict[str, str]
    groups: tuple[str, ...] = ()


def read_contacts(path: Path, shown: str = "") -> Iterator[Line | Problem]:
    """The lines of a file one by one, and what is wrong with others, each with its place. The
    first line names the columns. No more than a line is in memory."""
    name = shown or str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            first = opened.readline()
            opened.seek(0)
            sign = ";" if first.count(";") > first.count(",") else ","
            yield from _lines(csv.reader(opened, delimiter=sign, strict=True), name)
    except FileNotFoundError:
        yield Problem(name, 0, 0, "file", "there is no such file")
    except (OSError, UnicodeDecodeError) as error:
        what = "it is no text in UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        yield Problem(name, 0, 0, "file", f"it cannot be read: {what}")


def _lines(rows: Any, name: str) -> Iterator[Line | Problem]:
    columns: list[str] = []
    try:
        for row in rows:
            if not any(map(str.strip, row)):
                continue
            if not columns:
                columns = [cell.strip().casefold() for cell in row]
                if wrong := _bad_columns(columns):
                    yield Problem(name, rows.line_num, 1, "contacts", wrong[0], hint=wrong[1])
                    return
                continue
            yield _line(columns, row, rows.line_num, name)
    except csv.Error as error:
        text = f"the line cannot be read: {error}"
        hint = "a text with a comma or a quote stands in quotes, and a quote in it is written twice"
        yield Problem(name, rows.line_num, 1, "contacts", text, hint=hint)


def _bad_columns(columns: list[str]) -> tuple[str, str] | None:
    if not set(NUMBER) & set(columns):
        shown = ", ".join(filter(None, columns))[:80]
        return f"no column is named number: {shown}", "the first line names them, as number,name"
    for each in columns:
        if columns.count(each) > 1:
            return f"two columns are named {each!r}", ""
        if not field_name(each):
            return f"{each!r} is no name of a column", "use letters, digits and _, 41 at most"
    if len(columns) > MOST_FIELDS:
        return f"there are {len(columns)} columns, {MOST_FIELDS} at most", ""
    return None


def field_name(name: str) -> bool:
    """Whether a field of a contact may be called so."""
    return name.isidentifier() and len(name) <= LONGEST_NAME


def _line(columns: list[str], row: list[str], number: int, name: str) -> Line | Problem:
    if len(row) > len(columns):
        text = f"there are {len(row)} values for {len(columns)} columns"
        hint = "a text with a comma in it stands in quotes"
        return Problem(name, number, 1, "contacts", text, hint=hint)
    cells = {key: cell.strip() for key, cell in zip(columns, row, strict=False)}
    key = next(each for each in NUMBER if each in cells or each in columns)
    written = cells.pop(key, "")
    address = phones.plain(written)
    if not written:
        return Problem(name, number, 1, "contacts", "the number is missing")
    if wrong := bad_number(address):
        return Problem(name, number, 1, "contacts", wrong)
    if ":" not in address and not address.startswith("+"):
        hint = "write it with its country: +15551234567"
        return Problem(name, number, 1, "contacts", f"{written!r} is no number", hint=hint)
    groups = tuple(cells.pop(GROUPS, "").split())
    for each in groups:
        if not each.isidentifier():
            return Problem(name, number, 1, "contacts", f"{each!r} is no name of a group")
    for column, cell in cells.items():
        if len(cell) > LONGEST:
            text = f"{column!r} is longer than {LONGEST} letters"
            return Problem(name, number, 1, "contacts", text)
    return Line(number, address, {each: cell for each, cell in cells.items() if cell}, groups)
