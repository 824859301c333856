"""The commands `serve` and `worker`: a node, or its worker alone."""

import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import click

from ringback.cli.held_signals import hold_signals
from ringback.cli.project_context import here
from ringback.config import Settings
from ringback.errors import ConfigError
from ringback.log_lines import KEPT, line_of
from ringback.printed_json import printed_json
from ringback.receiver.requirements import require_serving
from ringback.receiver.supervisor import Begun

project_argument = click.argument(
    "project", required=False, type=click.Path(path_type=Path, file_okay=False)
)


@click.command()
@project_argument
@click.option("--host", default=None, help="Address to listen on.")
@click.option("--port", default=None, help="Port to listen on; 0 takes a free one.")
@click.option("--public-url", default=None, help="The address that Twilio calls.")
@click.option("--data", default=None, type=click.Path(resolve_path=True), help="Data folder.")
@click.option("--no-worker", is_flag=True, help="Receive and record only.")
@click.option("--no-console", is_flag=True, help="Leave the console out.")
def serve(
    project: Path | None,
    host: str | None,
    port: str | None,
    public_url: str | None,
    data: str | None,
    no_worker: bool,
    no_console: bool,
) -> int:
    """Run a node: receive webhooks, record them, react to them."""
    hold_signals()
    flags = {"host": host, "port": port, "public_url": public_url, "data": data}
    again = partial(here().settings, project, **flags)
    settings = again()
    _require_good(settings, rules=no_worker)
    begun = None if no_worker else Begun(settings)
    # As heavy as what the worker imports, and so not before that is under way.
    from ringback.receiver.server import serve as run

    set_up_logging(settings)
    try:
        return run(settings, worker=not no_worker, again=again, begun=begun, console=not no_console)
    finally:
        if begun is not None:
            begun.close()


@click.command()
@project_argument
@click.option("--data", default=None, type=click.Path(resolve_path=True), help="Data folder.")
@click.option("--supervised", is_flag=True, hidden=True)
@click.option("--checking", is_flag=True, hidden=True)
def worker(project: Path | None, data: str | None, supervised: bool, checking: bool) -> int:
    """Run the worker half alone: match, run, send."""
    hold_signals()
    from ringback.cli.hosted import launched

    again = partial(here().settings, project, data=data)
    settings = again()
    process = launched(settings)
    from ringback.project import Project
    from ringback.worker.main import work

    set_up_logging(settings)
    if checking and not os.read(sys.stdin.fileno(), 1):
        return 0  # the receiver has ended before it owned what a node needs
    return work(
        settings, Project.described, again=again, launched=process, supervised=supervised,
        checking=checking,
    )  # fmt: skip


def _require_good(settings: Settings, *, rules: bool) -> None:
    """Refuse to start on what cannot work. Raises ConfigError, or ends with the code of `check`.

    The worker checks the rules itself before this node listens. Where there will be no worker, in
    any case or because the settings are wrong, a process of its own does.
    """
    try:
        require_serving(settings)
    except ConfigError:
        _check_rules(settings)
        raise
    if rules and _check_rules(settings):
        raise click.exceptions.Exit(1)


def _check_rules(settings: Settings) -> int:
    """Say what is wrong with the rules. The code of `check`."""
    main = [sys.executable, "-m", "ringback.cli.main", "-C", str(settings.project)]
    done = subprocess.run(
        [*main, "check", "--serving"],
        env=settings.child_environ(os.environ), text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        click.echo(done.stdout.rstrip("\n"), err=True)
    return done.returncode


def set_up_logging(settings: Settings) -> None:
    """Log to stderr, as text lines or as JSON lines."""
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    KEPT.hide(settings.secrets())
    logging.basicConfig(level=logging.INFO, handlers=[handler, KEPT], force=True)
    for chatty in ("httpx", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """A line of the log as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object per line."""
        row = line_of(record)
        if record.exc_info:
            row["error"] = self.formatException(record.exc_info)
        return printed_json(row)
