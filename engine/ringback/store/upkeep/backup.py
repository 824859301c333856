"""Copies of a node's databases, and the check whether they are sound."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ringback.errors import RingbackError, StorageError
from ringback.private_files import make_file, make_folder
from ringback.runtime import iso
from ringback.store.log import LogReader
from ringback.store.meta import set_meta
from ringback.store.migrations import shapes
from ringback.store.sqlite.sqlite_files import CHECKED_BYTES, connect_reader, translated
from ringback.store.upkeep.progress_reports import Part, Told, followed, steps_of, untold
from ringback.store.upkeep.restore import COPIED

JOURNAL = "journal.db"
FILES = (JOURNAL, "log.db")
"""The journal first: it must not know of requests that the copy of the log lacks."""
COPIES = (*FILES, "access.db")
"""What a backup holds: with who may use the console, which follows from neither."""
PROBES = 500
"""How many rows at each end of a table, and between them, a look at a large database reads."""


def backup(data: Path, target: Path, told: Told = untold) -> Iterator[tuple[str, int]]:
    """Copy the databases, consistent and without stopping the node; yields name and bytes.

    The copy of the journal says that it is one, so that a worker which is given it asks Twilio for
    what was sent since. Copies are for their owner alone, and so is a target folder that is made.
    Raises StorageError when a copy fails or a file of the target folder exists already.
    """
    make_folder(target)
    began = iso(datetime.now(UTC))
    sizes = {name: (data / name).stat().st_size for name in COPIES if (data / name).exists()}
    before, total = 0, sum(sizes.values())
    for name, size in sizes.items():
        copy = target / name
        if copy.exists():
            raise StorageError(f"{copy}: exists already; name an empty folder")
        part = Part(told, before, size, total)
        _copy(data / name, copy, began if name == JOURNAL else "", part)
        before += size
        yield name, copy.stat().st_size


def _copy(source: Path, copy: Path, began: str, part: Part) -> None:
    """Copy one database; that of a journal says when that `began`."""
    with closing(connect_reader(source)) as reader, translated(copy):
        make_file(copy)
        # One snapshot from beginning to end: else each write of the node begins it all anew.
        reader.execute("begin")
        reader.execute("select count(*) from sqlite_master").fetchone()
        with closing(sqlite3.connect(copy)) as writer:
            reader.backup(
                writer, pages=2000, sleep=0.01,
                progress=lambda _status, left, pages: part.share(1 - left / max(pages, 1)),
            )  # fmt: skip
            if began:
                set_meta(writer, COPIED, began)
                writer.commit()
            writer.execute("pragma journal_mode = delete")


def expect_readable(data: Path) -> None:
    """Raise StorageError or DataError for a database of the folder that cannot be read."""
    for file in (data / name for name in FILES if (data / name).exists()):
        connect_reader(file).close()


def had_journal(data: Path) -> bool:
    """Whether the log of a folder notes that a journal follows it: then that is there, or lost."""
    try:
        with closing(LogReader(data / "log.db")) as log:
            return log.had_journal()
    except RingbackError:
        return False


def sqlite_version(data: Path) -> str:
    """Which SQLite this Python carries; empty when the folder has no database that it can read."""
    for name in FILES:
        try:
            with closing(connect_reader(data / name)) as connection:
                return str(connection.execute("select sqlite_version()").fetchone()[0])
        except RingbackError:
            continue
    return ""


def check(data: Path, *, whole: bool = True, told: Told = untold) -> list[str]:
    """What is wrong with the databases of a folder: one line each, none when all is well.

    Of a large file every page is read only when the `whole` is asked for: a million events take
    most of a minute. Else rows at both ends and evenly between them are, of each table.
    """
    problems = []
    there = [name for name in FILES if (data / name).exists()]
    total, before = (sum(steps_of(data / name) for name in there), 0) if whole else (0, 0)
    for name in there:
        try:
            with closing(connect_reader(data / name)) as connection, translated(data / name):
                if whole or not is_large(data / name):
                    with followed(connection, Part(told, before, steps_of(data / name), total)):
                        found = [row[0] for row in connection.execute("pragma integrity_check(20)")]
                else:
                    _probe(connection)
                    found = []
            found += shapes(data / name)
            before += steps_of(data / name)
        except RingbackError as error:
            problems.append(str(error))
            continue
        problems += [f"{data / name}: {line}" for line in found if line != "ok"]
    return problems


def is_large(path: Path) -> bool:
    """Whether a database is only looked at here and there, unless somebody asks for all of it."""
    return path.exists() and path.stat().st_size > CHECKED_BYTES


def _probe(connection: sqlite3.Connection) -> None:
    """Read some rows of each table. Raises sqlite3.DatabaseError for a damaged page among them."""
    tables = connection.execute(
        "select name, sql like '%without rowid%' from sqlite_master where type = 'table'"
    ).fetchall()
    for name, without_rowid in tables:
        connection.execute(f"select * from {name} limit ?", (PROBES,)).fetchall()
        if without_rowid:
            continue
        connection.execute(
            f"select * from {name} order by rowid desc limit ?", (PROBES,)
        ).fetchall()
        last = connection.execute(f"select max(rowid) from {name}").fetchone()[0] or 0
        for at in range(0, last, max(last // PROBES, 1)):
            connection.execute(f"select * from {name} where rowid >= ? limit 1", (at,)).fetchone()
