"""The command `spend`: what left today, what it cost, and what is left of the budgets."""

from datetime import datetime, timedelta

import click

from ringback.cli.events import moment, questions
from ringback.cli.output import json_option, print_rows, wide_option
from ringback.cli.project_context import here
from ringback.config import Settings
from ringback.rules.model import Budget
from ringback.store.queries import spend_sums as sums


@click.command()
@click.option("--by", type=click.Choice(tuple(sums.WAYS)), default="rule", show_default=True,
              help="By rule or by sender.")  # fmt: skip
@click.option("--since", default="", help="Since then instead of today: 2h, 7d, or a time.")
@wide_option
@json_option
def spend(by: str, since: str, wide: bool, as_json: bool) -> None:
    """Sum up what left today and what it cost, and what is left of each budget.

    A day begins at midnight in the zone of the quiet hours, else in UTC. The price is what Twilio
    has told so far; segments that it has not told are estimated, as `about 4`.
    """
    settings = here().settings()
    begin = (
        datetime.fromisoformat(moment(since))
        if since
        else sums.midnight(here().now(), settings.quiet_zone)
    )
    with questions() as asked:
        rows = asked.left_since(begin)
        hour = asked.left_since(here().now() - timedelta(hours=1))
    budgets = {} if since else _budgets(settings, rules=by == "rule")
    tried = sums.tallied(hour, sums.WAYS[by]).get(sums.ALL, sums.Tally())
    lines = sums.lines(
        sums.tallied(rows, sums.WAYS[by]), by, budgets, settings.segment_price,
        None if since else (settings.total_per_hour, tried),
    )  # fmt: skip
    for line in () if as_json else lines:
        line["left"] = "; ".join(
            f"{each['left']} of {each['of']} {word.replace('_', ' ')}"
            for word, each in line["left"].items()
        )
        line["price"] = ", ".join(
            f"{amount} {unit}".rstrip() for unit, amount in line["price"].items()
        )
        if guessed := line["estimated_segments"]:
            line["segments"] = f"about {line['segments'] + guessed}"
        for name in ("texts", "calls", "notices", "segments", "unpriced"):
            line[name] = line[name] or ""
    columns = (by, "texts", "calls", "notices", "segments", "price", "unpriced", "left")
    print_rows(
        lines, columns, as_json=as_json, empty="", wide=wide,
        by_weight=(by, "texts", "price", "left", "segments", "calls", "unpriced", "notices"),
    )  # fmt: skip


def _budgets(settings: Settings, *, rules: bool) -> dict[str, Budget]:
    """The budget of everything, and those of the rules where they are asked for."""
    whole = Budget(settings.total_per_day, settings.segments_per_day, settings.price_per_day)
    found = {sums.ALL: whole} if whole != Budget() or settings.total_per_hour else {}
    if rules:
        from ringback.cli.hosted import described

        ruleset = described(settings).ruleset
        found |= {rule.name: rule.budget for rule in ruleset.rules if rule.budget}
    return found
