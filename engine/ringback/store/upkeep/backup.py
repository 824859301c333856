"""Copies of a node's databases, and the check whether they are sound."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ringback.errors import RingbackError, StorageError
from ringback.private_files import make_file, make_folder
from ringback.runtime import iso
from ringback.store.meta import set_meta
from ringback.store.migrations import shapes
from ringback.store.sqlite import connect_reader, translated
from ringback.store.upkeep.restore import COPIED

JOURNAL = "journal.db"
FILES = (JOURNAL, "log.db")
"""The journal first: it must not know of requests that the copy of the log lacks."""


def backup(data: Path, target: Path) -> Iterator[tuple[str, int]]:
    """Copy both databases, consistent and without stopping the node; yields name and bytes.

    The copy of the journal says that it is one, so that a worker which is given it asks Twilio for
    what was sent since. Copies are for their owner alone, and so is a target folder that is made.
    Raises StorageError when a copy fails or a file of the target folder exists already.
    """
    make_folder(target)
    began = iso(datetime.now(UTC))
    for name in FILES:
        source = data / name
        if not source.exists():
            continue
        copy = target / name
        if copy.exists():
            raise StorageError(f"{copy}: exists already; name an empty folder")
        reader = connect_reader(source)
        make_file(copy)
        with translated(copy):
            writer = sqlite3.connect(copy)
            try:
                reader.backup(writer, pages=2000, sleep=0.01)
                if name == JOURNAL:
                    set_meta(writer, COPIED, began)
                    writer.commit()
                writer.execute("pragma journal_mode = delete")
            finally:
                writer.close()
                reader.close()
        yield name, copy.stat().st_size


def expect_readable(data: Path) -> None:
    """Raise StorageError or DataError for a database of the folder that cannot be read."""
    for file in (data / name for name in FILES if (data / name).exists()):
        connect_reader(file).close()


def sqlite_version(data: Path) -> str:
    """Which SQLite this Python carries; empty when the folder has no database that it can read."""
    for name in FILES:
        try:
            with closing(connect_reader(data / name)) as connection:
                return str(connection.execute("select sqlite_version()").fetchone()[0])
        except RingbackError:
            continue
    return ""


def check(data: Path) -> list[str]:
    """What is wrong with the databases of a folder: one line each, none when all is well."""
    problems = []
    for name in FILES:
        if not (data / name).exists():
            continue
        try:
            with closing(connect_reader(data / name)) as connection, translated(data / name):
                found = [row[0] for row in connection.execute("pragma integrity_check(20)")]
            found += shapes(data / name)
        except RingbackError as error:
            problems.append(str(error))
            continue
        problems += [f"{data / name}: {line}" for line in found if line != "ok"]
    return problems
