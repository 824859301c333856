"""The command `consents`: who may be texted, and who said what about it."""

import click

from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here

COLUMNS = ("since", "recipient", "sender", "state", "said by", "event_uid")
BY_WEIGHT = ("recipient", "state", "sender", "since", "said by", "event_uid")
"""The columns as they give way, the last one first, where there is little room."""


@click.group()
def consents() -> None:
    """Who may be texted from which of our numbers, as far as anybody said so."""


@consents.command("list")
@click.option("--state", type=click.Choice(("in", "out")), help="Only who may, or may not.")
@click.option("--number", default="", help="Only this recipient.")
@click.option("--sender", default="", help="Only this number or messaging service of ours.")
@click.option("--since", default="", help="Only what was said since then: 30m, 2h, 7d, or a time.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def list_(
    state: str | None, number: str, sender: str, since: str, limit: int, wide: bool, as_json: bool
) -> None:
    """List the last word of each person about being texted, the latest last."""
    with questions() as asked:
        rows = asked.consents(
            state=state or "", number=here().number(number), sender=here().number(sender),
            since=moment(since) if since else "", limit=limit,
        )[::-1]  # fmt: skip
    for row in rows:
        row["since"], row["said by"] = short_time(row["at"]), row["source"]
    if as_json:
        rows = [{name: row[name] for name in row if name not in ("since", "said by")}
                for row in rows]  # fmt: skip
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("consents", state, number, sender, since),
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip
