"""The command `groups`: groups of people, and who is in them."""

from itertools import islice
from pathlib import Path
from typing import Any

import click

from ringback.cli.contact_files import export_file, import_file
from ringback.cli.control import tell_worker
from ringback.cli.events import questions
from ringback.cli.output import json_option, nothing, print_rows, wide_option
from ringback.cli.project_context import here
from ringback.errors import UsageError
from ringback.rules.language.numbers import counted

COLUMNS = ("number", "name", "zone", "lang", "groups")
limit_option = click.option(
    "--limit", default=30, show_default=True, type=click.IntRange(1, 1_000_000)
)
skip_option = click.option(
    "--skip-wrong", is_flag=True, help="Import the lines that are right, and leave out the others."
)


@click.group()
def groups() -> None:
    """Groups of people, and who is in them."""


@groups.command("list")
@wide_option
@json_option
def list_(wide: bool, as_json: bool) -> None:
    """List the groups of the rules, and how many are in each."""
    from ringback.cli.hosted import described

    named = described(here().settings()).ruleset.language.groups
    with questions() as asked:
        counts = asked.group_counts()
    rows = [
        {"group": name, "from": each.file,
         "members": counts.get(name, 0) if each.members is None else len(each.members)}
        for name, each in named.items()
    ]  # fmt: skip
    rows += [
        {"group": name, "members": count, "from": "", "about": "no rule file names it"}
        for name, count in counts.items()
        if name not in named
    ]
    columns = ("group", "members", "from", *(("about",) if len(rows) > len(named) else ()))
    print_rows(rows, columns, as_json=as_json, empty=nothing("groups"), wide=wide)


@groups.command()
@click.argument("name")
@limit_option
@wide_option
@json_option
def show(name: str, limit: int, wide: bool, as_json: bool) -> None:
    """List who is in a group of the journal, by number."""
    with questions() as asked:
        print_cards(list(islice(asked.contact_cards(name), limit)), as_json=as_json, wide=wide)


@groups.command()
@click.argument("name")
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER…")
def add(name: str, numbers: tuple[str, ...]) -> None:
    """Put people into a group. Who is in it already stays in it."""
    cards = [{"address": here().number(each), "joins": [name]} for each in numbers]
    changed = tell_worker({"op": "cards", "cards": cards})["changed"]
    click.echo(f"{counted(changed, 'person', 'people')} more in {name}")


@groups.command()
@click.argument("name")
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER…")
def remove(name: str, numbers: tuple[str, ...]) -> None:
    """Take people out of a group."""
    cards = [{"address": here().number(each), "leaves": [name]} for each in numbers]
    changed = tell_worker({"op": "cards", "cards": cards})["changed"]
    click.echo(f"{counted(changed, 'person', 'people')} less in {name}")


@groups.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@skip_option
@json_option
def import_(name: str, file: Path, skip_wrong: bool, as_json: bool) -> None:
    """Put all people of FILE, CSV with a column `number`, into a group; keep the other columns."""
    import_file(file, [name], skip_wrong=skip_wrong, as_json=as_json)


@groups.command()
@click.argument("name")
@click.argument("file", default="-")
@json_option
def export(name: str, file: str, as_json: bool) -> None:
    """Write who is in a group as CSV, to FILE or to the standard output."""
    export_file(file, name, as_json=as_json)


def print_cards(cards: list[dict[str, Any]], *, as_json: bool, wide: bool) -> None:
    """Print contacts: all fields as JSON, or the known ones in columns."""
    rows = cards
    if not as_json:
        rows = [
            {**card["fields"], "number": card["number"], "groups": " ".join(card["groups"])}
            for card in cards
        ]
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("contacts"), by_weight=COLUMNS, wide=wide
    )


def fields_of(words: tuple[str, ...]) -> dict[str, str | None]:
    """Fields as they are typed, `name=Ada`; `name=` forgets one. Raises UsageError."""
    found: dict[str, str | None] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{word!r} is no field; write it like name=Ada, or name= to forget it")
        found[name] = value or None
    return found
