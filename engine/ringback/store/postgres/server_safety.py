"""Safety of a PostgreSQL server: the settings by which an acknowledged webhook can get lost."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from ringback.errors import StorageError
from ringback.store.postgres import schema
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_fitness import OLDEST, is_pooled

SAFE_COMMITS = ("on", "remote_apply")


@dataclass(frozen=True, slots=True)
class Safety:
    """What a server said of itself. `standbys` is how many a commit waits for, or could; None when
    this user may not see that. `tables` is their version; None when there are none."""

    database: str
    version: str
    old: bool
    pooled: bool
    off: tuple[str, ...]
    commit: str
    standbys: int | None
    tables: str | None

    @property
    def fits(self) -> bool:
        """Whether its tables are those of this program."""
        return self.tables == schema.version()

    @property
    def waits(self) -> bool:
        """Whether a commit is on a disk when it returns."""
        return self.commit in SAFE_COMMITS


def safety(url: str) -> Safety:
    """Ask a server. Raises StorageError when it cannot be reached."""
    with closing(PostgresConnection(url, "doctor", schema.SHARED, read_only=True)) as server:
        try:
            shown = dict(
                server.execute(
                    "select name, setting from pg_settings where name in ('server_version', "
                    "'server_version_num', 'fsync', 'full_page_writes', 'synchronous_commit')"
                ).fetchall()
            )
            states = [
                row[0] for row in server.execute("select sync_state from pg_stat_replication")
            ]
            synchronous = sum(state in ("sync", "quorum") for state in states)
            return Safety(
                database=server.name,
                version=shown["server_version"],
                old=int(shown["server_version_num"]) < OLDEST,
                pooled=is_pooled(server),
                off=tuple(n for n in ("fsync", "full_page_writes") if shown[n] == "off"),
                commit=shown["synchronous_commit"],
                standbys=None if states and set(states) == {None} else synchronous,
                tables=schema.version_in(server),
            )
        except sqlite3.Error as error:
            raise StorageError(f"{server.name}: {error}") from error
