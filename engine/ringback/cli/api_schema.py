"""The command `api`: the JSON API, for programs that are made from its description."""

import click

from ringback.printed_json import printed_json


@click.group()
def api() -> None:
    """The JSON API of the console."""


@api.command()
@click.option("--markdown", is_flag=True, help="The tables of the resources, as in the manual.")
def schema(markdown: bool) -> None:
    """Print the OpenAPI document of the JSON API."""
    from ringback.console.api.listed import RESOURCES
    from ringback.console.api.manual import tables
    from ringback.console.api.openapi import document

    if markdown:
        click.echo(tables(RESOURCES), nl=False)
        return
    click.echo(printed_json(document(RESOURCES), indent=2))
