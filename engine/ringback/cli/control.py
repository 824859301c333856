"""`ringback pause` and `resume`: the kill switch, and how commands talk to a running worker."""

import asyncio
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


@click.command()
def pause() -> None:
    """Hold every effect: nothing is sent, while webhooks are recorded and rules run on."""
    tell_worker({"op": "pause"})
    click.echo("paused: nothing is sent until `ringback resume`")


@click.command()
def resume() -> None:
    """Let effects out again, those that were held first."""
    tell_worker({"op": "resume"})
    click.echo("sending again")
