"""The hidden command `plugin-hosts`: the process that imports the plugins and forks their hosts.

The worker starts it; see `ringback.worker.hosts`. A process that has imported the engine anyway
forks it from itself.
"""

import os
import signal
from functools import partial
from pathlib import Path

import click

from ringback.cli.project_context import here
from ringback.config import Settings


@click.command()
@click.option("--control", type=int, required=True, help="Descriptor of the worker's connection.")
@click.option("--marks", type=int, required=True, help="Descriptor of the shared marks.")
def plugin_hosts(control: int, marks: int) -> None:
    """Import the plugins of a project, and run their code for its worker."""
    _run(here().settings(), control, marks)


def forked(project: Path, control: int, marks: int) -> None:
    """The same in a process that was forked, with the settings that its environment says."""
    _run(Settings.load(project, os.environ), control, marks)


def _run(settings: Settings, control: int, marks: int) -> None:
    from ringback.project import Project
    from ringback.runtime import REAL
    from ringback.store.data_place import DataPlace
    from ringback.store.facts import open_facts
    from ringback.worker.hosts.process.forkserver import Start, run

    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the worker may not be ready for all of them
    run(
        Start(control, marks, partial(Project.load, settings),
              partial(open_facts, DataPlace(settings.data, settings.database_url), REAL))
    )  # fmt: skip
