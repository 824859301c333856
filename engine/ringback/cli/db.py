"""`ringback db`: copies of the data, and whether it is sound."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import click

from ringback.cli.output import json_option, print_json
from ringback.cli.place import here
from ringback.errors import DataError, HeldError, StorageError, UsageError


@click.group()
def db() -> None:
    """Back up and check the two databases of the node."""


@db.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def backup(folder: Path, as_json: bool) -> None:
    """Copy the databases into FOLDER, consistent, while the node runs on."""
    from ringback.store import upkeep

    data = here().data()
    copied = list(upkeep.backup(data, folder))
    if not copied:
        raise StorageError(f"{data}: there is nothing to back up yet")
    for name, size in copied:
        if as_json:
            print_json({"file": str(folder / name), "bytes": size})
        else:
            click.echo(f"{folder / name}  {size:,} bytes")


@db.command("check")
def check_() -> None:
    """Read every page of both databases; ends with 65 when one is damaged."""
    from ringback.store import upkeep

    data = here().data()
    problems = upkeep.check(data)
    if problems:
        raise DataError("\n".join(problems))
    click.echo(f"{data}: sound")


@db.command()
@json_option
def rebuild(as_json: bool) -> None:
    """Make the journal again from the log; the node must stand still.

    Ids, verdicts and everything that was sent are taken from the old journal as far as it can be
    read; it is put aside, not deleted. No rule runs for what it knew.
    """
    from datetime import UTC, datetime

    from ringback.seams import REAL
    from ringback.store import rebuild as rebuilding

    data = here().data()
    with _alone(data):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        done = rebuilding.rebuild(data, lambda: REAL.uid("evt"), stamp)
    if as_json:
        print_json({**dataclasses.asdict(done), "aside": str(done.aside) if done.aside else None})
        return
    click.echo(f"{done.rows:,} requests read, {done.events:,} events, {done.unreadable} unreadable")
    for table, rows in done.kept.items():
        click.echo(f"  {table}: {rows:,} kept from the old journal")
    if done.aside:
        click.echo(f"the old journal is now {done.aside}")


@db.command()
@click.argument("number")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def erase(number: str, yes: bool, as_json: bool) -> None:
    """Forget a person: everything from and to NUMBER leaves log and journal.

    The node must stand still. A refusal (STOP) stays, so that they are not texted again. Backups
    are not touched: erase there too.
    """
    from ringback.store import erase as erasing

    if not number.strip("+").isalnum():
        raise UsageError(f"{number!r} is no number: write it as Twilio does, +12025550142")
    data = here().data()
    if not yes:
        click.confirm(f"Erase everything about {number} in {data}, for good?", abort=True, err=True)
    with _alone(data):
        done = erasing.erase(data, number)
    row = {"number": number, **dataclasses.asdict(done)}
    if as_json:
        print_json(row)
        return
    for name, count in row.items():
        click.echo(f"{name.replace('_', ' '):10} {count}")


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold both roles of the data folder, so that no node runs. Raises HeldError when one does."""
    from ringback.store.locks import hold

    if not (data / "log.db").exists():
        raise StorageError(f"{data}: there is no log here yet")
    try:
        with hold(data, "receiver"), hold(data, "worker"):
            yield
    except HeldError as error:
        raise HeldError(f"{error}; stop the node first") from None
