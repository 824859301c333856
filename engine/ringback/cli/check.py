"""`ringback check`: everything wrong with rules, plugins and settings, in one run."""

from pathlib import Path

import click

from ringback.cli.place import here
from ringback.cli.serve import project_argument


@click.command()
@project_argument
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text",
    show_default=True, help="json prints one array, github annotations.",
)  # fmt: skip
def check(project: Path | None, form: str) -> int:
    """Check rules, plugins and settings; ends with 1 when there are problems."""
    from ringback.project import Project
    from ringback.rules.report import render

    settings = here().settings(project)
    loaded = Project.load(settings)
    text = render(loaded.problems, form)
    if text:
        click.echo(text.rstrip("\n"))
    if loaded.problems:
        return 1
    if form == "text":
        rules, plugins = len(loaded.ruleset.rules), len(loaded.plugins.plugins)
        click.echo(f"{settings.project}: {rules} rules and {plugins} plugins, all good")
    return 0
