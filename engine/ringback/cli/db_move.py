"""The command `db migrate-to`: a node's data from SQLite files to a PostgreSQL server, or back."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ringback.cli.output import json_option, print_json
from ringback.cli.progress_bar import progress
from ringback.cli.project_context import here
from ringback.errors import HeldError, StorageError, UsageError

if TYPE_CHECKING:
    from ringback.store.postgres.moving import Side

SCHEMES = ("postgresql://", "postgres://")
FOLDER = "sqlite:"


@click.command("migrate-to")
@click.argument("place")
@json_option
def migrate_to(place: str, as_json: bool) -> None:
    """Move all data to PLACE: postgresql://USER@HOST/DATABASE, or sqlite:FOLDER for the way back.

    The node must stand still. Rows are copied, counted and compared; then the old place notes where
    they went, and no node starts on it any more. Who is interrupted runs the same command again.
    """
    from ringback.store.postgres.moving import move

    if not place.startswith((*SCHEMES, FOLDER)):
        raise UsageError(f"{place!r}: name postgresql://… or {FOLDER}FOLDER")
    settings = here().settings()
    there = bool(settings.database_url)
    if there is not place.startswith(FOLDER):
        kind = "PostgreSQL, from which it goes to sqlite:FOLDER" if there else "SQLite files"
        raise UsageError(f"the data of this node is in {kind}; RINGBACK_DATABASE_URL says where")
    with contextlib.ExitStack() as stack:
        source = _side(stack, settings.database_url or f"{FOLDER}{settings.data}", must_be=True)
        target = _side(stack, place)
        with progress("moving") as told:
            moved = move(source, target, told)
    if as_json:
        print_json({"from": source.name, "to": target.name, "rows": dict(moved.rows)})
        return
    for table, rows in moved.rows.items():
        if rows:
            click.echo(f"  {table}: {rows:,}")
    following = "RINGBACK_DATABASE_URL empty" if there else "RINGBACK_DATABASE_URL set to it"
    click.echo(f"{sum(moved.rows.values()):,} rows are in {target.name}, equal to those that were")
    click.echo(f"in {source.name}. Start the node with {following}.")


def _side(stack: contextlib.ExitStack, place: str, *, must_be: bool = False) -> "Side":
    """One end of the move, held by us alone."""
    from ringback.store.postgres.moving import files, server
    from ringback.store.upkeep.locks import hold

    if not place.startswith(FOLDER):
        return stack.enter_context(server(place))
    data = Path(place.removeprefix(FOLDER))
    if must_be and not (data / "log.db").exists():
        raise StorageError(f"{data}: there is no log here yet")
    try:
        stack.enter_context(hold(data, "receiver"))
        stack.enter_context(hold(data, "worker"))
    except HeldError as error:
        raise HeldError(f"{error}; stop the node first") from None
    return stack.enter_context(files(data))
