"""The command `healthcheck`: whether the node of this project answers, for its supervisor."""

import json

import click

from ringback.cli.http import Unanswered, look
from ringback.cli.project_context import here


@click.command()
@click.option("--ready", is_flag=True, help="Also that it can record and work, as /readyz says.")
def healthcheck(ready: bool) -> int:
    """Ask the node here whether it is up; ends with 1 when it is not.

    It asks the address and port of the settings, by no proxy, and waits for four seconds at most.
    """
    try:
        status, text = look(here().settings(), "/readyz" if ready else "/healthz")
    except Unanswered as error:
        click.echo(f"ringback: {error}", err=True)
        return 1
    if status == 200:
        click.echo("ok")
        return 0
    click.echo(f"ringback: {_reasons(text)}", err=True)
    return 1


def _reasons(text: str) -> str:
    try:
        problems = json.loads(text)["problems"]
        return "; ".join(f"{name}: {reason}" for name, reason in problems.items())
    except (ValueError, LookupError, TypeError, AttributeError):
        return text.strip()[:200]
