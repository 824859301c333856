"""The command `failures`: texts and calls that failed, counted by what they have in common, and
what people say to them."""

from typing import Any

import click

from ringback.cli.control import tell_worker
from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here
from ringback.cli.rule_override import end_of
from ringback.errors import UsageError
from ringback.rules.language.numbers import counted
from ringback.store.operations.problems import STATES
from ringback.store.queries.failure_groups import WAYS, grouped, narrowed

EVER = "2000-01-01T00:00:00.000Z"
READ = 50_000
"""So many failures of a span are counted at most, the newest of them."""


@click.group(invoke_without_command=True)
@click.option("--by", default="code", show_default=True, help=f"One or more of {', '.join(WAYS)}.")
@click.option("--since", default="24h", show_default=True, help="Since then: 30m, 2h, 7d, a time.")
@click.option("--code", default=0, help="Only with this error code of Twilio.")
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--rule", default="", help="Only of this rule.")
@wide_option
@json_option
@click.pass_context
def failures(
    ctx: click.Context, by: str, since: str, code: int, number: str, rule: str, wide: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Count the texts and calls that failed, and say what to do about each kind.

    Each text counts once, however often it is reported: those that Twilio told to be failed or
    undelivered, and those that it did not accept. An answer that was resent and failed again is a
    text of its own.
    """
    if ctx.invoked_subcommand:
        return
    ways = [each.strip() for each in by.split(",") if each.strip()]
    if not ways or (wrong := [each for each in ways if each not in WAYS]):
        raise UsageError(f"--by takes {', '.join(WAYS)}, with commas between; not {wrong or by}")
    who = here().number(number)
    with questions() as asked:
        found = asked.failures(moment(since), READ + 1)
        rows = narrowed(found[:READ], code=code or None, rule=rule, number=who)
        groups = grouped(rows, ways)
        if ways == ["code"]:
            groups = asked.with_problems(groups, here().now())
    cut = len(found) > READ
    if cut:
        oldest = short_time(found[READ - 1]["at"])
        click.echo(f"only the newest {READ:,} are counted, those since {oldest}", err=True)
    for each in () if as_json else groups:
        each |= {"last": short_time(each["last_at"]), "said": _said(each)}
    columns = [*ways, "failures", "last", *(["said"] if ways == ["code"] else [])]
    columns += ["meaning", "retry", "remedy"] if "code" in ways else []
    print_rows(
        groups, columns, as_json=as_json, empty=nothing("failures", since, code, who, rule),
        by_weight=[*ways, "failures", "said", "remedy", "meaning", "retry", "last"], wide=wide,
    )  # fmt: skip
    if groups and not as_json:
        say = counted(len(rows), "text or call has", "texts and calls have")
        click.echo(f"{say} failed; `ringback explain CODE` has all steps", err=True)


def _said(group: dict[str, Any]) -> str:
    """How a group stands by what a person has said to it; empty when nobody has."""
    problem = group.get("problem")
    if not problem:
        return ""
    until = f" until {short_time(problem['until'])}" if problem["until"] else ""
    above = f" up to {problem['above']} a day" if problem["above"] else ""
    held = until + above if problem["state"] == "muted" else ""
    note = f": {problem['note']}" if problem["note"] else ""
    return f"{problem['state']}{held}, says {problem['by'] or 'somebody'}{note}"


@failures.command()
@click.argument("code", type=click.IntRange(0, 9_999_999))
@click.argument("state", type=click.Choice(STATES))
@click.option("--until", default="", help="Muted until then: 30m, 2h, 7d from now, or a time.")
@click.option("--above", type=click.IntRange(1), help="Muted up to so many in 24 hours.")
@click.option("--note", default="", help="What others should know.")
def state(code: int, state: str, until: str, above: int | None, note: str) -> None:
    """Say how the failures with CODE stand; 0: those without one. Their counts stay as they are.

    What is resolved comes back with the next failure.
    """
    _require_group(code)
    message = {"op": "problem", "key": str(code), "state": state, "note": note}
    answer = tell_worker({**message, "until": end_of(until), "above": above})
    click.echo(f"{code} is {answer['state']}")


def _require_group(code: int) -> None:
    """Raise UsageError for a code with which nothing failed that is kept, and of which nobody said
    a thing."""
    with questions() as asked:
        (group,) = asked.with_problems([{"code": code, "last_at": ""}], here().now())
        if group["problem"] is None and not asked.failures(EVER, 1, "", code):
            raise UsageError(f"nothing ever failed with {code}; `ringback failures` lists what did")
