"""Listing of the commands that plugins bring, read from the text of their files.

To import plugins takes ten times as long as the rest of a `--help`. What `register_commands` does
in its usual form is found without: functions under `@cli.command(...)` and `@cli.group(...)` whose
arguments are constants. For whatever is written otherwise there is no listing, and the plugins are
imported.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import click

from ringback.config import Settings
from ringback.errors import ConfigError

HOOK = "register_commands"

Command = ast.FunctionDef | ast.AsyncFunctionDef


class Unclear(ValueError):
    """A text that does not say which commands there are."""


def listed_commands(project: Path) -> dict[str, click.Command] | None:
    """The commands of a project's plugins with their help and without their code, by name; None
    when only an import can tell."""
    commands: dict[str, click.Command] = {}
    try:
        settings = Settings.load(project)
        off = any(table.get("enabled") is False for table in settings.plugin_config.values())
        if settings.entry_points or off:  # their files are anywhere; some do not count
            return None
        for path in sorted((project / "plugins").rglob("*.py")):
            text = path.read_bytes()
            if b"import *" in text:
                return None
            if HOOK.encode() in text:
                for each in _commands(ast.parse(text)):
                    commands.setdefault(each.name or "", each)
    except (ConfigError, OSError, ValueError, SyntaxError):
        return None  # what is wrong is said by those who load it
    return commands


def _commands(module: ast.Module) -> Iterator[click.Command]:
    """Raises Unclear when the name of the hook stands for anything but one function of the usual
    form."""
    hooks = [
        each for each in module.body if isinstance(each, ast.FunctionDef) and each.name == HOOK
    ]
    named = [each for each in ast.walk(module) if HOOK in _names(each)]
    if len(hooks) != 1 or named != hooks:
        raise Unclear
    for each in hooks[0].body:
        if isinstance(each, Command):
            yield _command(each, hooks[0].args.args[0].arg)
        elif not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)):
            raise Unclear  # it may add commands, or only some of them


def _names(node: ast.AST) -> list[object]:
    """The names and texts of one node, without those inside of it."""
    return [value for _, value in ast.iter_fields(node) if isinstance(value, str)]


def _command(function: Command, cli: str) -> click.Command:
    """What its decorator makes of a function, as click names it and cuts its help."""
    kinds = {"command": click.command, "group": click.group}
    for each in function.decorator_list:
        if not (isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)):
            continue
        owner, kind = each.func.value, kinds.get(each.func.attr)
        if isinstance(owner, ast.Name) and owner.id == cli and kind is not None:

            def stub() -> None: ...

            stub.__name__, stub.__doc__ = function.name, ast.get_docstring(function)
            given = [ast.literal_eval(value) for value in each.args]
            named = {str(one.arg): ast.literal_eval(one.value) for one in each.keywords}
            made: click.Command = kind(*given, **named)(stub)
            return made
    raise Unclear
