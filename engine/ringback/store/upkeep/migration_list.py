"""List of the migrations of one file, in their order.

They are run by sqlite-utils, which takes a twentieth of a second to import: as long as some of the
commands that open a file. So it is not asked about a file of today's shape.
"""

import functools
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ringback.store.sqlite.sqlite_files import APPLICATION
from ringback.store.upkeep.shape import digest, shape_of

if TYPE_CHECKING:
    from sqlite_utils import Migrations

Step = Callable[[Any], None]
"""Gets the database as a `sqlite_utils.Database`."""


class MigrationList:
    """The migrations that are registered under a name. `today` is the digest of the shape that all
    of them make."""

    def __init__(self, name: str, today: str) -> None:
        self.name = name
        self.today = today
        self._steps: dict[str, tuple[Step, bool]] = {}

    def __call__(self, *, name: str, transactional: bool = True) -> Callable[[Step], Step]:
        """Register a function as the next migration."""

        def register(step: Step) -> Step:
            self._steps[name] = (step, transactional)
            return step

        return register

    @property
    def names(self) -> list[str]:
        """All of them."""
        return list(self._steps)

    def noted(self, conn: sqlite3.Connection) -> list[str]:
        """Those that a file notes."""
        find = "select 1 from sqlite_master where type = 'table' and name = '_sqlite_migrations'"
        if not conn.execute(find).fetchone():
            return []
        rows = conn.execute(
            "select name from _sqlite_migrations where migration_set = ? order by id", (self.name,)
        )
        return [str(row[0]) for row in rows]

    def all_done(self, conn: sqlite3.Connection) -> bool:
        """Whether a file notes exactly these and has the shape that they make."""
        return set(self.noted(conn)) == set(self._steps) and digest(shape_of(conn)) == self.today

    @functools.cached_property
    def library(self) -> "Migrations":
        """The same for sqlite-utils, to be run."""
        from sqlite_utils import Migrations

        made = Migrations(self.name)
        for name, (step, transactional) in self._steps.items():
            made(name=name, transactional=transactional)(step)
        return made

    def run(self, conn: sqlite3.Connection) -> None:
        """Bring an older file to today's shape."""
        from sqlite_utils import Database

        self.library.apply(Database(conn))

    def fill(self, conn: sqlite3.Connection) -> None:
        """Give a new file its tables in one commit: a sync of the disk for each migration would be
        most of the time that it takes."""
        self._model.backup(conn)

    def model(self) -> sqlite3.Connection:
        """A new file, in memory, for whoever reads what the migrations make."""
        copy = sqlite3.connect(":memory:", isolation_level=None)
        self.fill(copy)
        return copy

    @functools.cached_property
    def _model(self) -> sqlite3.Connection:
        """A new file, in memory. It is copied page by page, with the mark of its program."""
        model = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        model.execute(f"pragma application_id = {APPLICATION}")
        self.run(model)
        return model
