"""`ringback pause` and `resume`: the kill switch, and how commands talk to a running worker."""

import asyncio
from pathlib import Path
from typing import Any

import click

from ringback.cli.place import here
from ringback.errors import UsageError


def tell_worker(message: dict[str, Any], seconds: float = 5.0) -> dict[str, Any]:
    """Ask the worker of the data folder in force. Raises WorkerAway when none runs, and UsageError
    with the worker's own words when it will not."""
    from ringback.ipc import ask_once, socket_path

    answer = asyncio.run(ask_once(socket_path(here().data()), message, seconds))
    if answer.get("error"):
        raise UsageError(str(answer["error"]))
    return answer


async def held_back(data: Path) -> str:
    """Why the worker of a data folder sends nothing at present; empty when it does, or is away."""
    from ringback.ipc import WorkerAway, ask_once, socket_path

    try:
        status = await ask_once(socket_path(data), {"op": "status"}, 2.0)
    except WorkerAway:
        return ""
    if status.get("held"):
        return f"held: {status['held']}; see `ringback resume`"
    return "paused by a person; see `ringback resume`" if status.get("paused") else ""


@click.command()
def pause() -> None:
    """Hold every effect: nothing is sent, while webhooks are recorded and rules run on."""
    tell_worker({"op": "pause"})
    click.echo("paused: nothing is sent until `ringback resume`")


@click.command()
@click.option(
    "--may-duplicate",
    is_flag=True,
    help="End a hold after a restore, too: what Twilio was not asked about may go out twice.",
)
def resume(may_duplicate: bool) -> int:
    """Let effects out again, those that were held first.

    After a restore the worker holds them by itself until Twilio's lists have told it what was sent
    since; then this says what it waits for, and ends with 1.
    """
    answer = tell_worker({"op": "resume", "may_duplicate": may_duplicate})
    if answer["state"] == "held":
        click.echo(f"held: {answer['why']}")
        click.echo("it goes on by itself; --may-duplicate sends at once, unseen", err=True)
        return 1
    click.echo("sending again")
    return 0
