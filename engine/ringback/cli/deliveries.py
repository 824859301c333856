"""The command `deliveries`: how many texts arrived, how many did not, and how long it took."""

import click

from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.cli.project_context import here
from ringback.errors import UsageError
from ringback.rules.language.numbers import counted
from ringback.store.queries.delivery_groups import WAYS, counted_by
from ringback.store.queries.failure_groups import narrowed

READ = 50_000
"""So many texts of a span are counted at most, the newest of them."""
ALL = "all"
COUNTS = ("texts", "held", "pending", "failed", "delivered", "read")
SPANS = ("p50", "p90", "p99")


@click.command()
@click.option(
    "--by", default="sender,country", show_default=True,
    help=f"One or more of {', '.join(WAYS)}; or {ALL}.",
)  # fmt: skip
@click.option("--since", default="24h", show_default=True, help="Since then: 30m, 2h, 7d, a time.")
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--rule", default="", help="Only of this rule.")
@wide_option
@json_option
def deliveries(by: str, since: str, number: str, rule: str, wide: bool, as_json: bool) -> None:
    """Count the texts of ours by how far they came, and how long they took to be delivered.

    Each text counts once, by the last that Twilio reported of it. `share` is that of the delivered
    among those that came to an end; p50, p90 and p99 are the times from the request to Twilio until
    the report of delivery.
    """
    ways = [] if by == ALL else [each.strip() for each in by.split(",") if each.strip()]
    if (not ways and by != ALL) or any(each not in WAYS for each in ways):
        raise UsageError(f"--by takes {', '.join(WAYS)}, with commas between, or {ALL}; not {by!r}")
    who = here().number(number)
    with questions() as asked:
        found = asked.sent_texts(moment(since), READ + 1)
    if len(found) > READ:
        oldest = short_time(found[READ - 1]["at"])
        click.echo(f"only the newest {READ:,} are counted, those since {oldest}", err=True)
    rows = narrowed(found[:READ], rule=rule, number=who)
    groups = counted_by(rows, ways)
    for group in () if as_json else groups:
        group |= {name: span(group[name]) for name in SPANS}
        group["share"] = "" if group["share"] is None else f"{group['share']:.1%}"
    columns = [*ways, *COUNTS, "share", *SPANS]
    print_rows(
        groups, columns, as_json=as_json, empty=nothing("texts", since, who, rule), wide=wide,
        by_weight=[*ways, "texts", "share", "failed", "pending", "p50", "p99", "delivered",
                   "held", "p90", "read"],
    )  # fmt: skip
    if groups and not as_json and by != ALL:
        (total,) = counted_by(rows, [])
        share = "none of them at an end" if total["share"] is None else (
            f"{total['share']:.1%} of those at an end were delivered"
        )  # fmt: skip
        click.echo(f"{counted(len(rows), 'text')}: {share}", err=True)


def span(seconds: float | None) -> str:
    """A span for a person: `0.8 s`, `12 s`, `3.5 min`, `2.1 h`."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
