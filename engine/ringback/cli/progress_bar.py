"""Progress bar of a long command: a bar on standard error on a terminal, with what is left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringback.store.upkeep.progress_reports import Told


@contextmanager
def progress(what: str) -> "Iterator[Told]":
    """Show how far work has come for as long as it goes on, then clear the line. Where standard
    error is no terminal, nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console  # heavy, and for terminals alone
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=min(done, total), total=total)
