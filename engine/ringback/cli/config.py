"""The command `config show`: the settings in force, and where each comes from."""

import os

import click

from ringback.cli.gateway_session import way_in
from ringback.cli.output import json_option, print_rows
from ringback.cli.project_context import here


@click.group()
def config() -> None:
    """The settings in force, and where each comes from."""


@config.command()
@json_option
def show(as_json: bool) -> None:
    """Print every setting with its source; secrets are masked."""
    settings = here().settings()
    rows = [
        {
            "setting": line.name,
            "value": line.value,
            "source": line.source,
            "variable": ", ".join(line.env),
            "about": line.about,
        }
        for line in settings.shown()
    ]
    if not as_json:
        for note in settings.notes:
            click.echo(f"ringback: {note}", err=True)
        click.echo(f"project {settings.project}, gateway {way_in(settings)}", err=True)
        rows = [{**row, "value": _one_line(row["value"])} for row in rows]
    print_rows(rows, ("setting", "value", "source", "variable"), as_json=as_json, empty=os.linesep)


def _one_line(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
