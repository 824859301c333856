"""`ringback serve` and `ringback worker`: a node, or its worker half alone."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import click

from ringback.cli.place import here
from ringback.config import Settings
from ringback.errors import ConfigError

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
def serve(
    project: Path | None,
    host: str | None,
    port: str | None,
    public_url: str | None,
    data: str | None,
    no_worker: bool,
) -> int:
    """Run a node: receive webhooks, record them, react to them."""
    from ringback.receiver.server import serve as run

    settings = here().settings(project, host=host, port=port, public_url=public_url, data=data)
    require_good(settings)
    set_up_logging(settings)
    return run(settings, worker=not no_worker) or 0


@click.command()
@project_argument
@click.option("--data", default=None, type=click.Path(resolve_path=True), help="Data folder.")
@click.option("--supervised", is_flag=True, hidden=True)
def worker(project: Path | None, data: str | None, supervised: bool) -> int:
    """Run the worker half alone: match, run, send."""
    from ringback.project import Project
    from ringback.worker.main import work

    settings = here().settings(project, data=data)
    set_up_logging(settings)
    return work(settings, Project.load, supervised=supervised)


def require_good(settings: Settings) -> None:
    """Refuse to start on what cannot work. Raises ConfigError, or ends with the code of `check`.

    Rules and plugins are checked in a process of their own: this one runs no code of theirs.
    """
    wrong: list[str] = []
    try:
        settings.require_serving()
    except ConfigError as error:
        wrong = error.problems
    done = subprocess.run(
        [sys.executable, "-m", "ringback.cli.main", "check", str(settings.project)],
        env=settings.child_environ(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        click.echo((done.stdout + done.stderr).rstrip("\n"), err=True)
    if wrong:
        raise ConfigError(wrong)
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)


def set_up_logging(settings: Settings) -> None:
    """Log to stderr, as text lines or as JSON lines."""
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(_JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object per line."""
        import json
        from datetime import UTC, datetime

        from ringback.seams import iso

        row = {
            "at": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["error"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False)
