"""The command `config show`: the settings in force, and where each comes from."""

import click

from ringback.cli.gateway_session import way_in
from ringback.cli.output import fancy, json_option, print_rows, wide_option
from ringback.cli.project_context import here


@click.group()
def config() -> None:
    """The settings in force, and where each comes from."""


@config.command()
@wide_option
@json_option
def show(wide: bool, as_json: bool) -> None:
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
        rows = (
            rows
            if wide or not fancy()
            else [{**row, "value": _one_line(row["value"])} for row in rows]
        )
    columns = ("setting", "value", "source", "variable")
    print_rows(rows, columns, as_json=as_json, empty="", by_weight=columns, wide=wide)


def _one_line(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"
