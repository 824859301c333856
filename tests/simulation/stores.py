"""Stores of a simulated story: log and journal in files of its folder, or on a server."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from ringback.store.connection import Connection
from ringback.store.log import Log, LogReader, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.store.writer import GroupWriter
from simulation.disk import Drawn, Simulated


class Store(Protocol):
    """What a story asks of the place where its rows lie. It outlives every worker."""

    def log(self) -> Log:
        """The writing end of the log, for the receiver."""

    def log_reader(self) -> LogReader:
        """The reading end of the log, for a worker."""

    def journal(self, **drawn: Any) -> Simulated:
        """The journal of a worker, on a disk with drawn faults; see `disk.Drawn`."""

    def reader(self) -> AbstractContextManager[Connection]:
        """A connection for anybody who may read."""


class Files:
    """Log and journal as files of SQLite."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def log(self) -> Log:
        """See `Store.log`."""
        path = self._folder / "log.db"
        return Log(GroupWriter(SqliteFile(path, migrate_log), insert, threaded=False))

    def log_reader(self) -> LogReader:
        """See `Store.log_reader`."""
        return LogReader(self._folder / "log.db")

    def journal(self, **drawn: Any) -> "SimulatedFile":
        """See `Store.journal`."""
        return SimulatedFile(self._folder / "journal.db", **drawn)

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """See `Store.reader`."""
        with closing(connect_reader(self._folder / "journal.db")) as connection:
            yield connection


class SimulatedFile(Drawn, SqliteDatabase):
    """The real file and the real writer, on a drawn disk."""

    def __init__(self, path: Path, **drawn: Any) -> None:
        SqliteDatabase.__init__(self, path, threaded=False)
        # Not the connection of the worker's reads, which may be at an older commit.
        self._watch = connect_reader(path)
        self.draw(NOTES, self._watch, **drawn)

    def close(self) -> None:
        """See `Database.close`."""
        self._watch.close()
        super().close()


NOTES = (
    "create table if not exists sim_moves (id integer primary key, uid text, kind text, old text, "
    "new text, was text, outcome text, reason text)",
    "create trigger if not exists sim_changed after update on actions "
    "when old.state <> new.state or old.outcome <> new.outcome begin "
    "insert into sim_moves (uid, kind, old, new, was, outcome, reason) values "
    "(new.uid, new.effect, old.state, new.state, old.outcome, new.outcome, new.reason); end",
    "create trigger if not exists sim_planned after insert on actions begin "
    "insert into sim_moves (uid, kind, old, new, was, outcome, reason) values "
    "(new.uid, new.effect, '', new.state, '', new.outcome, new.reason); end",
    "create trigger if not exists sim_heard after insert on events "
    "when new.type = 'message.received' begin "
    "insert into sim_moves (uid, kind, old, new, was, outcome, reason) values "
    "(new.dedupe_key, 'heard', '', '', '', new.source, new.sender); end",
)
