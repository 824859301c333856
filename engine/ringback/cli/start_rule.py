"""The command `start`: one rule, now, for a person perhaps, with JSON perhaps."""

import sys

import click

from ringback.cli import completion
from ringback.cli.control import tell_worker
from ringback.cli.output import cell


@click.command()
@click.argument("rule", shell_complete=completion.rule_names)
@click.option("--to", default="", metavar="NUMBER", help="The person it is for, as +15551234567.")
@click.option(
    "--json", "given", default="", metavar="JSON",
    help="What the rule reads as `hook`: '{\"when\": \"Monday\"}'; - reads it from standard input.",
)  # fmt: skip
def start(rule: str, to: str, given: str) -> int:
    """Start a rule now, whatever it listens to. The running node does what its steps say.

    What restrains its runs (mode, max, once_within) does so here too; it ends with 1 then.
    """
    if given == "-":
        given = sys.stdin.read()
    message = {"op": "start", "rule": rule, "to": to, "json": given}
    answer = tell_worker(message, seconds=30.0)
    for run in answer["runs"]:
        click.echo(f"started {cell(run['rule'])}: event {answer['uid']}, run {run['run']}")
    if not answer["runs"]:
        why = answer["verdicts"].get(rule, "")
        click.echo(f"not started: {cell(why or 'nothing has begun')} (event {answer['uid']})")
    return 0 if answer["runs"] else 1
