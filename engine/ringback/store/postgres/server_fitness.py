"""Fitness of a PostgreSQL database for this program: asked once, before a node begins."""

import sqlite3
from contextlib import closing

from ringback.errors import ConfigError, DataError, StorageError
from ringback.store.meta import refuse_moved
from ringback.store.postgres import schema
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION

OLDEST = 150000
"""PostgreSQL 15, as the server numbers its versions."""


def refuse_unfit(url: str) -> None:
    """Raise ConfigError for a database that a person has to prepare, DataError for one of another
    version of this program, StorageError for a server that cannot be reached."""
    with closing(PostgresConnection(url, "start", schema.SHARED, read_only=True)) as connection:
        try:
            refuse_server(connection)
            _refuse_tables(connection)
        except sqlite3.Error as error:
            raise StorageError(f"{connection.name}: {error}") from error


def refuse_server(connection: PostgresConnection) -> None:
    """Raise ConfigError for a server that this program cannot work with, or for what stands
    in front of it."""
    number = int(connection.execute("show server_version_num").fetchone()[0])
    if number < OLDEST:
        version = connection.execute("show server_version").fetchone()[0]
        raise ConfigError([f"{connection.name}: PostgreSQL {version} is too old; 15 or later does"])
    if is_pooled(connection):
        raise ConfigError(
            [
                f"{connection.name}: a pooler stands in front of the server, and a node holds "
                "locks in its sessions; name the server itself"
            ]
        )


def is_pooled(connection: PostgresConnection) -> bool:
    """Whether a pooler answers in place of the server: the session that a statement runs in is not
    the one that was made for this connection, and may be another one next time."""
    asked = connection.execute("select pg_backend_pid(), current_setting('timezone')").fetchone()
    return tuple(asked) != (connection.raw.info.backend_pid, "UTC")


def _refuse_tables(connection: PostgresConnection) -> None:
    found = schema.version_in(connection)
    if found is None:
        raise ConfigError(
            [f"{connection.name} has no tables of Ringback; make them: `ringback cluster create`"]
        )
    if found != schema.version():
        raise DataError(
            f"{connection.name}: its tables are those of another version of Ringback "
            f"({found}); this one knows {schema.version()}"
        )
    connection.execute(f"set search_path = {PARTITION}, {schema.SHARED}")
    refuse_moved(connection, connection.name)
