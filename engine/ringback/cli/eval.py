"""The command `eval`: what an expression of rules says of a recorded event."""

from contextlib import closing
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.output import cell, echo_tree, json_option, print_json
from ringback.cli.project_context import here
from ringback.errors import UsageError


@click.command("eval")
@click.argument("expression", metavar="EXPR")
@click.option(
    "--event", "what", required=True, help="The event, by its id or SID.",
    shell_complete=completion.event_ids,
)  # fmt: skip
@json_option
def evaluate(expression: str, what: str, as_json: bool) -> int:
    """Say what an expression of rules comes to for a recorded event, and what it read.

    Ends with 1 when it cannot be evaluated.
    """
    from ringback.cli.checked_import import import_checked
    from ringback.rules.language.cel import Fault, Program
    from ringback.rules.language.scope import Scope
    from ringback.runtime import Runtime
    from ringback.store.facts import open_facts
    from ringback.store.replays import Recorded

    now = here().now().timestamp()
    project = import_checked(here().settings())
    for problem in project.problems:
        click.echo(f"ringback: {problem}", err=True)
    language = project.ruleset.language
    program = language.compile(expression, want=())
    if not isinstance(program, Program):
        raise UsageError("\n".join(_complaint(each, expression) for each in program))
    with Recorded(here().databases()) as recorded:
        event = recorded.whole(recorded.about(what))
    with closing(open_facts(here().databases(), Runtime(time=lambda: now))) as facts:
        scope = Scope(event, facts, places=language.hours)
        value = program.evaluate(scope)
        fault = value.message if isinstance(value, Fault) else ""
        read = scope.seen()
    if as_json:
        print_json(
            {"expression": expression, "event": event.uid, "type": program.type,
             "value": None if fault else _plain(value), "error": fault or None,
             "read": {name: _plain(each) for name, each in read.items()}}
        )  # fmt: skip
        return 1 if fault else 0
    click.echo(f"it cannot be evaluated: {fault}" if fault else cell(_written(value)))
    for name, each in read.items():
        if name.strip() != expression.strip():
            echo_tree(f"  {cell(name)} is {cell(_written(_plain(each)))}")
    return 1 if fault else 0


def _plain(value: Any) -> Any:
    """A value for JSON: times and spans in words, faults as their reason."""
    message = getattr(value, "message", None)
    if message is not None:
        return f"error: {message}"
    return value if isinstance(value, str | int | float | list | dict | None) else str(value)


def _written(value: Any) -> str:
    """A value in the words of rules: true, 'a text', 3."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, str) else str(_plain(value))


def _complaint(complaint: Any, expression: str) -> str:
    place = f" (at {expression[complaint.offset :][:20]!r})" if complaint.offset else ""
    hint = f"; {complaint.hint}" if complaint.hint else ""
    return f"{complaint.message}{place}{hint}"
