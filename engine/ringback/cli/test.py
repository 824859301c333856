"""The command `test`: the cases that stand beside the rules, run without a network."""

from pathlib import Path

import click

from ringback.cli.output import json_option, print_json, style
from ringback.cli.project_context import here
from ringback.cli.serve import project_argument


@click.command("test")
@project_argument
@json_option
def test(project: Path | None, as_json: bool) -> int:
    """Run the cases of the rule files: given these events, these actions are expected.

    Nothing is sent and nothing is stored. Ends with 1 when a case fails.
    """
    from ringback.rules.files.report import render
    from ringback.testing.cases import run_cases

    settings = here().settings(project)
    results = run_cases(settings.project, config=settings.plugin_config, settings=settings)
    for result in results:
        problem = str(result.problem) if result.problem else None
        if as_json:
            row = {"name": result.name, "file": result.file, "line": result.line}
            print_json({**row, "good": result.good, "problem": problem})
            continue
        mark = style("✓", "green") if result.good else style("✗", "red")
        click.echo(f"{mark} {result.file}:{result.line} {result.name}")
        if result.problem:
            click.echo(render([result.problem]).rstrip("\n"))
    failed = sum(not result.good for result in results)
    if not as_json:
        none = "" if results else "; a rule file may have a list `cases`"
        click.echo(f"{len(results) - failed} passed, {failed} failed{none}")
    return 1 if failed else 0
