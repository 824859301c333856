"""The commands `calls` and `queues`: calls that go on, and who waits in which queue."""

from collections.abc import Mapping
from typing import Any

import click

from ringback.cli.events import questions
from ringback.cli.output import json_option, print_rows, short_time, wide_option
from ringback.cli.project_context import here

COLUMNS = ("since", "sid", "from", "to", "last", "queue", "heard")
BY_WEIGHT = ("sid", "from", "to", "last", "since", "queue", "heard")
"""The columns as they give way, the last one first, where there is little room."""
QUEUES = ("sid", "waiting", "longest", "left_today", "average_today")


@click.command()
@wide_option
@json_option
def calls(wide: bool, as_json: bool) -> None:
    """List the calls that go on, the latest first, as far as Twilio has told.

    Those that are over are among the events.
    """
    rows = _found()["calls"]
    print_rows(
        rows if as_json else map(_shown, rows), COLUMNS, as_json=as_json, empty="no call goes on",
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


@click.command()
@wide_option
@json_option
def queues(wide: bool, as_json: bool) -> None:
    """List the queues that somebody waits in, or has left today; times are seconds."""
    print_rows(
        _found()["queues"], QUEUES, as_json=as_json, empty="nobody waits in a queue",
        by_weight=QUEUES, wide=wide,
    )  # fmt: skip


def _found() -> dict[str, Any]:
    from ringback.console import calling

    zone = here().settings().quiet_zone
    with questions() as asked:
        return calling.asked(asked, zone, here().now())


def _shown(call: Mapping[str, Any]) -> dict[str, Any]:
    queue = call["queue"]
    return {
        "since": short_time(call["since"]), "sid": call["sid"], "from": call["sender"],
        "to": call["recipient"], "last": call["last"], "heard": "; ".join(call["heard"]),
        "queue": f"{queue['sid']}, place {queue['position']}" if queue else "",
    }  # fmt: skip
