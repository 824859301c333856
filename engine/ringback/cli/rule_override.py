"""The command `rules state`, and states that people gave to rules in listings."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.control import tell_worker
from ringback.cli.output import short_time
from ringback.cli.project_context import here
from ringback.errors import UsageError
from ringback.rules.model import STATES
from ringback.rules.timing.durations import parse_duration
from ringback.runtime import from_person, iso


@click.command()
@click.argument("name", shell_complete=completion.rule_names)
@click.argument("state", type=click.Choice((*STATES, "file")))
@click.option("--until", default="", help="Until then: 30m, 2h, 7d from now, or a time.")
@click.option("--reason", default="", help="Why, for whoever looks at the rule next.")
def state(name: str, state: str, until: str, reason: str) -> None:
    """Put a rule into another state for a while, without touching its file; `file` ends that.

    It lasts until --until, or until the rule is another one in its file; restarts do not end it.
    What is under way goes on. Only the running node looks at it: `test`, `backtest` and a dry
    `replay` judge what the files say.
    """
    message = {"op": "rule_state", "rule": name, "state": state, "reason": reason}
    answer = tell_worker({**message, "until": end_of(until)})
    end = f" until {short_time(answer['until'])}" if answer.get("until") else ""
    file = "" if state == "file" else f"; its file says {answer['file']}"
    click.echo(f"{name} is {answer['state']}{end}{file}")


def end_of(text: str) -> str:
    """The end as it is stored; empty for none."""
    if not text:
        return ""
    try:
        seconds = parse_duration(text)
    except ValueError as span:
        try:
            return iso(from_person(text))
        except ValueError as time:
            why = time if text.strip()[4:5] == "-" else f"{span}; or a time: {time}"
            raise UsageError(f"--until: {why}") from None
    return iso(here().now() + timedelta(seconds=seconds))


def in_force(row: Mapping[str, Any]) -> str:
    """The state of a rule in a listing: that in force, and that of the file where it is another."""
    return f"{row['state']} (file: {row['file']})" if row["override"] else str(row["state"])


def said(given: Mapping[str, Any] | None) -> str:
    """What a person made of a rule, in words; empty when nobody did."""
    if given is None:
        return ""
    until = f" until {short_time(given['until'])}" if given["until"] else ""
    return f"{given['state']}{until}, says {given['by'] or 'somebody'}: {given['reason']}"
