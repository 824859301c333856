"""Files of contacts on the command line: read and sent to the worker, and written."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from ringback.cli.control import tell_worker
from ringback.cli.events import questions
from ringback.cli.output import print_json
from ringback.errors import Problem, UsageError
from ringback.printed_json import printed_json
from ringback.rules.language.numbers import counted
from ringback.rules.sections.contact_lines import Line, read_contacts

BATCH, BATCH_BYTES = 500, 400_000
"""So many persons, and so much of them, stand in one message to the worker."""
SHOWN = 100
"""So many mistakes are shown."""
SECONDS = 60.0


def import_file(path: Path, groups: Sequence[str], *, skip_wrong: bool, as_json: bool) -> None:
    """Take the lines of a file over, in batches; first all of it is checked. To do it twice is the
    same as once, so one that was interrupted is simply done again."""
    lines, wrong, named = _checked(path)
    if wrong and (not skip_wrong or not lines):
        raise UsageError(
            f"{counted(wrong, 'line')} of {path} cannot be taken over, and nothing was imported; "
            "mend the file, or say --skip-wrong to import the others"
        )
    changed = 0
    for batch in _batches(read_contacts(path), groups):
        message = {"op": "cards", "cards": batch, "groups": sorted({*groups, *named})}
        changed += tell_worker(message, SECONDS)["changed"]
    if as_json:
        print_json({"lines": lines, "changed": changed, "wrong": wrong})
    else:
        click.echo(f"{counted(lines, 'contact')} imported, {changed:,} of them new or changed")


def _checked(path: Path) -> tuple[int, int, set[str]]:
    """How many lines of a file are right and how many are not, which are told, and the groups that
    it names."""
    right = wrong = 0
    named: set[str] = set()
    for each in read_contacts(path):
        if isinstance(each, Line):
            right += 1
            named.update(each.groups)
            continue
        wrong += 1
        if wrong <= SHOWN:
            click.echo(str(each), err=True)
    if wrong > SHOWN:
        click.echo(f"… and {wrong - SHOWN:,} more", err=True)
    return right, wrong, named


def _batches(
    lines: Iterable[Line | Problem], groups: Sequence[str]
) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for each in lines:
        if not isinstance(each, Line):
            continue
        joins = [*groups, *(name for name in each.groups if name not in groups)]
        card = {"address": each.address, "fields": each.fields, "joins": joins}
        more = len(json.dumps(card))
        if batch and (len(batch) == BATCH or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(card)
        size += more
    if batch:
        yield batch


def export_file(path: str, group: str, *, as_json: bool) -> None:
    """Write all contacts, or those of a group, as CSV or JSON lines; `-` is the standard output."""
    if path == "-":
        _write(sys.stdout, group, as_json=as_json)
        return
    try:
        with Path(path).open("x", encoding="utf-8", newline="") as made:
            count = _write(made, group, as_json=as_json)
    except FileExistsError:
        raise UsageError(f"{path} is there already; remove it, or choose another name") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    click.echo(f"{counted(count, 'contact')} in {path}", err=True)


def _write(made: TextIO, group: str, *, as_json: bool) -> int:
    count = 0
    with questions() as asked:
        names = [] if as_json else asked.contact_fields(group)
        if not as_json:
            made.write(_csv(["number", *names, "groups"]))
        for card in asked.contact_cards(group):
            count += 1
            if as_json:
                made.write(printed_json(card) + "\n")
                continue
            fields = [card["fields"].get(name, "") for name in names]
            made.write(_csv([card["number"], *fields, " ".join(card["groups"])]))
    return count


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
