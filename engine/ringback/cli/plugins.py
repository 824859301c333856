"""The command `plugins`: the plugins of a project, the hooks there are, and a new plugin.

Also the commands that plugins add to the shell.
"""

import inspect
from pathlib import Path

import click

from ringback.cli.output import json_option, print_json, print_rows, wide_option
from ringback.cli.packages import unlisted_packages
from ringback.cli.project_context import here
from ringback.errors import ConfigError, PluginError, RuleErrors, StorageError, UsageError

COLUMNS = ("name", "origin", "state", "rules", "hooks", "about")
BY_WEIGHT = ("name", "state", "about", "rules", "origin", "hooks")
"""The columns as they give way, the last one first, where there is little room."""


@click.group()
def plugins() -> None:
    """The plugins of this project."""


@plugins.command("list")
@wide_option
@json_option
def list_(wide: bool, as_json: bool) -> None:
    """List the plugins with what each adds, how it fares, and those that did not load."""
    from ringback.cli.hosted import described
    from ringback.plugins.plugin_rows import rows_of

    project = described(here().settings())
    rows = rows_of(project.plugins, project.plugin_problems, _trouble())
    print_rows(
        rows, COLUMNS, as_json=as_json, empty="no plugins; `ringback plugins new NAME`",
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip
    for line in unlisted_packages(project.settings):
        click.echo(f"({line})", err=True)
    if project.plugin_problems:
        raise RuleErrors(project.plugin_problems)


def _trouble() -> dict[str, str]:
    """What the journal says about each plugin: its last failure, or its quarantine."""
    from ringback.store.queries.questions import Questions

    try:
        with Questions(here().databases()) as asked:
            return asked.plugin_trouble()
    except StorageError:
        return {}  # no node has run here yet


@plugins.command()
@json_option
def hooks(as_json: bool) -> None:
    """List the hooks that a plugin may implement, with their exact arguments."""
    from ringback.plugins import hookspecs

    for name in hookspecs.HOOKS:
        function = getattr(hookspecs, name)
        arguments = list(inspect.signature(function).parameters)
        about = inspect.getdoc(function) or ""
        if as_json:
            print_json({"name": name, "arguments": arguments, "about": about})
        else:
            click.echo(f"{name}({', '.join(arguments)})")
            click.echo("    " + about.partition("\n")[0])


@plugins.command()
@click.argument("name")
def new(name: str) -> None:
    """Write a small working plugin and its test into the project."""
    from ringback.plugins.template import files_for

    project = here().project
    files = files_for(name)
    for path in files:
        if (project / path).exists():
            raise UsageError(f"{path} exists already")
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, "utf-8")
        click.echo(f"wrote {path}")
    text = name.replace("_", " ")
    click.echo(f'try it: ringback dev, then: ringback simulate message "{text}"', err=True)


def registered_commands(project: Path) -> dict[str, click.Command]:
    """The commands of a project's plugins. One that hangs or ends the process at import is named on
    standard error; what else does not load is left to `ringback check`."""
    from ringback.cli.hosted import proven
    from ringback.config import Settings
    from ringback.plugins.loader import hook_callers

    try:
        found = proven(Settings.load(project))
    except (ConfigError, PluginError):
        return {}
    commands: dict[str, click.Command] = {}
    for plugin, register in hook_callers(found, "register_commands"):
        group = click.Group()
        try:
            register(cli=group)
        except Exception as error:
            click.echo(f"ringback: plugin {plugin.name}: register_commands: {error}", err=True)
            continue
        for name, command in group.commands.items():
            commands.setdefault(name, command)
    return commands
