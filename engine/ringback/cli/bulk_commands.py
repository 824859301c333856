"""The command `bulks`: one decision about many actions or runs, previewed, begun and stopped."""

from collections.abc import Mapping
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.control import tell_worker
from ringback.cli.events import moment, questions
from ringback.cli.output import (
    json_option,
    nothing,
    print_json,
    print_rows,
    short_time,
    wide_option,
)
from ringback.errors import UsageError
from ringback.store.operations.bulks import OPS

COLUMNS = ("began", "uid", "op", "state", "total", "done", "refused", "failed", "skipped", "by")
BY_WEIGHT = ("uid", "op", "state", "total", "done", "refused", "failed", "skipped", "by", "began")
"""The columns as they give way, the last one first, where there is little room."""
PREVIEW_SECONDS = 30.0


@click.group()
def bulks() -> None:
    """One decision about many actions or runs: previewed, begun, and stopped."""


@bulks.command()
@click.argument("op", type=click.Choice(tuple(OPS)))
@click.option("--state", default="", help="Only those in this state.")
@click.option("--rule", default="", help="Only of this rule.", shell_complete=completion.rule_names)
@click.option("--kind", default="", help="Only of this kind, as send_message.")
@click.option("--code", default=0, help="Only with this error code of Twilio.")
@click.option("--since", default="", help="Only those planned or begun since then.")
@click.option(
    "--outcome", type=click.Choice(("sent", "not_sent")), help="For resolve: which it was."
)
@json_option
def preview(
    op: str, state: str, rule: str, kind: str, code: int, since: str, outcome: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """List what a bulk would be about and what the gate says of it now. Nothing is done.

    What arrives afterwards is not in it. `ringback bulks start` begins it.
    """
    given: dict[str, Any] = {
        "state": state,
        "rule": rule,
        "kind": kind,
        "code": code,
        "outcome": outcome,
    }
    given["since"] = moment(since) if since else ""
    chosen = {name: value for name, value in given.items() if value}
    message = {"op": "bulk", "bulk": op, "filter": chosen}
    answer = tell_worker(message, seconds=PREVIEW_SECONDS)
    if as_json:
        print_json({name: value for name, value in answer.items() if name != "ok"})
        return
    for line in _forecast(answer):
        click.echo(line)


def _forecast(answer: Mapping[str, Any]) -> list[str]:
    more = ", and more than that fit" if answer["more"] else ""
    found = [f"{answer['bulk']} of {answer['total']}{more}"]
    says = answer.get("says", {})
    if says:
        found.append(f"the gate lets out {says.get('planned', 0)} of the {answer['asked']} asked")
        found += [f"{each['count']} {each['state']}: {each['reason']}" for each in answer["why"]]
        price = f", about {answer['price']}" if answer["price"] else ""
        found.append(f"about {answer['segments']} segments{price}")
    if answer["total"]:
        found.append(f"begin it: ringback bulks start {answer['uid']}")
    return found


@bulks.command()
@click.argument("uid", metavar="BULK")
def start(uid: str) -> None:
    """Begin a bulk that was previewed. It waits ten seconds, in which it can be stopped."""
    answer = tell_worker({"op": "bulk_start", "uid": uid})
    click.echo(f"{uid} is {answer['state']}; it begins in 10 s: ringback bulks stop {uid}")


@bulks.command()
@click.argument("uid", metavar="BULK")
def stop(uid: str) -> None:
    """Stop a bulk: what is done stays done, the rest stays as it is."""
    answer = tell_worker({"op": "bulk_stop", "uid": uid})
    click.echo(f"{uid} is {answer['state']}")


@bulks.command("list")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def list_(limit: int, wide: bool, as_json: bool) -> None:
    """List the newest bulks that were begun, oldest of them first."""
    with questions() as asked:
        rows = asked.bulks(limit)[::-1]
    for row in rows:
        del row["id"]
        if not as_json:
            row["began"] = short_time(row["began_at"])
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("bulks"), by_weight=BY_WEIGHT, wide=wide
    )


@bulks.command()
@click.argument("uid", metavar="BULK")
@json_option
def show(uid: str, as_json: bool) -> None:
    """Show one bulk, and what was skipped or refused in it."""
    with questions() as asked:
        row = asked.bulk(uid)
    if row is None:
        raise UsageError(f"there is no bulk {uid}; `ringback bulks list` names them")
    left = row.pop("left")
    del row["id"]
    if as_json:
        print_json({**row, "left": left})
        return
    for name, value in row.items():
        click.echo(f"{name:10} {value}")
    for each in left:
        click.echo(f"{each['state']:10} {each['uid']}  {each['reason']}")
