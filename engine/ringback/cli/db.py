"""The command `db`: copies of the data, and whether it is sound."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import click

from ringback.cli.db_move import migrate_to
from ringback.cli.output import json_option, print_json
from ringback.cli.progress_bar import progress
from ringback.cli.project_context import ELSEWHERE, here
from ringback.errors import DataError, HeldError, StorageError, UsageError
from ringback.runtime import REAL, iso

LONGEST_SHORT_CODE = 6
MEND = (
    "put back a backup; when log.db is sound, `ringback db rebuild` makes the journal again from it"
)


@click.group()
def db() -> None:
    """Back up and check the two databases of the node."""


db.add_command(migrate_to)


@db.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@json_option
def backup(folder: Path, as_json: bool) -> None:
    """Copy the databases into FOLDER, consistent, while the node runs on.

    Every page of the copy is read; ends with 65 when it is damaged, as the original is then.
    """
    from ringback.store.upkeep import backup

    data = _files("backup", "take a backup with pg_dump, or with the server's archive (PITR)")
    _expect_some(data, "back up")
    _expect_readable(data)
    taken = [name for name in backup.COPIES if (folder / name).exists()]
    try:
        with progress("copying") as told:
            copied = list(backup.backup(data, folder, told))
        with progress("reading the copy") as told:
            problems = backup.check(folder, told=told)
    except BaseException:
        for name in set(backup.COPIES) - set(taken):  # half a copy would pass for a whole one
            (folder / name).unlink(missing_ok=True)
        raise
    for name, size in copied:
        if as_json:
            print_json({"file": str(folder / name), "bytes": size})
        else:
            click.echo(f"{folder / name}  {size:,} bytes")
    problems = [*(_lacking(data) or _lacking(folder)), *problems]
    if problems:
        raise DataError("\n".join([*problems, f"this copy is not sound: look at {data} too"]))


@db.command("check")
def check_() -> None:
    """Read every page of both databases; ends with 65 when one is damaged or missing."""
    from ringback.store.upkeep import backup

    data = _files("check", "let pg_amcheck look at it, and turn data checksums on there")
    _expect_some(data, "check")
    _expect_readable(data)
    with progress("reading every page") as told:
        problems = [*_lacking(data), *backup.check(data, told=told)]
    if problems:
        raise DataError("\n".join([*problems, MEND]))
    there = " and ".join(name for name in backup.FILES if (data / name).exists())
    click.echo(f"{data}: {there} sound")


@db.command()
@json_option
def rebuild(as_json: bool) -> None:
    """Make the journal again from the log; the node must stand still.

    Ids, verdicts and everything that was sent are taken from the old journal as far as it can be
    read; it is put aside, not deleted. No rule runs for what it knew.
    """
    from datetime import UTC, datetime

    from ringback.runtime import REAL
    from ringback.store.upkeep import rebuild as rebuilding

    data = _files("rebuild", "put back a backup of the database")
    with _alone(data):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        with progress("reading the log") as told:
            done = rebuilding.rebuild(data, lambda: REAL.uid("evt"), stamp, told)
    lost = [name for name in rebuilding.KEPT if done.aside and name not in done.kept]
    if as_json:
        aside = str(done.aside) if done.aside else None
        print_json({**dataclasses.asdict(done), "aside": aside, "lost": lost})
        return
    click.echo(f"{done.rows:,} requests read, {done.events:,} events, {done.unreadable} unreadable")
    for table, rows in done.kept.items():
        click.echo(f"  {table}: {rows:,} kept from the old journal")
    for table in lost:
        click.echo(f"  {table}: nothing of it could be read in the old journal")
    if done.aside:
        click.echo(f"the old journal is now {done.aside}")


@db.command()
@click.argument("number")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
def erase(number: str, yes: bool, as_json: bool) -> None:
    """Forget a person: everything from and to NUMBER, in any spelling, leaves log and journal.

    The node must stand still. A refusal (STOP) stays, so that they are not texted again; and the
    SIDs of the last week, so that nothing is fetched back from Twilio's lists. Backups are not
    touched: erase there too.
    """
    from ringback.store.upkeep import erase as erasing
    from ringback.worker.recovery.repair import OLDEST

    number = here().number(number.rpartition(":")[2])
    bare = number.isdecimal() and len(number) > LONGEST_SHORT_CODE
    if bare or not number.removeprefix("+").isalnum():
        raise UsageError(
            f"{number!r} is no number: write it as Twilio does, +12025550142, or "
            "set RINGBACK_SENDER, whose country is then that of numbers without one"
        )
    data = _files(
        "erase", "`ringback db migrate-to sqlite:DIR` moves them into files: erase there, move back"
    )
    with _alone(data):
        if not yes:
            _ask(f"Erase everything about {number} in {data}, for good?")
        with progress("erasing") as told:
            done = erasing.erase(data, number, iso(REAL.now() - OLDEST), told)
    found = dataclasses.asdict(done)
    if as_json:
        print_json({"number": number, **found})
    else:
        for name, count in {"number": number, **found}.items():
            click.echo(f"{name.replace('_', ' '):10} {count}")
    if not any(found.values()):
        click.echo(f"nothing was known about {number} here", err=True)


def _files(command: str, instead: str) -> Path:
    """The data folder, for a command that works on its files. Raises UsageError where log and
    journal lie on a server."""
    place = here().databases()
    if place.url:
        raise UsageError(
            f"`ringback db {command}` works on files, and log and journal lie on {place.name}; "
            f"{instead}"
        )
    return place.data


def _ask(question: str) -> None:
    """Ask a person. Raises click.Abort when they decline, or when nobody is there."""
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        click.echo("\nnothing was done; --yes does not ask", err=True)
        raise


def _expect_some(data: Path, what: str) -> None:
    """Raise StorageError when a folder holds no database at all."""
    from ringback.store.upkeep import backup

    if not any((data / name).exists() for name in backup.FILES):
        raise StorageError(
            f"{data}: there is nothing to {what}: no log.db and no journal.db here; {ELSEWHERE}"
        )


def _expect_readable(data: Path) -> None:
    """Raise StorageError for a read-only folder whose database lacks the index of its log.

    SQLite makes that even to read. https://www.sqlite.org/wal.html#read_only_databases
    """
    from ringback.store.upkeep import backup

    if not os.access(data, os.W_OK):
        backup.expect_readable(data)


def _lacking(data: Path) -> list[str]:
    """The databases that should be in a folder and are not, or are empty files. A node that only
    records has no journal; the log, or the mark beside a journal, tells that there was one."""
    from ringback.store.upkeep.backup import had_journal

    log, journal = data / "log.db", data / "journal.db"
    lacking = [
        f"{file}: is empty" for file in (log, journal) if file.exists() and not file.stat().st_size
    ]
    if not log.exists():
        lacking.append(f"{log}: is missing")
    if not journal.exists() and ((data / "journal.mark").exists() or had_journal(data)):
        lacking.append(f"{journal}: is missing")
    return lacking


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold both roles of the data folder, so that no node runs. Raises HeldError when one does."""
    from ringback.store.upkeep.locks import hold

    if not (data / "log.db").exists():
        raise StorageError(f"{data}: there is no log here yet")
    try:
        with hold(data, "receiver"), hold(data, "worker"):
            yield
    except HeldError as error:
        raise HeldError(f"{error}; stop the node first") from None
