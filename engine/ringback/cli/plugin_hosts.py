"""The hidden command `plugin-hosts`: the process that imports the plugins and forks their hosts.

The worker starts it; see `ringback.worker.hosts`.
"""

import signal
from functools import partial

import click

from ringback.cli.project_context import here


@click.command()
@click.option("--control", type=int, required=True, help="Descriptor of the worker's connection.")
@click.option("--marks", type=int, required=True, help="Descriptor of the shared marks.")
def plugin_hosts(control: int, marks: int) -> None:
    """Import the plugins of a project, and run their code for its worker."""
    from ringback.project import Project
    from ringback.runtime import REAL
    from ringback.store.journal import open_facts
    from ringback.worker.hosts.process.forkserver import Start, run

    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the worker may not be ready for all of them
    settings = here().settings()
    run(
        Start(control, marks, partial(Project.load, settings),
              partial(open_facts, settings.data, REAL))
    )  # fmt: skip
