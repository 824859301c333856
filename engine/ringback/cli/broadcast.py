"""The command `broadcast`: one text to all of a group."""

import time
from typing import Any

import click

from ringback.cli.control import tell_worker
from ringback.cli.events import questions
from ringback.cli.output import json_option, print_json
from ringback.cli.progress_bar import progress
from ringback.cli.project_context import here
from ringback.errors import UsageError
from ringback.rules.language.numbers import counted
from ringback.rules.steps.group_texts import rate_of
from ringback.twilio import segments

OVER = ("done", "stopped")


@click.command()
@click.argument("group")
@click.argument("text")
@click.option("--rate", default="10/s", show_default=True, help="How many at most: 10/s, 30/m.")
@click.option("--from", "sender", default="", help="Our number; default: that of the settings.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")
@json_option
def broadcast(
    group: str, text: str, rate: str, sender: str, yes: bool, no_wait: bool, as_json: bool
) -> None:
    """Text all of a group, groups.NAME, each once: through consent, quiet hours and budgets.

    It goes on when this command is interrupted, or the node is. `ringback bulks stop` stops it.
    """
    try:
        speed = rate_of(rate)
    except ValueError as error:
        raise UsageError(str(error)) from None
    size = tell_worker({"op": "group_size", "to": group})["members"]
    if not yes:
        parts, seconds = size * segments.count(text), round(size / speed)
        people = counted(size, "person", "people")
        what = f"Text {people} in {group}: {parts:,} segments, {seconds:,} s at {rate}?"
        hourly = here().settings().total_per_hour
        if hourly and size > hourly:
            told = f"total_per_hour is {hourly:,}: what is more than that in an hour is refused"
            click.echo(told, err=True)
        click.confirm(what, abort=True, err=True)
    message = {"op": "broadcast", "to": group, "body": text, "rate": rate}
    if sender:
        message["sender"] = here().number(sender)
    begun = tell_worker(message)
    if not as_json or no_wait:
        told = f"{begun['uid']} has begun; ringback bulks stop {begun['uid']} stops it"
        click.echo(told, err=not no_wait)
    if no_wait:
        return
    row = _followed(begun["uid"])
    if as_json:
        print_json({name: row[name] for name in _TOLD})
    else:
        left = f", left {row['skipped']}" if row["skipped"] else ""
        click.echo(f"sent {row['done']}, refused {row['refused']}, failed {row['failed']}{left}")


_TOLD = ("uid", "state", "total", "done", "refused", "failed", "skipped")


def _followed(uid: str) -> dict[str, Any]:
    """The broadcast when it is over; until then, how far it is."""
    with questions() as asked, progress("texting") as told:
        while True:
            row: dict[str, Any] = asked.bulk(uid)
            told(row["done"] + row["refused"] + row["failed"], row["total"])
            if row["state"] in OVER:
                return row
            time.sleep(0.5)
