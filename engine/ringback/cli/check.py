"""The command `check`: everything wrong with rules, plugins and settings, in one run."""

from pathlib import Path

import click

from ringback.cli.output import counted
from ringback.cli.packages import unlisted_packages
from ringback.cli.project_context import here
from ringback.config import Settings
from ringback.errors import Problem, UsageError

PLUGIN_SECONDS = 2.0
"""So long the plugins may take to say what they bring; the rules are checked without it then."""
PROJECT_MARKS = ("ringback.toml", "rules", "plugins")


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text",
    show_default=True, help="json prints one array, github annotations.",
)  # fmt: skip
@click.option("--serving", is_flag=True, hidden=True)
def check(paths: tuple[Path, ...], form: str, serving: bool) -> int:
    """Check rules, plugins and settings; ends with 1 when there are problems.

    PATH is a project folder (default: this one), a folder of rule files, or a rule file.
    """
    from ringback.rules.files.report import render

    problems: list[Problem] = _refusals(here().settings(None)) if serving else []
    good: list[str] = []
    if serving:
        click.echo(render(problems, form).rstrip("\n"))
        return 1 if problems else 0
    for path in paths or (None,):
        found, summary = _check(path)
        problems += found
        good.append(summary)
    text = render(problems, form)
    if text:
        click.echo(text.rstrip("\n"))
    if problems:
        return 1
    if form == "text":
        click.echo("\n".join(good))
    return 0


def _check(path: Path | None) -> tuple[list[Problem], str]:
    """The problems of one path, and the line to print when there are none."""
    project = here().project if path is None else path
    if project.is_dir() and any((project / mark).exists() for mark in PROJECT_MARKS):
        return _project(here().settings(path))
    if path is None and project.is_dir():
        raise UsageError(
            f"{project} is no project: it has no ringback.toml, no rules/ and no plugins/; go to "
            "one, name it, or make one with `ringback init`"
        )
    if path is None:
        return _project(here().settings())
    if not path.exists():
        raise UsageError(
            f"{path} does not exist; name a project, a folder of rules, or a rule file"
        )
    return _files(path)


def _project(settings: Settings) -> tuple[list[Problem], str]:
    from ringback.cli.hosted import described

    loaded = described(settings)
    for line in unlisted_packages(settings):
        click.echo(f"({line})", err=True)
    rules = counted(len(loaded.ruleset.rules), "rule")
    plugins = counted(len(loaded.plugins.plugins), "plugin")
    return loaded.problems, f"{settings.project}: {rules} and {plugins}, all good"


def _files(path: Path) -> tuple[list[Problem], str]:
    """Rule files outside a project's `rules/`. The steps and functions of the plugins of the
    project that we stand in are known to them."""
    from ringback.cli.hosted import proven
    from ringback.rules.files.load import load_rules

    plugins = proven(here().settings(None))
    loaded = load_rules(path, functions=plugins.functions, steps=plugins.steps)
    if not loaded.files:
        raise UsageError(
            f"{path}: there is nothing to check: no rules/, no plugins/, no *.yaml file"
        )
    return loaded.problems, f"{path}: {counted(len(loaded.rules), 'rule')}, all good"


def _refusals(settings: Settings) -> list[Problem]:
    """What keeps a node from starting. Plugins have a moment to say what they bring."""
    from ringback.cli.hosted import described_within
    from ringback.plugins.manifest import Manifest
    from ringback.project import Project

    known = described_within(settings, PLUGIN_SECONDS)
    project = known or Project.described(settings, Manifest())
    return project.refusals(missing=known is None)
