"""The command `failures`: texts and calls that failed, counted by what they have in common."""

import click

from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here
from ringback.errors import UsageError
from ringback.rules.language.numbers import counted
from ringback.runtime import REAL
from ringback.store.queries.failure_groups import WAYS, grouped, narrowed

READ = 50_000
"""So many failures of a span are counted at most, the newest of them."""


@click.command()
@click.option("--by", default="code", show_default=True, help=f"One or more of {', '.join(WAYS)}.")
@click.option("--since", default="24h", show_default=True, help="Since then: 30m, 2h, 7d, a time.")
@click.option("--code", default=0, help="Only with this error code of Twilio.")
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--rule", default="", help="Only of this rule.")
@wide_option
@json_option
def failures(
    by: str, since: str, code: int, number: str, rule: str, wide: bool, as_json: bool
) -> None:
    """Count the texts and calls that failed, and say what to do about each kind.

    Each text counts once, however often it is reported: those that Twilio told to be failed or
    undelivered, and those that it did not accept. An answer that was resent and failed again is a
    text of its own.
    """
    ways = [each.strip() for each in by.split(",") if each.strip()]
    if not ways or (wrong := [each for each in ways if each not in WAYS]):
        raise UsageError(f"--by takes {', '.join(WAYS)}, with commas between; not {wrong or by}")
    who = here().number(number)
    with questions() as asked:
        found = asked.failures(moment(since), READ + 1)
        rows = narrowed(found[:READ], code=code or None, rule=rule, number=who)
        groups = grouped(rows, ways)
        if ways == ["code"]:
            groups = asked.with_problems(groups, REAL.now())
    cut = len(found) > READ
    if cut:
        oldest = short_time(found[READ - 1]["at"])
        click.echo(f"only the newest {READ:,} are counted, those since {oldest}", err=True)
    groups = [each | {"last": short_time(each["last_at"])} for each in groups]
    columns = [*ways, "failures", "last"]
    columns += ["meaning", "retry", "remedy"] if "code" in ways else []
    print_rows(
        groups, columns, as_json=as_json, empty=nothing("failures", since, code, who, rule),
        by_weight=[*ways, "failures", "remedy", "meaning", "retry", "last"], wide=wide,
    )  # fmt: skip
    if groups and not as_json:
        say = counted(len(rows), "text or call has", "texts and calls have")
        click.echo(f"{say} failed; `ringback explain CODE` has all steps", err=True)
