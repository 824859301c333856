"""The log and the journal of a story on a PostgreSQL server, in a database of its own."""

from asyncio import get_running_loop
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from postgres.server import Server
from ringback.store.connection import Connection
from ringback.store.log import Log
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION, PostgresDatabase
from ringback.store.postgres.server_log import PostgresLogReader, open_log
from simulation.disk import Drawn


@contextmanager
def story_store(server: Server) -> Iterator["ServerStore"]:
    """A fresh database, for one story."""
    url = server.create_database()
    try:
        with closing(ServerStore(url)) as store:
            yield store
    finally:
        server.drop_database(url)


class ServerStore:
    """Log and journal as tables of one database; see `stores.Store`."""

    def __init__(self, url: str) -> None:
        self.url = url
        with closing(PostgresConnection(url, "story", PARTITION)) as connection:
            # The story is over when the machine is, so its commits need not outlive that.
            name = url.rpartition("/")[2]
            connection.execute(f"alter database {name} set synchronous_commit = off")
        self._reader: PostgresConnection | None = None

    def log(self) -> Log:
        """See `Store.log`."""
        return open_log(self.url, threaded=False)

    def log_reader(self) -> PostgresLogReader:
        """See `Store.log_reader`."""
        return PostgresLogReader(self.url)

    def journal(self, **drawn: Any) -> "SimulatedServer":
        """See `Store.journal`."""
        return SimulatedServer(self.url, **drawn)

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """See `Store.reader`. One connection serves all questions of the story."""
        if self._reader is None:
            self._reader = PostgresConnection(self.url, "checker", PARTITION, read_only=True)
        try:
            yield self._reader
        finally:
            if self._reader.in_transaction:
                self._reader.execute("rollback")

    def close(self) -> None:
        """Let go of the server."""
        if self._reader is not None:
            self._reader.close()


class SimulatedServer(Drawn, PostgresDatabase):
    """The real tables and the real writer, with drawn faults."""

    def __init__(self, url: str, **drawn: Any) -> None:
        PostgresDatabase.__init__(self, url, threaded=False)
        self._held = False
        self.draw(NOTES, self.connection(), **drawn)

    async def _ask(self, work: Callable[[], Any]) -> Any:
        # As the file does (`SqliteDatabase._hold`): a death is drawn at each step of the loop, and
        # a seed tells the same story of both only when they take the same steps.
        if not self._held:
            self._held = True
            get_running_loop().call_soon(self._let_go)
        return await super()._ask(work)

    def _let_go(self) -> None:
        self._held = False


def _note(name: str, when: str, condition: str, values: str) -> Iterator[str]:
    yield (
        f"create or replace function {name}() returns trigger language plpgsql as $$ begin "
        "insert into sim_moves (uid, kind, old, new, was, outcome, reason) "
        f"values ({values}); return null; end $$"
    )
    yield (
        f"create or replace trigger {name} after {when} for each row when ({condition}) "
        f"execute function {name}()"
    )


NOTES = (
    "create table if not exists sim_moves (id bigint generated always as identity primary key, "
    "uid text, kind text, old text, new text, was text, outcome text, reason text)",
    *_note(
        "sim_changed", "update on actions", "old.state <> new.state or old.outcome <> new.outcome",
        "new.uid, new.effect, old.state, new.state, old.outcome, new.outcome, new.reason",
    ),
    *_note(
        "sim_planned", "insert on actions", "true",
        "new.uid, new.effect, '', new.state, '', new.outcome, new.reason",
    ),
    *_note(
        "sim_heard", "insert on events", "new.type = 'message.received'",
        "new.dedupe_key, 'heard', '', '', '', new.source, new.sender",
    ),
)  # fmt: skip
"""See `stores.NOTES`."""
