"""Tables of a cluster: how they are made, and how the database stands."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from ringback.errors import DataError, StorageError
from ringback.store.postgres import schema
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION
from ringback.store.postgres.server_fitness import refuse_server


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A database as `ringback cluster status` tells of it. `tables` is their version, empty when
    there are none; `bytes` is what the database takes on the disk."""

    database: str
    server: str
    bytes: int
    tables: str
    fits: bool


def make_tables(url: str) -> bool:
    """Make the tables; False when they are there already.

    Raises ConfigError for a server that does not do, DataError for tables of another version,
    StorageError for a server that refuses or cannot be reached.
    """
    with closing(PostgresConnection(url, "create", PARTITION)) as connection:
        try:
            refuse_server(connection)
            found = schema.version_in(connection)
            if found not in (None, schema.version()):
                raise DataError(f"{connection.name} has tables of another version ({found})")
            schema.create(connection, PARTITION)
        except sqlite3.Error as error:
            raise StorageError(f"{connection.name}: {error}") from error
        return found is None


def status(url: str) -> ServerStatus:
    """How the database stands. Raises StorageError for a server that cannot be reached."""
    with closing(PostgresConnection(url, "status", PARTITION, read_only=True)) as connection:
        try:
            version, size = connection.execute(
                "select current_setting('server_version'), pg_database_size(current_database())"
            ).fetchone()
            found = schema.version_in(connection)
        except sqlite3.Error as error:
            raise StorageError(f"{connection.name}: {error}") from error
        return ServerStatus(
            connection.name, version, int(size), found or "", found == schema.version()
        )
