"""The command `runs`: rules at work, and what they wait for."""

import click

from ringback.cli import completion
from ringback.cli.control import tell_worker
from ringback.cli.events import questions
from ringback.cli.output import json_option, nothing, print_rows, short_time, wide_option
from ringback.store.queries import shapes

COLUMNS = ("started", "uid", "rule", "state", "reason", "due", "event_uid")
BY_WEIGHT = ("uid", "rule", "state", "reason", "started", "due", "event_uid")
"""The columns as they give way, the last one first, where there is little room."""
STATES = ("pending", "running", "waiting", "done", "failed", "skipped", "cancelled")


@click.group()
def runs() -> None:
    """Rules at work: one run is one rule handling one event."""


@runs.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--rule", default="", help="Only of this rule.", shell_complete=completion.rule_names)
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 100_000))
@wide_option
@json_option
def list_(state: str | None, rule: str, limit: int, wide: bool, as_json: bool) -> None:
    """List the newest runs, oldest of them first."""
    with questions() as asked:
        found = asked.runs(state=state or "", rule=rule, limit=limit)[::-1]
    rows = [
        {
            "id": row["id"], **shapes.run(row),
            "started": short_time(row["started_at"]), "due": short_time(row["due_at"]),
        }
        for row in found
    ]  # fmt: skip
    print_rows(
        rows, COLUMNS, as_json=as_json, empty=nothing("runs", state, rule),
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip


_uids = click.argument(
    "uids", nargs=-1, required=True, metavar="RUN…", shell_complete=completion.run_ids
)


@runs.command()
@_uids
def cancel(uids: tuple[str, ...]) -> None:
    """End runs that are not done yet, for instance those that wait."""
    for uid in uids:
        tell_worker({"op": "cancel_run", "uid": uid})
        click.echo(f"{uid} cancelled")


@runs.command()
@_uids
def wake(uids: tuple[str, ...]) -> None:
    """Let runs that wait for a time go on now; a question of theirs gets no answer then."""
    for uid in uids:
        tell_worker({"op": "wake_run", "uid": uid})
        click.echo(f"{uid} goes on")
