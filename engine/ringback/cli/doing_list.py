"""The command `doings`: what people did to the node, and what was refused to them."""

import click

from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option

COLUMNS = ("when", "who", "via", "op", "subject", "was", "became", "outcome", "reason", "uid")
BY_WEIGHT = ("op", "subject", "outcome", "when", "who", "reason", "became", "was", "via", "uid")
"""The columns as they give way, the last one first, where there is little room."""
OUTCOMES = ("done", "refused", "failed")


@click.command()
@click.option("--who", default="", help="Only of this person: a user, or a name of the console.")
@click.option("--op", default="", help="Only this operation, as retry.")
@click.option("--subject", default="", help="Only about this action, run, event, incident or rule.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only with this outcome.")
@click.option("--since", default="", help="Only since then: 30m, 2h, 7d, or a time.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def doings(
    who: str, op: str, subject: str, outcome: str | None, since: str, limit: int, wide: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """List what people did here by shell, console or API, and what was refused; the latest last."""
    with questions() as asked:
        rows = asked.doings(
            who=who, op=op, subject=subject, outcome=outcome or "",
            since=moment(since) if since else "", limit=limit,
        )[::-1]  # fmt: skip
    for row in rows:
        del row["answer"]
        if not as_json:
            row["when"] = short_time(row["at"])
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("doings", who, op, subject, outcome, since),
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip
