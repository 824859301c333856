"""The command `consents`: who may be texted, who said what about it, and a word of our own."""

import click

from ringback.cli.control import tell_worker
from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here
from ringback.errors import UsageError

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


@consents.command("set")
@click.argument("state", type=click.Choice(("in", "out")))
@click.argument("number")
@click.option("--sender", default="", help="Our number or service; default: that of the settings.")
@click.option("--reason", default="", help="Why, for whoever looks at it next.")
def set_(state: str, number: str, sender: str, reason: str) -> None:
    """Say for a person that they may be texted, or may not: they said so by phone, say.

    Who has left by a STOP of their own, or by a refusal that Twilio reported, comes back by their
    own START alone.
    """
    ours = here().number(sender) or here().settings().sender
    if not ours:
        raise UsageError("say from which sender: --sender")
    message = {"op": "consent", "sender": ours, "recipient": here().number(number)}
    answer = tell_worker({**message, "state": state, "reason": reason})
    click.echo(f"{number} is {answer['state']} with {ours}")
