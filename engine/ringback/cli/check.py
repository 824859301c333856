"""The command `check`: everything wrong with rules, plugins and settings, in one run."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ringback.cli.packages import unlisted_packages
from ringback.cli.project_context import here, no_project
from ringback.config import Settings, is_project
from ringback.errors import Problem, UsageError
from ringback.rules.language.numbers import counted
from ringback.tracing.configuration import configured

if TYPE_CHECKING:
    from ringback.rules.model import Rule


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
    if is_project(project):
        return _project(here().settings(path))
    if path is None and project.is_dir():
        raise no_project(project)
    if path is None:
        return _project(here().settings())
    if not path.exists():
        raise UsageError(
            f"{path} does not exist; name a project, a folder of rules, or a rule file"
        )
    return _files(path)


def _project(settings: Settings) -> tuple[list[Problem], str]:
    from ringback.cli.hosted import described
    from ringback.project import unheard_code

    loaded = described(settings)
    for line in unlisted_packages(settings):
        click.echo(f"({line})", err=True)
    rules = counted(len(loaded.ruleset.rules), "rule")
    plugins = counted(len(loaded.plugins.plugins), "plugin")
    _say_overrides(loaded.ruleset.rules, settings)
    problems = [*loaded.problems, *unheard_code(settings), *_traces()]
    problems += _loops(loaded.ruleset.rules, settings.project)
    _warn_of_double_tries(loaded.ruleset.rules, settings)
    return problems, f"{settings.project}: {rules} and {plugins}, all good"


def _say_overrides(rules: "Sequence[Rule]", settings: Settings) -> None:
    """Print which rules a person has put into other states than their files say."""
    from ringback.store.data_place import DataPlace

    own = settings.project == here().settings(None).project
    at = here().databases() if own else DataPlace(settings.data, settings.database_url)
    if not at.has_journal():  # no node has run here yet: the questions are not loaded
        return
    from ringback.cli.rule_override import said
    from ringback.errors import RingbackError
    from ringback.runtime import iso
    from ringback.store.queries.questions import Questions
    from ringback.store.queries.shapes import override

    try:
        with Questions(at) as asked:
            states = asked.rule_states()
    except RingbackError:  # it cannot be read; `doctor` says why
        return
    now = iso(here().now())
    for rule in rules:
        given = states.get(rule.name)
        if given is not None and given.holds(rule.rev, now):
            where = f"{_file(rule, settings.project)}:{rule.line}"
            what = f"is {said(override(given))}"
            click.echo(f"({where}: rule {rule.name!r} {what})", err=True)


def _traces() -> list[Problem]:
    """What is wrong with the variables that ask for traces. Where they go is printed."""
    asked = configured(os.environ)
    if asked.endpoint and not asked.problems:
        click.echo(f"(traces go to {asked.shown})", err=True)
    return [Problem("environment", 0, 0, "traces", each) for each in asked.problems]


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
    problems = [*loaded.problems, *_loops(loaded.rules, here().project)]
    _warn_of_double_tries(loaded.rules, here().settings(None))
    return problems, f"{path}: {counted(len(loaded.rules), 'rule')}, all good"


def _loops(rules: "Sequence[Rule]", root: Path) -> Iterator[Problem]:
    """Rules that cause themselves. Of those that only can, a line is printed: it may be meant, and
    a node ends what goes on without end. So is one of rules that look at the wrong event, and
    one of counts that cannot be what was meant."""
    from ringback.rules.functions.delivery import misread
    from ringback.rules.self_causing import circles

    for rule in rules:
        for warning in misread(_expressions(rule)):
            where = f"{_file(rule, root)}:{rule.line}"
            click.echo(f"({where}: rule {rule.name!r}: {warning})", err=True)
        for word in _deaf(rule):
            where, what = f"{_file(rule, root)}:{rule.line}", f"rule {rule.name!r}: {word}"
            click.echo(
                f"({where}: {what} does not look at what comes, which is `reply` in its `if`; "
                "`event` is what the run began with)", err=True,
            )  # fmt: skip
    for circle in circles(rules):
        rule, hint = circle.rule, f"if: event.cause.rule != '{circle.rule.name}'"
        file = _file(rule, root)
        if circle.surely:
            yield Problem(file, rule.line, 1, "loop", str(circle), hint=f"leave these out: {hint}")
        else:
            click.echo(f"({file}:{rule.line}: {circle})", err=True)


def _warn_of_double_tries(rules: "Sequence[Rule]", settings: Settings) -> None:
    from ringback.rules.double_tries import double_tries

    table = settings.plugin_config.get("retry_failed", {})
    named = table.get("rules", ()) if isinstance(table, dict) else ()
    plugin = [each for each in named if isinstance(each, str)] if isinstance(named, list) else []
    for rule, what in double_tries(rules, plugin):
        where = f"{_file(rule, settings.project)}:{rule.line}"
        click.echo(
            f"({where}: rule {rule.name!r} {what}: a person gets the tries of both)", err=True
        )


def _expressions(value: Any) -> Iterator[str]:
    """The expressions inside of a value: of a rule's conditions, or of the texts of its steps."""
    from ringback.rules.language.cel import Program
    from ringback.rules.language.templates import Template
    from ringback.rules.model import Condition, Rule, Step

    match value:
        case Rule():
            yield from _expressions([*value.conditions, *value.steps])
        case Step():
            yield from _expressions([*value.params.values(), *value.branches.values()])
        case Program() | Condition():
            yield value.source
        case Template():
            yield from _expressions(value.parts)
        case dict():
            yield from _expressions([*value.values()])
        case list() | tuple():
            for item in value:
                yield from _expressions(item)


def _file(rule: "Rule", root: Path) -> str:
    path = Path(rule.file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else rule.file


def _deaf(rule: "Rule") -> list[str]:
    """Those of `cancel_on` and `unless` whose conditions are the same for all that may come."""
    triggers = {"cancel_on": rule.cancel_on, "unless": rule.unless}
    return [
        word
        for word, trigger in triggers.items()
        if trigger is not None
        and any("event." in each.source for each in trigger.conditions)
        and not any("reply" in each.source for each in trigger.conditions)
    ]


def _refusals(settings: Settings) -> list[Problem]:
    """What keeps a node from starting. Plugins have a moment to say what they bring."""
    from ringback.cli.hosted import described_soon
    from ringback.plugins.manifest import Manifest
    from ringback.project import Project

    known = described_soon(settings)
    project = known or Project.described(settings, Manifest())
    return project.refusals(missing=known is None)
