"""`ringback db`: copies of the data, and whether it is sound."""

from pathlib import Path

import click

from ringback.cli.output import json_option, print_json
from ringback.cli.place import here
from ringback.errors import DataError, StorageError


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
