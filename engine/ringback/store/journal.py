"""The journal: what was matched, decided and done, as nouns with methods.

Each noun is a small class in a file of its own. Its methods are the only way in: a question is one
of them, and so is a unit of work, which is written as a whole or not at all.
"""

from asyncio import Event
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ringback.runtime import Runtime
from ringback.store import interface
from ringback.store.action_ends import ActionEnds, Costs
from ringback.store.actions import Actions
from ringback.store.attempts import Attempts
from ringback.store.database import Database
from ringback.store.deliveries.delivery_figures import Deliveries
from ringback.store.deliveries.escalations import Escalations
from ringback.store.deliveries.spend_counts import Spending
from ringback.store.events import Events
from ringback.store.evidence import Evidence
from ringback.store.facts import JournalFacts
from ringback.store.incidents import Incidents
from ringback.store.log import LogReader, LogRows
from ringback.store.matching import Matching
from ringback.store.meta import Meta, refuse_moved
from ringback.store.open_runs import OpenRuns
from ringback.store.operations.broadcasts import Broadcasts
from ringback.store.operations.bulks import Bulks
from ringback.store.operations.cards import Groups
from ringback.store.operations.consent_words import ConsentWords
from ringback.store.operations.doings import Doings
from ringback.store.operations.list_turns import ListTurns
from ringback.store.operations.mutes import Mutes
from ringback.store.operations.problems import Problems
from ringback.store.operations.rule_states import RuleStates
from ringback.store.operations.run_locks import RunLocks
from ringback.store.operations.written import Written
from ringback.store.runs import Runs
from ringback.store.session import ReadSession
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.timers import Timers
from ringback.store.upkeep.restore import Restore
from ringback.store.upkeep.retention import Retention

if TYPE_CHECKING:
    from ringback.store.postgres.ownership import Ownership

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseJournal:
    """The journal of one worker on a database; see `interface.Journal`."""

    def __init__(self, database: Database, log: LogReader) -> None:
        """`log` is where the bodies of recorded events are."""
        self._database = database
        self._log = log
        self._turns = ListTurns()
        self.log: interface.LogRows = LogRows(log)
        self.events = Events(database, log)
        self.matching = Matching(database, log)
        self.runs = Runs(database, log)
        self.open_runs = OpenRuns(database)
        self.actions = Actions(database)
        self.attempts = Attempts(database)
        self.evidence = Evidence(database)
        self.ends = ActionEnds(database)
        self.costs = Costs(database)
        self.meta = Meta(database)
        self.timers = Timers(database)
        self.retention = Retention(database)
        self.restore = Restore(database)
        self.incidents = Incidents(database)
        self.deliveries = Deliveries(database)
        self.escalations = Escalations(database)
        self.spending = Spending(database)
        self.doings = Doings(database)
        self.rule_states = RuleStates(database)
        self.problems = Problems(database)
        self.bulks = Bulks(database)
        self.broadcasts = Broadcasts(database)
        self.consent_words = ConsentWords(database)
        self.mutes = Mutes(database)
        self.groups = Groups(database)
        self.run_locks = RunLocks(database)
        self.written = Written(database)

    async def read(
        self, work: Callable[Concatenate[ReadSession, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Ask several questions in a row, in one session: `work` gets it, and must not keep it."""
        return await self._database.read(self._session, work, args, kwargs)

    def _session(self, connection: Any, work: Callable[..., T], args: Any, kwargs: Any) -> T:
        return work(ReadSession(connection, self._log, self._turns), *args, **kwargs)

    def facts(self, runtime: Runtime) -> JournalFacts:
        """What conditions, texts and plugins may ask of the past, at once and from any thread."""
        return JournalFacts(self._database.connection(), runtime, self._turns)

    @property
    def broken(self) -> Exception | None:
        """Why the process should end and start again from what is on disk; None while all is well.
        See `Database.broken`."""
        return self._database.broken

    @property
    def failing(self) -> Event:
        """Set when a write has failed: see `broken`."""
        return self._database.failing

    def close(self) -> None:
        """Commit what waits and let go of the database."""
        self._database.close()


@dataclass(frozen=True, slots=True)
class Store:
    """What a worker keeps: the log that it reads, and its journal."""

    journal: interface.Journal
    log: LogReader

    def close(self) -> None:
        """Commit what waits and close the files."""
        self.journal.close()
        self.log.close()


def open_store(
    data: Path, url: str = "", *, threaded: bool = True, epoch: int = 0, idle: float = 0.0
) -> Store:
    """Open the log for reading and the journal for writing, which is made when there is none: in
    the folder `data`, or on the PostgreSQL server of a `url`.

    Raises DataError for a file that is not usable, StorageError when there is no log yet and for a
    disk or server that is not usable, ConfigError when the data has moved. With `threaded=False`
    each write is committed where it is made. `epoch` and `idle` are those of a worker among
    several; see `PostgresDatabase`.
    """
    log, database = _server(url, threaded, epoch, idle) if url else _files(data, threaded)
    store = Store(DatabaseJournal(database, log), log)
    try:
        refuse_moved(database.connection(), "RINGBACK_DATABASE_URL" if url else str(data.resolve()))
    except BaseException:
        store.close()
        raise
    return store


def _files(data: Path, threaded: bool) -> tuple[LogReader, Database]:
    log = LogReader(data / "log.db")
    try:
        return log, SqliteDatabase(data / "journal.db", threaded=threaded)
    except BaseException:
        log.close()
        raise


def open_ownership(url: str, node: str, boot: str, lease: float) -> "Ownership":
    """Connect a worker to the cluster on a PostgreSQL server. Raises StorageError when that cannot
    be reached."""
    from ringback.store.postgres import ownership, server_database

    return ownership.Ownership(url, server_database.PARTITION, node, boot, lease)


def _server(url: str, threaded: bool, epoch: int, idle: float) -> tuple[LogReader, Database]:
    from ringback.store.postgres import server_database, server_log  # of the extra `postgres`

    log = server_log.PostgresLogReader(url)
    try:
        return log, server_database.PostgresDatabase(url, threaded=threaded, epoch=epoch, idle=idle)
    except BaseException:
        log.close()
        raise
