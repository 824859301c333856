"""The commands `pause` and `resume`, and the client of a running worker's socket."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ringback.cli.project_context import ELSEWHERE, here
from ringback.errors import HeldError

PAUSED = "paused"
"""The fact in the journal's `meta`. The worker has the name, too; to import it takes a second."""


def tell_worker(message: dict[str, Any], seconds: float = 5.0) -> dict[str, Any]:
    """Ask the worker of the data folder in force, in the name of whoever runs this shell. Raises
    WorkerAway when none runs, and what the worker raised, in its own words, when it will not or
    cannot."""
    from ringback.ipc import WorkerAway, ask_once, require_good, socket_path
    from ringback.runtime import REAL

    data = here().data()
    request = REAL.uid("op").partition("_")[2]
    by = {"who": system_user(), "role": "admin", "via": "shell"}
    try:
        whole = {**message, "by": by, "request": request}
        answer = asyncio.run(ask_once(socket_path(data), whole, seconds))
    except WorkerAway as error:
        late = isinstance(error.__context__, TimeoutError)
        raise WorkerAway(_away(data, seconds if late else 0.0)) from None
    require_good(answer)
    return answer


def system_user() -> str:
    """The name of the user of this process, or its number."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _away(data: Path, waited: float) -> str:
    """Why nobody answered for a data folder, and what to do: no time waited means that nobody
    listens there."""
    if waited:
        return (
            f"the worker did not answer: the one of {data} said nothing for {waited:g} s; it is "
            "busy or stands still, and the node replaces one that does: ask again in 20 s, and see "
            "the node's log"
        )
    return (
        f"the worker did not answer: none runs on {data}; start the node with `ringback serve`, or "
        f"name the project of the one that you mean: `ringback -C FOLDER …`; {ELSEWHERE}"
    )


async def worker_status(data: Path) -> dict[str, Any]:
    """What the worker of a data folder says of itself; empty when it is away."""
    from ringback.ipc import WorkerAway, ask_once, socket_path

    try:
        return await ask_once(socket_path(data), {"op": "status"}, 2.0)
    except WorkerAway:
        return {}


def say_if_stopped(states: Sequence[str]) -> None:
    """Tell on stderr why actions in these states do not leave: somebody said `pause`, or sending
    has stopped."""
    from ringback.store.queries.questions import Questions

    if not {"planned", "deferred", "unknown"}.intersection(states):
        return
    with Questions(here().databases()) as asked:
        paused = asked.meta(PAUSED)
        stopped = asked.open_incidents("sending")
    if paused:
        click.echo("paused by a person: nothing is sent until `ringback resume`", err=True)
    for incident in stopped:
        click.echo(incident["text"], err=True)


@click.command()
def pause() -> None:
    """Hold every effect: nothing is sent, while webhooks are recorded and rules run on.

    It outlasts restarts. When no node runs, the next one starts paused.
    """
    from ringback.ipc import WorkerAway

    try:
        tell_worker({"op": "pause"})
    except WorkerAway:
        if not _note_standing("pause"):
            raise
        click.echo("no node runs here: the next one starts paused", err=True)
    click.echo("paused: nothing is sent until `ringback resume`")


@click.command()
@click.option(
    "--may-duplicate",
    is_flag=True,
    help="End a hold after a restore, too: what Twilio was not asked about may go out twice.",
)
def resume(may_duplicate: bool) -> int:
    """Let effects out again, those that were held first.

    When no node runs, the next one does not start paused.

    After a restore the worker holds them by itself until it has read in Twilio's lists what was
    sent since; then this says what it waits for, and ends with 1. So it does when somebody says
    `pause` meanwhile, and when the gateway takes nothing: that is asked again at once.
    """
    from ringback.ipc import WorkerAway

    try:
        answer = tell_worker({"op": "resume", "may_duplicate": may_duplicate})
    except WorkerAway:
        if may_duplicate or not _note_standing("resume"):
            raise
        click.echo("no node runs here: the next one does not start paused")
        return 0
    if answer["state"] == "paused":
        click.echo("paused: somebody has said `ringback pause` since")
        return 1
    if answer["state"] == "stopped":
        click.echo(answer["why"])
        click.echo("the gateway is asked again now, and later by itself", err=True)
        return 1
    if answer["state"] == "held":
        click.echo(f"held: {answer['why']}")
        click.echo("it goes on by itself; --may-duplicate sends at once, unseen", err=True)
        return 1
    click.echo("sending again")
    return 0


def _note_standing(operation: str) -> bool:
    """Write the switch into the journal of a node that stands still. False when there is no
    journal, or its worker runs after all. Raises StorageError and DataError, and HeldError when
    the worker of another machine works on the server."""
    from ringback.runtime import REAL, iso
    from ringback.store.data_place import standing
    from ringback.store.journal import open_store
    from ringback.store.operations.doings import By, Doing
    from ringback.store.upkeep.locks import hold

    by = By(system_user(), "admin", "shell")
    doing = Doing(REAL.uid("op"), iso(REAL.now()), by, operation, "switch")

    async def note(epoch: int) -> None:
        store = open_store(place.data, place.url, threaded=False, epoch=epoch)
        with contextlib.closing(store):
            await store.journal.meta.note(PAUSED, "yes" if operation == "pause" else "", doing)

    place = here().databases()
    if not place.has_journal():
        return False
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(hold(place.data, "worker"))
        except HeldError:
            return False
        asyncio.run(note(held.enter_context(standing(place, by.who))))
    return True
