"""The command `demo`: a project and its last week, played through `ringback dev`.

Everything is as in a project of your own: a real node, a simulated Twilio, webhooks over HTTP. The
clock of the node begins a week ago and is moved on from one act to the next.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ringback.cli.control import tell_worker
from ringback.cli.demo.week import Act, first_moment, week
from ringback.cli.dev import START_SECONDS, end_with_parent
from ringback.cli.http import ask
from ringback.cli.init import write_project
from ringback.cli.progress_bar import progress
from ringback.cli.project_context import DEV_FOLDER, here, live_dev
from ringback.cli.simulate_clock import move
from ringback.errors import HeldError, RingbackError, UsageError
from ringback.ipc import WorkerAway
from ringback.private_files import make_file, make_folder
from ringback.runtime import ClockFile, from_iso

DAYS = 7
LOG = "demo.log"
"""What the node says, in the project's folder."""
_FILES = {"rules/shop.yaml": "shop.yaml", "plugins/points.py": "points.txt"}


@click.command()
@click.argument("folder", default="ringback-demo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--days", default=DAYS, show_default=True, type=click.IntRange(1, 30),
              help="So many days until now.")  # fmt: skip
@click.option("--port", default=None, help="Port of the node; default: a free one.")
@click.option("--end", is_flag=True, help="End when the week has been played.")
def demo(folder: Path, days: int, port: str | None, end: bool) -> int:
    """Play a shop's last week here, troubles included, to look around in.

    Makes a project in FOLDER and runs `ringback dev` there; needs no account. Once it was played it
    is only started again. Delete the folder to begin anew. Ctrl-C ends everything.
    """
    project = folder.absolute()
    context = click.get_current_context()
    context.obj = replace(here(), project=project, flags={})
    _make(project)
    data = here().settings().data
    if live_dev(data):
        raise HeldError(f"a demo runs in {folder} already")
    played = data / DEV_FOLDER / "played"
    began = datetime.now(UTC)
    if not played.exists():
        if (data / DEV_FOLDER / "log.db").exists():
            raise UsageError(f"{folder} was not played to its end: delete it, and begin anew")
        _set_back(data / DEV_FOLDER, (first_moment(began, days) - began).total_seconds())
    node = _started(project, port, quiet=not played.exists())
    try:
        facts = _ready(node, project, data)
        if not played.exists():
            _play(week(began, days), facts, began)
            played.touch()
        click.echo(_WHERE.format(**facts, folder=folder))
        return 0 if end else node.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(node)


_WHERE = """
The shop is open. Look around in a browser:
  {node_url}/console/in#{console_key}
and in another shell:
  cd {folder}
  ringback events list                  what came in
  ringback trace +12125550112           why this person got what they got
  ringback failures                     what failed, and what to do
  ringback actions list --state parked  what waits for a person
  ringback incidents list               what is wrong, or was
"""


def _make(project: Path) -> None:
    """Write the project, where it is not there yet."""
    if project.exists() and any(project.iterdir()) and not (project / "rules/shop.yaml").exists():
        raise UsageError(f"{project} is not empty, and no demo: name another folder")
    own = Path(__file__).parent
    texts = {Path(name): (own / source).read_text("utf-8") for name, source in _FILES.items()}
    write_project(project, texts)


def _set_back(data: Path, seconds: float) -> None:
    """Let the node's clock begin in the past, before a node has ever seen it."""
    make_folder(data.parent)
    make_folder(data)
    make_file(data / "clock")
    ClockFile(data / "clock").begin(seconds)


def _started(project: Path, port: str | None, quiet: bool) -> "subprocess.Popen[bytes]":
    """`ringback dev` of the project. What it says while the week is played goes to a file."""
    command = [sys.executable, "-m", "ringback.cli.main", "dev", str(project)]
    command += ["--port", port] if port else []
    with (project / LOG).open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log if quiet else None, stderr=log,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip


def _ready(node: "subprocess.Popen[bytes]", project: Path, data: Path) -> dict[str, Any]:
    """What the node says of itself once it is up."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and node.poll() is None:
        facts = live_dev(data)
        if facts and "node_url" in facts and _answers():
            return facts
        time.sleep(0.1)
    said = (project / LOG).read_text("utf-8", "replace").strip().rpartition("\n")[2]
    raise RingbackError(f"the node did not start: {said or 'it said nothing'}")


def _answers() -> bool:
    """Whether the worker has loaded rules and plugins."""
    try:
        tell_worker({"op": "clock"})
    except WorkerAway:
        return False
    return True


def _play(acts: Sequence[Act], facts: dict[str, Any], until: datetime) -> None:
    clock, base = ClockFile(Path(str(facts["clock"]))), str(facts["base_url"])
    click.echo("The shop's week is played: a minute or two.", err=True)
    with progress("the week") as told:
        for number, act in enumerate(acts):
            _go_to(clock, base, act.at)
            ask(base, act.path, act.body)
            told(number + 1, len(acts))
        _go_to(clock, base, max(until, datetime.now(UTC)))


def _go_to(clock: ClockFile, base: str, moment: datetime) -> None:
    """Move the node's time on to a moment, if it lies ahead."""
    now = from_iso(tell_worker({"op": "clock"})["now"])
    if moment > now:
        move(clock, base, (moment - now).total_seconds())


def _stop(node: "subprocess.Popen[bytes]") -> None:
    if node.poll() is None:
        node.send_signal(signal.SIGTERM)
        node.wait()
