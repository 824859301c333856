"""The command `test`: the cases that stand beside the rules, run without a network."""

import time
from pathlib import Path

import click

from ringback.cli.output import cell, json_option, print_json, style
from ringback.cli.project_context import here, no_project
from ringback.cli.serve import project_argument
from ringback.config import Settings, is_project
from ringback.errors import UsageError

LOOK_SECONDS = 0.25
"""How often changed files are looked for."""


@click.command("test")
@project_argument
@click.option("-k", "pick", multiple=True, metavar="TEXT", help="Only cases with it in the name.")
@click.option("--watch", is_flag=True, help="Run again whenever a file changes.")
@json_option
def test(project: Path | None, pick: tuple[str, ...], watch: bool, as_json: bool) -> int:
    """Run the cases of the rule files: given these events, these actions are expected.

    Nothing is sent and nothing is stored. A case that fails shows what each rule did, and why the
    others did not fire. Ends with 1 when a case fails.
    """
    settings = here().settings(project)
    if not is_project(settings.project):
        raise no_project(settings.project)
    if not watch:
        return _run(settings, pick, as_json)
    _watch(settings.project, pick, as_json)
    return 0


def _watch(root: Path, pick: tuple[str, ...], as_json: bool) -> None:
    """Run the cases, and again whenever a file has changed: in a process of its own each time, as
    a plugin that was loaded is loaded for good."""
    import subprocess
    import sys

    from ringback.cli.watched_files import stamps

    picked = [word for text in pick for word in ("-k", text)]
    command = [sys.executable, "-m", "ringback.cli.main", "test", str(root), *picked]
    while True:
        seen = stamps(root)
        subprocess.run([*command, "--json"] if as_json else command, check=False)
        click.echo("waits for a change; Ctrl-C ends", err=True)
        while stamps(root) == seen:
            time.sleep(LOOK_SECONDS)


def _run(settings: Settings, pick: tuple[str, ...], as_json: bool) -> int:
    from ringback.cli.checked_import import check_imports
    from ringback.rules.files.report import render
    from ringback.testing.cases import run_cases

    check_imports(settings)
    results = run_cases(
        settings.project, config=settings.plugin_config, settings=settings, pick=pick
    )
    if pick and not results:
        raise UsageError(f"no case has {' or '.join(map(repr, pick))} in its name or file")
    for result in results:
        problem = str(result.problem) if result.problem else None
        if as_json:
            row = {"name": result.name, "file": result.file, "line": result.line}
            print_json({**row, "good": result.good, "problem": problem, "story": result.story})
            continue
        mark = style("✓", "green") if result.good else style("✗", "red")
        click.echo(f"{mark} {result.file}:{result.line} {result.name}")
        if result.problem:
            click.echo(render([result.problem]).rstrip("\n"))
        for line in result.story:
            click.echo(f"    {cell(line)}")
    failed = sum(not result.good for result in results)
    if not as_json:
        none = "" if results else "; a rule file may have a list `cases`"
        click.echo(f"{len(results) - failed} passed, {failed} failed{none}")
    return 1 if failed else 0
