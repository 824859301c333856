"""The command `actions`: what was sent, what became of it, and what a person has to decide."""

from dataclasses import astuple
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.control import say_if_stopped, tell_worker
from ringback.cli.events import moment, questions, shortened
from ringback.cli.output import (
    fancy,
    json_option,
    nothing,
    print_json,
    print_rows,
    short_time,
    wide_option,
)
from ringback.cli.project_context import here
from ringback.error_codes import explain_error
from ringback.errors import UsageError
from ringback.outcomes import EFFECTS
from ringback.store.queries import shapes

COLUMNS = (
    "planned", "uid", "kind", "to", "text", "rule", "state", "outcome", "error", "cost",
    "remote_sid", "reason",
)  # fmt: skip
BY_WEIGHT = (
    "uid", "state", "to", "text", "reason", "kind", "rule", "outcome", "error", "cost",
    "remote_sid", "planned",
)  # fmt: skip
"""The columns as they give way, the last one first, where there is little room."""
STATES = (
    "planned", "deferred", "sending", "unknown", "accepted", "settled", "failed", "refused",
    "parked", "cancelled", "captured",
)  # fmt: skip
OUTCOMES = tuple(dict.fromkeys(status for each in EFFECTS.values() for status in each.order))
"""What Twilio may report of a text or a call."""


@click.group()
def actions() -> None:
    """What was sent, what became of it, and what needs a person."""


@actions.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--rule", default="", help="Only of this rule.", shell_complete=completion.rule_names)
@click.option("--kind", default="", help="Only of this kind, as send_message.")
@click.option("--number", default="", help="Only with this number on either side.")
@click.option("--since", default="", help="Only since then: 30m, 2h, 7d, or a time.")
@click.option(
    "--outcome", type=click.Choice(OUTCOMES), metavar="STATUS", help="Only with this outcome."
)
@click.option("--code", default=0, help="Only with this error code of Twilio.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def list_(
    state: str | None, outcome: str | None, limit: int, wide: bool, as_json: bool, **given: Any
) -> None:
    """List the newest actions, oldest of them first."""
    from ringback.store.queries.action_search import READ, Wanted

    given["number"] = here().number(given["number"])
    given["since"] = moment(given["since"]) if given["since"] else ""
    wanted = Wanted(state=state or "", outcome=outcome or "", **given)
    with questions() as asked:
        rows, cut = asked.search_actions(wanted, limit)
    if cut:
        click.echo(
            f"only the newest {READ:,} were looked at, those since {short_time(cut)}", err=True
        )
    rows = [
        {"id": row["id"], **shapes.action(row), "planned": short_time(row["planned_at"])}
        for row in rows[::-1]
    ]
    for row in () if as_json else rows:
        row["text"] = row["text"] if wide or not fancy() else shortened(row["text"])
        if code := row["error_code"]:
            row["error"] = f"{code} {explain_error(code).title}"
    say_if_stopped([row["state"] for row in rows])
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("actions", *astuple(wanted)),
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


@actions.command()
@click.argument("uid", shell_complete=completion.action_ids)
@click.option("--may-duplicate", is_flag=True, help="Even if it may have happened already.")
def retry(uid: str, may_duplicate: bool) -> None:
    """Send a failed, refused or parked action again, or say yes to a draft."""
    answer = tell_worker({"op": "retry", "uid": uid, "may_duplicate": may_duplicate})
    click.echo(f"{uid} is {answer.get('state', 'planned')}")


@actions.command()
@click.argument("uid", shell_complete=completion.action_ids)
def cancel(uid: str) -> None:
    """Give up an action that has not been sent."""
    answer = tell_worker({"op": "cancel_action", "uid": uid})
    click.echo(f"{uid} is {answer.get('state', 'cancelled')}")


@actions.command()
@click.argument("uid", shell_complete=completion.action_ids)
@click.option("--sent/--not-sent", "sent", default=None, help="Which of the two it was.")
@click.option("--sid", default="", help="What Twilio calls it, so that its status is followed.")
def resolve(uid: str, sent: bool | None, sid: str) -> None:
    """Say what became of an action whose answer got lost: it was sent, or it was not.

    With its SID the action waits for its final status again; without, it is settled.
    """
    if sent is None:
        raise UsageError("say --sent or --not-sent; Twilio's own log knows which")
    if sid and not sent:
        raise UsageError("what was not sent has no SID")
    outcome = "sent" if sent else "not_sent"
    answer = tell_worker({"op": "resolve", "uid": uid, "outcome": outcome, "sid": sid})
    click.echo(f"{uid} is {answer.get('state', outcome)}")


@actions.command()
@click.argument("uid", shell_complete=completion.action_ids)
@click.option("--until", required=True, help="Until then: 30m, 2h from now, or a time.")
def postpone(uid: str, until: str) -> None:
    """Put off an action that the gate has put off, for instance over quiet hours, to a time."""
    from ringback.cli.rule_override import end_of

    answer = tell_worker({"op": "postpone", "uid": uid, "until": end_of(until)})
    click.echo(f"{uid} is {answer.get('state', 'deferred')}")


_drafts = click.argument(
    "uids", nargs=-1, required=True, metavar="ACTION…", shell_complete=completion.drafts
)


@click.command()
@_drafts
@json_option
def approve(uids: tuple[str, ...], as_json: bool) -> int:
    """Say yes to actions of rules in draft: they go out now."""
    return _decide("approve", uids, as_json)


@click.command()
@_drafts
@json_option
def decline(uids: tuple[str, ...], as_json: bool) -> int:
    """Say no to actions of rules in draft: they never go out."""
    return _decide("decline", uids, as_json)


def _decide(operation: str, uids: tuple[str, ...], as_json: bool) -> int:
    """Decide about each. One that cannot be decided keeps none of the others from it."""
    wrong = 0
    for uid in dict.fromkeys(uids):
        state = error = ""
        try:
            state = tell_worker({"op": operation, "uid": uid})["state"]
        except UsageError as refused:
            wrong, error = 2, str(refused)
        if as_json:
            print_json({"uid": uid, "state": state, "error": error})
        else:
            click.echo(error or f"{uid} is {state}", err=bool(error))
    return wrong
