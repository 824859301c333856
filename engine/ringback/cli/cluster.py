"""The commands `cluster …`: the PostgreSQL database that nodes keep log and journal in."""

from dataclasses import asdict

import click

from ringback.cli.output import json_option, print_json
from ringback.cli.project_context import here
from ringback.errors import ConfigError


@click.group()
def cluster() -> None:
    """The PostgreSQL database of a node: RINGBACK_DATABASE_URL."""


@cluster.command()
def create() -> None:
    """Make the tables in an empty database; those that are there stay as they are."""
    from ringback.store.postgres.server_status import make_tables

    url = _url()
    made = make_tables(url)
    click.echo("the tables are made" if made else "the tables are there already")


@cluster.command()
@json_option
def status(as_json: bool) -> None:
    """Say which server it is, and whether its tables are those of this program."""
    from ringback.store.postgres import server_status

    found = server_status.status(_url())
    if as_json:
        print_json(asdict(found))
        return
    tables = "of another version" if found.tables else "none: `ringback cluster create` makes them"
    click.echo(f"database  {found.database}")
    click.echo(f"server    PostgreSQL {found.server}")
    click.echo(f"size      {found.bytes / 1e6:,.1f} MB")
    click.echo(f"tables    {'as this program knows them' if found.fits else tables}")


def _url() -> str:
    url = here().settings().database_url
    if not url:
        raise ConfigError(
            ["database_url is not set: log and journal are files; set RINGBACK_DATABASE_URL"]
        )
    return url
