"""Progress of long work on a file: what is done and of how much, for whoever waits for it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ringback.errors import RingbackError
from ringback.store.sqlite.sqlite_files import connect_reader, translated

Told = Callable[[int, int], object]
"""Gets how much is done, and of how much."""

STEPS = 50_000
"""Instructions of SQLite between two looks at how far a statement has come: a few milliseconds."""


def untold(_done: int, _total: int) -> None:
    """Nobody waits."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of some work, of so many steps of a `total`, with so many `before` it."""

    told: Told
    before: int
    steps: int
    total: int

    def __call__(self, done: int) -> None:
        """So many steps of this part are done. An estimate may have been too low."""
        self.told(self.before + min(done, self.steps), self.total)

    def share(self, done: float) -> None:
        """This share of the part is done, 1 being all of it."""
        self(int(done * self.steps))


@contextmanager
def followed(connection: sqlite3.Connection, told: Callable[[int], object]) -> Iterator[None]:
    """Call `told` with the number of instructions that SQLite has carried out since, now and then
    while a statement runs. An interrupt (Ctrl-C) ends the statement, and comes out as one."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += STEPS
        told(steps)
        return 0  # an interrupt in here makes SQLite end the statement, and Python forgets it

    connection.set_progress_handler(step, STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from error
        raise
    finally:
        connection.set_progress_handler(None, STEPS)


def steps_of(path: Path) -> int:
    """About how many instructions SQLite needs to check a database: some for each column of a row,
    and more for each index. 0 for one that cannot be read."""
    try:
        with closing(connect_reader(path)) as connection, translated(path):
            return sum(
                _rows(connection, name) * (columns + columns // 3 + 7 * indexes)
                for name, columns, indexes in connection.execute(
                    "select name, (select count(*) from pragma_table_info(m.name)), "
                    "(select count(*) from pragma_index_list(m.name)) from sqlite_master m "
                    "where type = 'table'"
                ).fetchall()
            )
    except RingbackError:
        return 0


def _rows(connection: sqlite3.Connection, table: str) -> int:
    """How many rows a table has, or had before the oldest were deleted."""
    try:
        return int(connection.execute(f"select max(rowid) from {table}").fetchone()[0] or 0)
    except sqlite3.OperationalError:  # it has no rowid: those tables are small
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
