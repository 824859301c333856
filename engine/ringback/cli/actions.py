"""The command `actions`: what was sent, what became of it, and what a person has to decide."""

from collections.abc import Mapping
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.control import say_if_stopped, tell_worker
from ringback.cli.events import questions
from ringback.cli.explain import facts
from ringback.cli.output import (
    counted,
    json_option,
    nothing,
    print_rows,
    short_time,
    wide_option,
)
from ringback.error_codes import explain_error
from ringback.errors import UsageError

COLUMNS = (
    "planned", "uid", "kind", "rule", "state", "outcome", "error", "cost", "remote_sid", "reason",
)  # fmt: skip
BY_WEIGHT = (
    "uid", "state", "kind", "rule", "reason", "outcome", "error", "cost", "remote_sid", "planned",
)  # fmt: skip
"""The columns as they give way, the last one first, where there is little room."""
STATES = (
    "planned", "deferred", "sending", "unknown", "accepted", "settled", "failed", "refused",
    "parked", "cancelled", "captured",
)  # fmt: skip
NEVER_LEFT = ("refused", "cancelled", "failed")
"""The states of an action without a SID that cost nothing."""


@click.group()
def actions() -> None:
    """What was sent, what became of it, and what needs a person."""


@actions.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--rule", default="", help="Only of this rule.", shell_complete=completion.rule_names)
@click.option("--kind", default="", help="Only of this kind, as send_message.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def list_(state: str | None, rule: str, kind: str, limit: int, wide: bool, as_json: bool) -> None:
    """List the newest actions, oldest of them first."""
    with questions() as asked:
        rows = asked.actions(state=state or "", rule=rule, kind=kind, limit=limit)[::-1]
    for row in rows:
        row["planned"] = short_time(row["planned_at"])
        row["cost"] = cost(row)
        if code := row["error_code"]:
            known = explain_error(code)
            row["error"] = facts(known) if as_json else f"{code} {known.title}"
    say_if_stopped([row["state"] for row in rows])
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("actions", state, rule, kind),
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


def cost(action: Mapping[str, Any]) -> str:
    """What an action came to, in short: segments, price, and the duration of a call. Segments that
    nobody has told are estimated, as `about 2 segments`; those of what never left are none."""
    parts, left = [], action.get("remote_sid") or action["state"] not in NEVER_LEFT
    if number := action.get("segments"):
        parts.append(counted(number, "segment"))
    elif (number := action.get("estimated_segments")) and left:
        parts.append(f"about {counted(number, 'segment')}")
    if action.get("price") is not None:
        parts.append(f"{action['price']} {action['price_unit']}".rstrip())
    if action.get("duration") is not None:
        parts.append(f"{action['duration']} s")
    return ", ".join(parts)


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
